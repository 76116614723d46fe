"""TorchScript, for users who have torch anyway. The only module of the runtime that imports torch, and only here."""

import io
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BundleError, ProviderError
from ..manifest import GraphSpec
from . import Tensors, check_inputs


class TorchScriptEngine:
    """One network, called with the described inputs in their order. Runs on the CPU.

    A TorchScript archive holds code: use those of a source that you trust, as with any program.
    """

    def __init__(self, data: bytes, graph: GraphSpec, threads: int | None = None) -> None:
        try:
            import torch
        except ImportError as error:
            raise ProviderError("provider torchscript was requested, but torch is not installed. "
                                "Run: pip install 'cldm-runtime[torch]', or pass --provider cpu.") from error
        self._torch, self._graph = torch, graph
        if threads:
            torch.set_num_threads(threads)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # torch calls TorchScript deprecated; it works
                self._module = torch.jit.load(io.BytesIO(data), map_location="cpu").eval()  # type: ignore[no-untyped-call]
        except (RuntimeError, ValueError) as error:
            raise BundleError(f"graph {graph.file} has a TorchScript form that does not load: {error}") from error

    @property
    def provider(self) -> str:
        return "torchscript"

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        check_inputs(self._graph, inputs)
        # Copied on the way in, because torch warns about arrays that are read-only.
        tensors = [self._torch.from_numpy(np.array(inputs[spec.name])) for spec in self._graph.inputs]
        with self._torch.inference_mode():
            results = self._module(*tensors)
        results = results if isinstance(results, tuple) else (results,)
        return {spec.name: result.numpy().copy() for spec, result in zip(self._graph.outputs, results, strict=True)}
