"""onnxruntime on a device: tensors that stay there between graphs, bound buffers, and CUDA graphs.

onnxruntime has no arithmetic on tensors outside graphs, so the sums that samplers compute between two calls of a
network are a graph too: `linear.onnx`, y = w_0 a + w_1 b + w_2 c + w_3 d.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ..bundle.manifest import GraphSpec
from .device import Device, Fetch, Tensor, run_on
from .engine import Tensors, check_inputs

TERMS = "abcd"  # the inputs of linear.onnx
_MOST_BATCH_SIZES = 4  # whose sessions and buffers stay in memory

Open = Callable[[int], "onnxruntime.InferenceSession"]


@cache
def linear_graph() -> bytes:
    """The ONNX model of a weighted sum of tensors."""
    return files(__package__).joinpath("linear.onnx").read_bytes()


class OnnxDevice:
    """A device of onnxruntime, "cuda" or, for tests, "cpu". `linear` is the session of linear.onnx on it."""

    ahead = 1

    def __init__(self, name: str, linear: "onnxruntime.InferenceSession") -> None:
        self.name, self._linear = name, linear
        self._copies = ThreadPoolExecutor(max_workers=1)

    def put(self, array: NDArray[Any]) -> "DeviceTensor":
        return DeviceTensor(self, array.shape, host=np.ascontiguousarray(array))

    def fetch(self, tensor: Tensor) -> Fetch:
        return self._copies.submit(lambda: np.array(tensor.value().numpy())).result

    def empty(self, shape: tuple[int, ...], dtype: Any = np.float32) -> Any:
        """An OrtValue with undefined content."""
        return onnxruntime.OrtValue.ortvalue_from_shape_and_type(list(shape), dtype, self.name, 0)

    def upload(self, array: NDArray[Any]) -> Any:
        """A copy of the array as an OrtValue."""
        return onnxruntime.OrtValue.ortvalue_from_numpy(array, self.name, 0)

    def add_up(self, terms: list[tuple[Any, float]], to: Any) -> None:
        """Write the weighted sum of one to four OrtValues of one shape to another one, which may be among them."""
        weights = np.zeros(len(TERMS), np.float32)
        weights[:len(terms)] = [weight for _, weight in terms]
        binding = self._linear.io_binding()
        binding.bind_cpu_input("weights", weights)
        for place, name in enumerate(TERMS):
            binding.bind_ortvalue_input(name, terms[min(place, len(terms) - 1)][0])
        binding.bind_ortvalue_output("y", to)
        self._linear.run_with_iobinding(binding)


class DeviceTensor:
    """A weighted sum of values on a device. It is computed only when its numbers are needed."""

    def __init__(self, device: OnnxDevice, shape: tuple[int, ...], terms: Mapping[int, tuple[Any, float]] | None = None,
                 host: NDArray[Any] | None = None) -> None:
        """terms: id -> (OrtValue, weight). host: numbers that have not been copied to the device yet."""
        self.device, self.shape, self._host = device, shape, host
        self._terms = dict(terms or {})

    @classmethod
    def of(cls, device: OnnxDevice, value: Any, shape: tuple[int, ...]) -> "DeviceTensor":
        """The tensor of one OrtValue."""
        return cls(device, shape, {id(value): (value, 1.0)})

    def __len__(self) -> int:
        return self.shape[0]

    def __mul__(self, number: float) -> "DeviceTensor":
        return DeviceTensor(self.device, self.shape,
                            {key: (value, weight * number) for key, (value, weight) in self._uploaded().items()})

    __rmul__ = __mul__

    def __truediv__(self, number: float) -> "DeviceTensor":
        return self * (1.0 / number)

    def __add__(self, other: "DeviceTensor") -> "DeviceTensor":
        terms = dict(self._uploaded())
        for key, (value, weight) in other._uploaded().items():
            terms[key] = (value, terms[key][1] + weight if key in terms else weight)
        return DeviceTensor(self.device, self.shape, terms)

    def __sub__(self, other: "DeviceTensor") -> "DeviceTensor":
        return self + other * -1.0

    def value(self) -> Any:
        """The OrtValue of the sum, computed once."""
        terms = list(self._uploaded().values())
        if len(terms) == 1 and terms[0][1] == 1.0:
            return terms[0][0]
        total = self.device.empty(self.shape)
        self._add_up(terms, total)
        self._terms = {id(total): (total, 1.0)}
        return total

    def write_to(self, value: Any) -> None:
        """Write the numbers to an OrtValue of the same shape."""
        if self._host is not None and not self._terms:
            value.update_inplace(self._host)
        else:
            self.device.add_up([(self.value(), 1.0)], value)

    def _add_up(self, terms: list[tuple[Any, float]], total: Any) -> None:
        self.device.add_up(terms[:len(TERMS)], total)
        rest = terms[len(TERMS):]
        while rest:
            self.device.add_up([(total, 1.0), *rest[:len(TERMS) - 1]], total)
            rest = rest[len(TERMS) - 1:]

    def _uploaded(self) -> dict[int, tuple[Any, float]]:
        if not self._terms:
            assert self._host is not None
            value = self.device.upload(self._host)
            self._terms = {id(value): (value, 1.0)}
        return self._terms


class _Bound(NamedTuple):
    """A session for one batch size, with its fixed input and output buffers."""

    session: "onnxruntime.InferenceSession"
    binding: Any
    inputs: dict[str, Any]
    outputs: dict[str, Any]


class OnnxDeviceEngine:
    """One graph on a device. Each batch size has a session with static shapes and buffers at fixed addresses, because
    CUDA graphs need both. `open_session` opens one for a batch size."""

    def __init__(self, graph: GraphSpec, provider: str, device: OnnxDevice, open_session: Open) -> None:
        self._graph, self._provider, self._open = graph, provider, open_session
        self._device = device
        self._bound: OrderedDict[int, _Bound] = OrderedDict()

    @property
    def provider(self) -> str:
        return self._provider

    @property
    def device(self) -> Device:
        return self._device

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        check_inputs(self._graph, inputs)
        return run_on(self._device, self.launch, inputs)

    def launch(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        bound = self._for(len(next(iter(inputs.values()))))
        for name, value in bound.inputs.items():
            inputs[name].write_to(value)
        bound.session.run_with_iobinding(bound.binding)
        # Copied, because the next run writes to the same memory.
        return {name: self._copy(value) for name, value in bound.outputs.items()}

    def _copy(self, value: Any) -> DeviceTensor:
        shape = tuple(value.shape())
        copy = self._device.empty(shape)
        self._device.add_up([(value, 1.0)], copy)
        return DeviceTensor.of(self._device, copy, shape)

    def _for(self, batch: int) -> _Bound:
        if batch not in self._bound:
            self._bound[batch] = self._bind(batch)
            if len(self._bound) > _MOST_BATCH_SIZES:
                self._bound.popitem(last=False)
        self._bound.move_to_end(batch)
        return self._bound[batch]

    def _bind(self, batch: int) -> _Bound:
        session = self._open(batch)
        binding = session.io_binding()
        read = {tensor.name for tensor in session.get_inputs()}
        inputs, outputs = ({spec.name: self._device.empty((batch, *map(int, spec.shape[1:])), np.dtype(spec.dtype))
                            for spec in specs} for specs in (self._graph.inputs, self._graph.outputs))
        inputs = {name: value for name, value in inputs.items() if name in read}
        for name, value in inputs.items():
            binding.bind_ortvalue_input(name, value)
        for name, value in outputs.items():
            binding.bind_ortvalue_output(name, value)
        return _Bound(session, binding, inputs, outputs)
