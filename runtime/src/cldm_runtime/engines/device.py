"""The device of an engine's tensors while a batch is computed: the host's memory, or a GPU.

A tensor of a device has a `shape`, a length, and the arithmetic that samplers need: sums, differences, products with
numbers. It is a numpy array on the host, and a `torch.Tensor` or a `DeviceTensor` on a GPU.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from .engine import Engine

Tensor = Any  # of a device; numpy arrays on the host
Fetch = Callable[[], NDArray[Any]]


class Device(Protocol):
    """`ahead`: number of batches that are started before the first is waited for."""

    @property
    def ahead(self) -> int: ...

    def put(self, array: NDArray[Any]) -> Tensor:
        """A copy of the array as a tensor of the device."""

    def fetch(self, tensor: Tensor) -> Fetch:
        """Start to copy a tensor to the host. The returned function waits for the copy and returns the array, which
        belongs to the caller."""


class DeviceEngine(Engine, Protocol):
    """An engine whose tensors can stay on its device."""

    @property
    def device(self) -> Device: ...

    def launch(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Named tensors of the device to named tensors of the device, which belong to the caller. The work may continue
        after the call; every later operation on the outputs waits for it."""


class Host:
    """The host's own memory. Nothing is copied, and all work is done when a call returns."""

    ahead = 0

    def put(self, array: NDArray[Any]) -> NDArray[Any]:
        return array

    def fetch(self, tensor: NDArray[Any]) -> Fetch:
        return lambda: tensor


HOST = Host()


def run_on(device: Device, begin: Callable[[Mapping[str, Tensor]], dict[str, Tensor]],
           inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """An engine's `run`, made from its `launch`: copies arrays to the device, and the outputs back."""
    outputs = begin({name: device.put(array) for name, array in inputs.items()})
    copies = {name: device.fetch(tensor) for name, tensor in outputs.items()}
    return {name: wait() for name, wait in copies.items()}


def cuda_graphs() -> bool:
    """Whether engines record their CUDA calls and replay them: yes, unless CLDM_CUDA_GRAPHS=0 is set."""
    return os.environ.get("CLDM_CUDA_GRAPHS", "1") != "0"


def device_of(engine: Engine) -> Device:
    """The device of the engine's tensors; the host for engines without one."""
    if not hasattr(engine, "launch"):
        return HOST
    device: Device = engine.device  # type: ignore[attr-defined]  # it is a DeviceEngine
    return device


def launch(engine: Engine, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Run an engine on tensors of its device."""
    begin: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] = getattr(engine, "launch", engine.run)
    return begin(inputs)
