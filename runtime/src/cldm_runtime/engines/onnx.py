"""onnxruntime. If the requested provider is not available, that is an error, never a silent run on the CPU."""

import hashlib
import sys
from contextlib import redirect_stdout
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..bundle.manifest import DType, GraphSpec, TensorSpec
from ..errors import BundleError, CldmError, ProviderError, WorkerError
from ..files.user_cache import private_folder
from .description import Found, check_description
from .device import cuda_graphs
from .engine import BATCH, Engine, Tensors, check_inputs
from .processor import available_cores

try:
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors
except ImportError as error:
    raise ProviderError("onnxruntime is not installed. Run: pip install 'cldm-runtime[cpu]', "
                        "or on a machine with an NVIDIA GPU: pip install 'cldm-runtime[gpu]'") from error

_GPU = "pip install 'cldm-runtime[gpu]'"


class _Kind(NamedTuple):
    """A provider in onnxruntime: its name there, followed by the providers of operators that it lacks, and the pip
    command that installs it."""

    names: tuple[str, ...]
    install: str = _GPU


_CUDA = "CUDAExecutionProvider"
_KINDS = {"cpu": _Kind(("CPUExecutionProvider",), "pip install 'cldm-runtime[cpu]'"), "cuda": _Kind((_CUDA,)),
          "ort-tensorrt": _Kind(("TensorrtExecutionProvider", _CUDA))}
_TYPES: dict[str, DType] = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(int64)": "int64",
                            "tensor(uint8)": "uint8"}
_SEVERITY_ERROR = 3
_LOAD_ERRORS = (RuntimeError, ValueError, ort_errors.Fail, ort_errors.InvalidArgument, ort_errors.InvalidGraph,
                ort_errors.InvalidProtobuf, ort_errors.NotImplemented, ort_errors.RuntimeException)


def open_onnx(data: bytes, graph: GraphSpec, provider: str = "cpu", threads: int | None = None,
              precision: str = "fp32") -> Engine:
    """An engine for an ONNX model on the CPU, or on a CUDA device whose memory its tensors do not leave."""
    if provider == "cpu":
        return OnnxEngine(data, graph, threads)
    from .onnx_device import OnnxDevice, OnnxDeviceEngine, linear_graph  # here, because only CUDA needs it

    with redirect_stdout(sys.stderr):  # it prints the libraries that are missing
        onnxruntime.preload_dlls()  # CUDA's libraries, if pip has installed them
    # Before anything is bound, so that a missing provider and a wrong graph give different errors.
    session = _open_session(data, graph, provider, threads, precision)
    check_description(graph, _found(session.get_inputs()), _found(session.get_outputs()))
    del session
    linear = GraphSpec("linear.onnx", "", "fp32", (), ())
    device = OnnxDevice("cuda", _open_session(linear_graph(), linear, "cuda", threads, precision))
    return OnnxDeviceEngine(graph, provider, device,
                            lambda batch: _open_captured(data, graph, provider, threads, precision, batch))


def _open_captured(data: bytes, graph: GraphSpec, provider: str, threads: int | None, precision: str,
                   batch: int) -> "onnxruntime.InferenceSession":
    """A session for one batch size that records its CUDA calls once and replays them. If onnxruntime runs a node of the
    graph on the host, the graph cannot be recorded, and is run call by call."""
    try:
        return _open_session(data, graph, provider, threads, precision, batch, capture=cuda_graphs())
    except BundleError:
        return _open_session(data, graph, provider, threads, precision, batch)


class OnnxEngine:
    """One graph in an onnxruntime session on the CPU."""

    def __init__(self, data: bytes, graph: GraphSpec, threads: int | None = None) -> None:
        self._graph = graph
        self._session = _open_session(data, graph, "cpu", threads)
        self._outputs = [spec.name for spec in graph.outputs]
        check_description(graph, _found(self._session.get_inputs()), _found(self._session.get_outputs()))

    @property
    def provider(self) -> str:
        return "cpu"

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        check_inputs(self._graph, inputs)
        contiguous = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
        try:
            results = self._session.run(self._outputs, contiguous)
        except _LOAD_ERRORS as error:
            raise _not_run(self._graph, error) from error
        # Copied, because an output may share memory with an input or with the session.
        return {name: np.array(result) for name, result in zip(self._outputs, results, strict=True)}


def _not_run(graph: GraphSpec, error: Exception) -> CldmError:
    """What to raise where onnxruntime fails while it runs a graph: most often it has no memory left."""
    if "alloc" in str(error).lower():
        return WorkerError(f"graph {graph.file}: out of memory ({error}). Compute fewer images at once, in fewer "
                           "processes: --batch-size and --workers of cldm-gen and cldm evaluate.")
    return BundleError(f"graph {graph.file} cannot be run: {error}. Check the bundle with cldm verify.")


def declared_graph(data: bytes, file: str, threads: int | None = None) -> GraphSpec:
    """The inputs and outputs that an ONNX model states, for a graph that no manifest describes. An open size is "N" on
    the first axis and "?" elsewhere. Raises BundleError for bytes that do not load or types that bundles cannot have.
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


def _open_session(data: bytes, graph: GraphSpec, provider: str, threads: int | None, precision: str = "fp32",
                  batch: int | None = None, capture: bool = False) -> "onnxruntime.InferenceSession":
    """batch: the only batch size that the session accepts; None: any. capture: record and replay CUDA graphs."""
    kind = _KINDS[provider]
    offered = onnxruntime.get_available_providers()
    if kind.names[0] not in offered:
        raise ProviderError(f"provider {provider} was requested, but onnxruntime offers: {', '.join(offered)}. "
                            f"Run: {kind.install}, or pass --provider cpu.")
    chosen = [(name, _provider_options(name, precision, capture)) for name in kind.names]
    try:
        session = onnxruntime.InferenceSession(data, _session_options(threads, batch), providers=chosen)
    except _LOAD_ERRORS as error:
        raise BundleError(f"graph {graph.file} does not load: {error}") from error
    obtained = session.get_providers()
    if obtained[0] != kind.names[0]:
        raise ProviderError(f"provider {provider} was requested, but onnxruntime could only start: "
                            f"{', '.join(obtained)}. Check the driver and its libraries, or pass --provider cpu.")
    return session


def _provider_options(name: str, precision: str, capture: bool) -> dict[str, str]:
    """The options of a provider. TF32 has 10 bits of mantissa: fast, but outside the tolerances of an fp32 bundle."""
    if name == _CUDA:
        return {"use_tf32": str(int(precision == "tf32")), "enable_cuda_graph": str(int(capture))}
    if name == "TensorrtExecutionProvider":
        folder = str(private_folder("onnxruntime-tensorrt"))
        return {"trt_engine_cache_enable": "1", "trt_engine_cache_path": folder, "trt_timing_cache_enable": "1",
                "trt_timing_cache_path": folder, "trt_cuda_graph_enable": str(int(capture))}
    return {}


def _session_options(threads: int | None, batch: int | None) -> "onnxruntime.SessionOptions":
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _SEVERITY_ERROR
    options.intra_op_num_threads = threads or available_cores()
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    # The bytes must be ONNX. Without this, onnxruntime guesses the format from them.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    if batch is not None:
        options.add_free_dimension_override_by_name(BATCH, batch)
    return options


def _found(tensors: list[Any]) -> list[Found]:
    return [Found(tensor.name, tensor.type, _TYPES.get(tensor.type), tuple(tensor.shape)) for tensor in tensors]
