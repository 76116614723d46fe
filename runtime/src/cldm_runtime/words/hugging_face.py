"""A text encoder that was exported to ONNX with the tokenizer of a Hugging Face folder (`tokenizer.json`).

Only the package `tokenizers` is needed, and of it only the reading of a text that is given: nothing is looked up or
fetched anywhere.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..bundle.manifest import GraphSpec
from ..engines.engine import Engine
from ..errors import BundleError, InputError
from .encoder import Vectors, of_length_one

Pooling = Literal["mean", "first", "none"]
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_INSTALL = "pip install 'cldm-runtime[text]'"


class HuggingFaceEncoder:
    """pooling: how a text's vector comes from the output (1, L, D) of its L tokens: their mean, the first, or (none)
    the output (1, D) itself. longest: tokens of a text; what follows is left out."""

    def __init__(self, tokenizer: bytes, engine: Engine, graph: GraphSpec, output: str, pooling: Pooling, longest: int,
                 where: str) -> None:
        try:
            from tokenizers import Tokenizer  # here, because few runs need it
        except ImportError as error:
            raise InputError(f"{where} needs the package tokenizers. Run: {_INSTALL}.") from error
        try:
            self._tokenizer = Tokenizer.from_str(tokenizer.decode("utf-8"))
        except Exception as error:  # the class that tokenizers raises for a faulty file
            raise BundleError(f"{where} is not the tokenizer.json of a tokenizer: {error}.") from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(longest)
        self._names = tuple(spec.name for spec in graph.inputs)
        unknown = [name for name in self._names if name not in _INPUTS]
        if unknown or _INPUTS[0] not in self._names or output not in {spec.name for spec in graph.outputs}:
            raise BundleError(f"{where}: the graph takes {', '.join(self._names)} and gives "
                              f"{', '.join(spec.name for spec in graph.outputs)}; expected {_INPUTS[0]}, perhaps "
                              f"{' and '.join(_INPUTS[1:])}, and an output {output}.")
        self._engine, self._output, self._pooling, self._where = engine, output, pooling, where

    def encode(self, texts: Sequence[str]) -> Vectors:
        return of_length_one(np.stack([self._vector(text) for text in texts]))

    def _vector(self, text: str) -> NDArray[np.float32]:
        """Each text by itself, so that it needs no padding."""
        found = self._tokenizer.encode(text)
        columns = dict(zip(_INPUTS, (found.ids, found.attention_mask, found.type_ids), strict=True))
        output = self._engine.run({name: np.array([columns[name]], dtype=np.int64) for name in self._names})
        values = output[self._output]
        if values.ndim != (2 if self._pooling == "none" else 3) or not len(found.ids):
            raise BundleError(f"{self._where}: {len(found.ids)} tokens give an output of shape {list(values.shape)}, "
                              f"which does not fit pooling {self._pooling}.")
        pooled = {"mean": lambda: values[0].mean(axis=0), "first": lambda: values[0, 0], "none": lambda: values[0]}
        return np.asarray(pooled[self._pooling](), dtype=np.float32)
