"""OpenVINO on the CPU. Only this module of the runtime imports openvino, and only when that is used.

OpenVINO uses bfloat16 by default if the CPU has it, so the precision is always stated. A graph is compiled for the
exact shapes of its inputs, which measured 4 to 17 % faster than one compilation for any batch (docs/benchmarks.md).
"""

import io
import sys
from collections import OrderedDict
from functools import cache
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bundle.manifest import DType, GraphSpec
from ..errors import BundleError, ProviderError
from .description import Found, check_description
from .engine import Tensors, check_inputs
from .processor import available_cores

INSTALL = "pip install 'cldm-runtime[openvino]'"
_TYPES: dict[str, DType] = {"float32": "float32", "float16": "float16", "int64": "int64", "uint8": "uint8"}
_HINTS = {"fp32": "f32", "bf16": "bf16"}
_CAPABILITIES = {"fp32": "FP32", "bf16": "BF16"}
_COMPILED = 4  # shapes that stay compiled: batches with and without guidance, and a last batch that is shorter
_TELEMETRY = "openvino_telemetry"

Shapes = tuple[tuple[int, ...], ...]


class OpenVinoEngine:
    """One graph. Calls from several threads wait for each other."""

    def __init__(self, data: bytes, graph: GraphSpec, threads: int | None = None, precision: str = "fp32") -> None:
        self._graph, self._lock = graph, Lock()
        self._core = _core()
        _require_precision(self._core, precision)
        self._model = _read(data, graph)
        self._inputs = [port.get_any_name() for port in self._model.inputs]  # without unused ones
        self._requests: OrderedDict[Shapes, Any] = OrderedDict()
        self._options = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision], "EXECUTION_MODE_HINT": "ACCURACY",
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads or available_cores(), "CACHE_DIR": "",
            "ENABLE_CPU_PINNING": False,  # pinned, several processes would crowd the same cores
        }

    @property
    def provider(self) -> str:
        return "openvino"

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        check_inputs(self._graph, inputs)
        read = {name: np.ascontiguousarray(inputs[name]) for name in self._inputs}
        with self._lock:
            request = self._request({name: array.shape for name, array in read.items()})
            request.infer(read)
            # Copied, because an output lies in the request's memory.
            return {spec.name: np.array(request.get_tensor(spec.name).data) for spec in self._graph.outputs}

    def _request(self, shapes: dict[str, tuple[int, ...]]) -> Any:
        """The request compiled for inputs of these shapes. The least recently used one is dropped to make room."""
        key = tuple(shapes.values())
        if key not in self._requests:
            try:
                model = self._model.clone()
                model.reshape({name: list(shape) for name, shape in shapes.items()})
                self._requests[key] = self._core.compile_model(model, "CPU", self._options).create_infer_request()
            except RuntimeError as error:
                raise BundleError(f"graph {self._graph.file} does not run on openvino: {error} Pass --provider cpu.") \
                    from error
            if len(self._requests) > _COMPILED:
                self._requests.popitem(last=False)
        self._requests.move_to_end(key)
        return self._requests[key]


@cache
def _core() -> Any:
    return _openvino().Core()


def _openvino() -> Any:
    """The package without its telemetry, which would report the import to its makers over the network."""
    module = sys.modules.get(_TELEMETRY)
    if module is None:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # marks a module as missing for Python
    try:
        import openvino
    except ImportError as error:
        raise ProviderError("provider openvino was requested, but openvino is not installed. "
                            f"Run: {INSTALL}, or pass --provider cpu.") from error
    finally:
        if module is None:
            del sys.modules[_TELEMETRY]
    return openvino


def _require_precision(core: Any, precision: str) -> None:
    offered = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    precisions = [name for name, capability in _CAPABILITIES.items() if capability in offered]
    if precision not in precisions:
        raise ProviderError(f"precision {precision} was requested, but openvino says that this CPU offers: "
                            f"{', '.join(precisions)}. Pass --precision fp32.")


def _read(data: bytes, graph: GraphSpec) -> Any:
    """The model in the bytes, which must be ONNX: the reader that guesses the format is not used."""
    from openvino import frontend

    failures = (RuntimeError, frontend.GeneralFailure, frontend.InitializationFailure, frontend.NotImplementedFailure,
                frontend.OpConversionFailure, frontend.OpValidationFailure)
    try:
        reader = frontend.FrontEndManager().load_by_framework("onnx")
        source = reader.load(io.BytesIO(data))
        model = reader.convert(source)
        # From the source, because conversion drops unused inputs.
        inputs = [_found(place.get_names()[0], source.get_element_type(place), source.get_partial_shape(place))
                  for place in source.get_inputs()]
        described = {spec.name for spec in graph.outputs}
        outputs = [_found(next(iter(sorted(port.get_names() & described or port.get_names()))), port.element_type,
                          port.partial_shape) for port in model.outputs]
    except failures as error:
        raise BundleError(f"graph {graph.file} does not load on openvino: {error}") from error
    if not outputs:
        raise BundleError(f"graph {graph.file} does not load on openvino: it gives nothing.")
    check_description(graph, inputs, outputs)
    return model


def _found(name: str, element: Any, shape: Any) -> Found:
    kind = "dynamic" if element.is_dynamic() else str(element.to_dtype())
    if shape.rank.is_dynamic:
        return Found(name, kind, _TYPES.get(kind), None)
    sizes = tuple(size.get_length() if size.is_static else "N" for size in shape)
    return Found(name, kind, _TYPES.get(kind), sizes)
