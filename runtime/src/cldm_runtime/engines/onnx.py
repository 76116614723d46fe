"""onnxruntime. A provider that was asked for and not obtained is an error, never a silent run on the CPU."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BundleError, ProviderError, list_faults
from ..manifest import DType, GraphSpec, TensorSpec
from . import Tensors, available_cores, check_inputs, shapes_agree

try:
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors
except ImportError as error:
    raise ProviderError("onnxruntime is not installed. Run: pip install 'cldm-runtime[cpu]', "
                        "or on a machine with an NVIDIA GPU: pip install 'cldm-runtime[gpu]'") from error

_NAMES = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider",
          "openvino": "OpenVINOExecutionProvider"}
_INSTALL = {"cpu": "pip install 'cldm-runtime[cpu]'", "cuda": "pip install 'cldm-runtime[gpu]'",
            "tensorrt": "pip install 'cldm-runtime[gpu]'", "openvino": "pip install onnxruntime-openvino"}
# TF32 has 10 bits of mantissa: fast, but outside the tolerances of an fp32 bundle.
_OPTIONS: dict[str, dict[str, str]] = {"cuda": {"use_tf32": "0"}}
_TYPES: dict[str, DType] = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(int64)": "int64",
                            "tensor(uint8)": "uint8"}
_SEVERITY_ERROR = 3
_LOAD_ERRORS = (RuntimeError, ValueError, ort_errors.Fail, ort_errors.InvalidArgument, ort_errors.InvalidGraph,
                ort_errors.InvalidProtobuf, ort_errors.NotImplemented, ort_errors.RuntimeException)


class OnnxEngine:
    """One graph in an onnxruntime session."""

    def __init__(self, data: bytes, graph: GraphSpec, provider: str = "cpu", threads: int | None = None) -> None:
        self._graph, self._provider = graph, provider
        self._session = _open_session(data, graph, provider, threads)
        self._outputs = [spec.name for spec in graph.outputs]
        _check_description(self._session, graph)

    @property
    def provider(self) -> str:
        return self._provider

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        check_inputs(self._graph, inputs)
        contiguous = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
        results = self._session.run(self._outputs, contiguous)
        # Copied, because an output may share memory with an input or with the session.
        return {name: np.array(result) for name, result in zip(self._outputs, results, strict=True)}


def declared_graph(data: bytes, file: str, threads: int | None = None) -> GraphSpec:
    """What an ONNX model says of itself, for a graph that no manifest describes: a size that it leaves open is "N" on
    the first axis and "?" elsewhere. Raises BundleError for bytes that do not load or types that bundles do not hold.
    """
    session = _open_session(data, GraphSpec(file, "", "fp32", (), ()), "cpu", threads)
    inputs, outputs = (tuple(_declared_tensor(tensor, file) for tensor in tensors)
                       for tensors in (session.get_inputs(), session.get_outputs()))
    return GraphSpec(file, hashlib.sha256(data).hexdigest(), "fp32", inputs, outputs)


def _declared_tensor(tensor: Any, file: str) -> TensorSpec:
    if tensor.type not in _TYPES:
        raise BundleError(f"graph {file}: {tensor.name} is {tensor.type}, expected one of {', '.join(_TYPES)}.")
    shape = tuple(size if isinstance(size, int) else "?" if axis else "N" for axis, size in enumerate(tensor.shape))
    return TensorSpec(tensor.name, _TYPES[tensor.type], shape, "as the graph declares it")


def _open_session(data: bytes, graph: GraphSpec, provider: str, threads: int | None) -> "onnxruntime.InferenceSession":
    wanted = _NAMES[provider]
    offered = onnxruntime.get_available_providers()
    if wanted not in offered:
        raise ProviderError(f"provider {provider} was requested, but onnxruntime offers: {', '.join(offered)}. "
                            f"Run: {_INSTALL[provider]}, or pass --provider cpu.")
    chosen = [(wanted, _OPTIONS.get(provider, {}))]
    try:
        session = onnxruntime.InferenceSession(data, _session_options(threads), providers=chosen)
    except _LOAD_ERRORS as error:
        raise BundleError(f"graph {graph.file} does not load: {error}") from error
    obtained = session.get_providers()
    if obtained[0] != wanted:
        raise ProviderError(f"provider {provider} was requested, but onnxruntime could only start: "
                            f"{', '.join(obtained)}. Check the driver and its libraries, or pass --provider cpu.")
    return session


def _session_options(threads: int | None) -> "onnxruntime.SessionOptions":
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _SEVERITY_ERROR
    options.intra_op_num_threads = threads or available_cores()
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    # Bytes are ONNX and nothing else; without this the format is guessed from them.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    return options


def _check_description(session: "onnxruntime.InferenceSession", graph: GraphSpec) -> None:
    faults = [*_differences("input", graph.inputs, session.get_inputs()),
              *_differences("output", graph.outputs, session.get_outputs())]
    if faults:
        raise BundleError(list_faults(f"graph {graph.file} is not as the manifest describes it.", faults))


def _differences(side: str, described: tuple[TensorSpec, ...], found: list[Any]) -> list[str]:
    tensors = {tensor.name: tensor for tensor in found}
    faults = [f"{side} {name} is not described" for name in tensors.keys() - {spec.name for spec in described}]
    for spec in described:
        if spec.name not in tensors:
            faults.append(f"{side} {spec.name} is missing")
            continue
        tensor = tensors[spec.name]
        shape = tuple(size if isinstance(size, int) else "N" for size in tensor.shape)
        if _TYPES.get(tensor.type) != spec.dtype or not _described(spec.shape, shape):
            faults.append(f"{side} {spec.name} is {tensor.type} {list(tensor.shape)}, described as "
                          f"{spec.dtype} {list(spec.shape)}")
    return faults


def _described(described: tuple[int | str, ...], found: tuple[Any, ...]) -> bool:
    """A size that the graph leaves open agrees with any; shape inference often leaves output sizes open."""
    known = tuple(size if other == "N" else other for size, other in zip(described, found, strict=False))
    return len(described) == len(found) and shapes_agree(described, known)
