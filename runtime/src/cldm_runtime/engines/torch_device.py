"""A CUDA device in torch: its tensors, copies parallel to the work, and recorded graphs of CUDA calls."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ProviderError
from .device import Fetch, Tensor, cuda_graphs

_CAPTURED = 4  # shapes whose graphs stay in memory: full batches of a few sizes
_WARM_UPS = 3  # runs before a capture, in which libraries choose their kernels and allocate

Tensors = Mapping[str, Tensor]
Call = Callable[[Tensors], dict[str, Tensor]]


def import_torch(provider: str) -> Any:
    """The package torch, imported only for the providers that use it. Raises ProviderError if it is missing."""
    try:
        import torch
    except ImportError as error:
        raise ProviderError(f"provider {provider} was requested, but torch is not installed. "
                            "Run: pip install 'cldm-runtime[torch]', or pass --provider cpu.") from error
    return torch


class TorchDevice:
    """The first CUDA device that torch sees. Raises ProviderError if it sees none."""

    ahead = 1

    def __init__(self, torch: Any, provider: str) -> None:
        if not torch.cuda.is_available():
            built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
            raise ProviderError(f"provider {provider} was requested, but torch {torch.__version__}, {built}, finds no "
                                "CUDA device. Check the driver (nvidia-smi) and install a torch built for CUDA, or "
                                "pass --provider cpu.")
        self._torch = torch
        self._copies = torch.cuda.Stream()

    def put(self, array: NDArray[Any]) -> Tensor:
        # Pinned, so that the copy runs parallel to the work; torch reuses pinned memory.
        pinned = self._torch.empty(array.shape, dtype=self._torch.from_numpy(np.empty(0, array.dtype)).dtype,
                                 pin_memory=True)
        pinned.numpy()[...] = array
        return pinned.to("cuda", non_blocking=True)

    def fetch(self, tensor: Tensor) -> Fetch:
        torch, done = self._torch, self._torch.cuda.Event()
        pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        self._copies.wait_stream(torch.cuda.current_stream())  # waits for work queued so far, not for later work
        with torch.cuda.stream(self._copies):
            pinned.copy_(tensor, non_blocking=True)
            done.record()
        tensor.record_stream(self._copies)

        def wait() -> NDArray[Any]:
            done.synchronize()
            array: NDArray[Any] = pinned.numpy()
            return array

        return wait


def captured(torch: Any, call: Call) -> Call:
    """The function, replayed from CUDA graphs unless they are turned off."""
    return Captured(torch, call) if cuda_graphs() else call


class Captured:
    """Calls of one function recorded as CUDA graphs, one for each shape of its inputs, and replayed.

    Capturing is faster if the GPU would wait for the host to launch small kernels, above all at small batches.
    """

    def __init__(self, torch: Any, call: Call) -> None:
        self._torch, self._call = torch, call
        self._graphs: OrderedDict[tuple[Any, ...], tuple[Any, dict[str, Tensor], dict[str, Tensor]]] = OrderedDict()

    def __call__(self, inputs: Tensors) -> dict[str, Tensor]:
        key = tuple((name, tuple(tensor.shape)) for name, tensor in sorted(inputs.items()))
        if key not in self._graphs:
            self._graphs[key] = self._capture(inputs)
            if len(self._graphs) > _CAPTURED:
                self._graphs.popitem(last=False)
        self._graphs.move_to_end(key)
        graph, buffers, outputs = self._graphs[key]
        for name, tensor in inputs.items():
            buffers[name].copy_(tensor)
        graph.replay()
        # Copied, because the next replay writes to the same memory.
        return {name: tensor.clone() for name, tensor in outputs.items()}

    def _capture(self, inputs: Tensors) -> tuple[Any, dict[str, Tensor], dict[str, Tensor]]:
        torch = self._torch
        buffers = {name: tensor.clone() for name, tensor in inputs.items()}
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARM_UPS):
                self._call(buffers)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = self._call(buffers)
        return graph, buffers, outputs
