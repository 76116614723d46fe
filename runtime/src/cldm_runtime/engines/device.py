"""Where an engine's tensors live while a batch is made: in the host's memory, or on a GPU from one graph to the next.

A tensor of a device has a `shape`, a length, and the arithmetic that samplers do: sums, differences, products with
numbers. What a numpy array is on the host, a `torch.Tensor` or a `DeviceTensor` is on a GPU.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from .engine import Engine

Tensor = Any  # of a device; numpy arrays on the host
Fetch = Callable[[], NDArray[Any]]


class Device(Protocol):
    """`ahead`: how many batches are begun before the first of them is waited for."""

    @property
    def ahead(self) -> int: ...

    def put(self, array: NDArray[Any]) -> Tensor:
        """A tensor of the device that holds what the array holds."""

    def fetch(self, tensor: Tensor) -> Fetch:
        """Begin to copy a tensor to the host. What is returned waits for the copy; the array is the caller's."""


class DeviceEngine(Engine, Protocol):
    """An engine whose tensors can stay where it computes."""

    @property
    def device(self) -> Device: ...

    def launch(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Named tensors of the device to named tensors of the device, which are the caller's to keep. The work may go
        on after the call; whatever reads the outputs comes after it."""


class Host:
    """The host's own memory: nothing is copied, nothing goes on behind anybody's back."""

    ahead = 0

    def put(self, array: NDArray[Any]) -> NDArray[Any]:
        return array

    def fetch(self, tensor: NDArray[Any]) -> Fetch:
        return lambda: tensor


HOST = Host()


def run_on(device: Device, begin: Callable[[Mapping[str, Tensor]], dict[str, Tensor]],
           inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """An engine's `run` by its `launch`: arrays to the device, and what comes out of it back."""
    outputs = begin({name: device.put(array) for name, array in inputs.items()})
    copies = {name: device.fetch(tensor) for name, tensor in outputs.items()}
    return {name: wait() for name, wait in copies.items()}


def cuda_graphs() -> bool:
    """Whether engines record their CUDA calls and replay them: unless the environment says CLDM_CUDA_GRAPHS=0."""
    return os.environ.get("CLDM_CUDA_GRAPHS", "1") != "0"


def device_of(engine: Engine) -> Device:
    """Where the engine's tensors stay: the host, unless it can leave them elsewhere."""
    if not hasattr(engine, "launch"):
        return HOST
    device: Device = engine.device  # type: ignore[attr-defined]  # it is a DeviceEngine
    return device


def launch(engine: Engine, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Run an engine on tensors of its device."""
    begin: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] = getattr(engine, "launch", engine.run)
    return begin(inputs)
