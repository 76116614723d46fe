"""TorchScript, for users who have torch installed: on the CPU, or on a CUDA device.

A TorchScript archive contains code: use archives from trusted sources only, as with any program.
"""

import io
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bundle.manifest import GraphSpec
from ..errors import BundleError
from .device import HOST, Device, Tensor, run_on
from .engine import Tensors, check_inputs
from .torch_device import TorchDevice, captured, import_torch

_AUTOCAST = {"bf16": "bfloat16", "fp16": "float16"}


class TorchScriptEngine:
    """One network, called with the described inputs in their order.

    precision: fp32; tf32, on CUDA; bf16 or fp16, in which torch's autocast keeps norms and softmax in fp32. Raises
    ProviderError, and BundleError for an archive that does not load.
    """

    def __init__(self, data: bytes, graph: GraphSpec, provider: str = "torchscript", threads: int | None = None,
                 precision: str = "fp32") -> None:
        torch = import_torch(provider)
        self._torch, self._graph, self._provider, self._precision = torch, graph, provider, precision
        self._on = "cuda" if provider == "torchscript-cuda" else "cpu"
        self.device: Device = TorchDevice(torch, provider) if self._on == "cuda" else HOST
        if threads:
            torch.set_num_threads(threads)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # torch calls TorchScript deprecated; it works
                self._module = torch.jit.load(io.BytesIO(data), map_location=self._on).eval()
        except (RuntimeError, ValueError) as error:
            raise BundleError(f"graph {graph.file} has a TorchScript form that does not load: {error}") from error
        self._launch = captured(torch, self._forward) if self._on == "cuda" else self._forward

    @property
    def provider(self) -> str:
        return self._provider

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        check_inputs(self._graph, inputs)
        if self._on == "cuda":
            return run_on(self.device, self._launch, inputs)
        # Copied on the way in, because torch warns about arrays that are read-only.
        outputs = self._forward({name: self._torch.from_numpy(np.array(array)) for name, array in inputs.items()})
        return {name: tensor.numpy().copy() for name, tensor in outputs.items()}

    def launch(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return self.run(inputs) if self._on == "cpu" else self._launch(inputs)

    def _forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        with self._arithmetic():
            results = self._module(*(inputs[spec.name] for spec in self._graph.inputs))
        results = results if isinstance(results, tuple) else (results,)
        return {spec.name: result.to(getattr(self._torch, spec.dtype))
                for spec, result in zip(self._graph.outputs, results, strict=True)}

    @contextmanager
    def _arithmetic(self) -> Iterator[None]:
        """Sets exactly the requested precision: TF32 has 10 bits of mantissa, and torch uses it for convolutions by
        default."""
        torch = self._torch
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            if self._on == "cuda":
                tf32 = self._precision == "tf32"
                stack.enter_context(torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True,
                                                               allow_tf32=tf32))
                before = torch.backends.cuda.matmul.allow_tf32
                stack.callback(setattr, torch.backends.cuda.matmul, "allow_tf32", before)
                torch.backends.cuda.matmul.allow_tf32 = tf32
            if self._precision in _AUTOCAST:
                # A captured graph outlives autocast's cache of cast weights, so none is used.
                stack.enter_context(torch.autocast(self._on, getattr(torch, _AUTOCAST[self._precision]),
                                                   cache_enabled=False))
            yield
