"""TensorRT engines: their plans, and how they are built and cached on the machine that runs them.

Written for the TensorRT 11 API: networks are strongly typed, so the graph states the precision of every operator. An
engine is compiled for one GPU, one version of TensorRT and one batch size, and is code. So it is never part of a
bundle: it lies in a private folder of this user, and its name is the digest of everything that it was made from.
"""

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..bundle.manifest import GraphSpec
from ..errors import BundleError, ProviderError
from ..files.atomic import write_bytes
from ..files.user_cache import private_folder
from .torch_device import TorchDevice, import_torch

if TYPE_CHECKING:
    pass

INSTALL = "pip install 'cldm-runtime[tensorrt]'"
FOLDER = "tensorrt"
TENSORRT = "tensorrt"
_DIGEST = 32  # bytes of SHA-256 before the plan in a file
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class EnginePlan:
    """Everything that an engine is made from. shapes: of every input, in the only profile, whose minimum, optimum and
    maximum are equal, because other sizes than the optimum are slow."""

    graph_sha256: str
    shapes: Shapes
    tensorrt: str
    gpu: str
    compute_capability: tuple[int, int]
    tf32: bool = False

    @property
    def name(self) -> str:
        """The engine's file name."""
        return f"{_digest(asdict(self))}.engine"

    @property
    def timings(self) -> str:
        """The name of the file with the times of kernels on this GPU. It makes the next build faster."""
        return f"{_digest([self.tensorrt, self.gpu, self.compute_capability])}.timings"


def _digest(facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def profile(graph: GraphSpec, batch: int) -> Shapes:
    """The shapes of a graph's inputs for one batch size."""
    return {spec.name: tuple(batch if isinstance(size, str) else size for size in spec.shape) for spec in graph.inputs}


def plan_engine(graph: GraphSpec, batch: int, precision: str = "fp32") -> EnginePlan:
    """The plan for a graph's engine on this machine's GPU. Raises ProviderError if TensorRT or a GPU is missing."""
    trt, torch = import_tensorrt(), import_torch(TENSORRT)
    TorchDevice(torch, TENSORRT)
    major, minor = torch.cuda.get_device_capability(0)
    return EnginePlan(graph.sha256, profile(graph, batch), str(trt.__version__), str(torch.cuda.get_device_name(0)),
                      (int(major), int(minor)), precision == "tf32")


def import_tensorrt() -> Any:
    """The package tensorrt. Raises ProviderError if it is missing."""
    try:
        import tensorrt
    except ImportError as error:
        raise ProviderError("provider tensorrt was requested, but tensorrt is not installed. "
                            f"Run: {INSTALL} (with torch built for CUDA), or pass --provider cuda.") from error
    return tensorrt


def missing() -> str | None:
    """Why no engine can be built here; None if it can."""
    try:
        import_tensorrt()
        TorchDevice(import_torch(TENSORRT), TENSORRT)
    except ProviderError as error:
        return str(error)
    return None


def read_engine(plan: EnginePlan) -> bytes | None:
    """The engine of a plan, if it was built before; None if it is missing or damaged."""
    path = private_folder(FOLDER) / plan.name
    with suppress(FileNotFoundError):
        if path.is_symlink():
            return None
        data = path.read_bytes()
        if hashlib.sha256(data[_DIGEST:]).digest() == data[:_DIGEST]:
            return data[_DIGEST:]
    return None


def write_engine(plan: EnginePlan, data: bytes) -> Path:
    """Store an engine under its plan's name."""
    return _write(private_folder(FOLDER) / plan.name, hashlib.sha256(data).digest() + data)


def build_engine(model: bytes, graph: GraphSpec, plan: EnginePlan) -> bytes:
    """Compile an ONNX model. Raises BundleError for a model that TensorRT rejects, ProviderError if building fails."""
    trt = import_tensorrt()
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))  # for version 10
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(model):
        faults = "; ".join(str(parser.get_error(number)) for number in range(parser.num_errors))
        raise BundleError(f"graph {graph.file} is not taken by TensorRT {plan.tensorrt}: {faults}. Pass --provider "
                          "cuda.")
    config = builder.create_builder_config()
    if not plan.tf32:
        config.clear_flag(trt.BuilderFlag.TF32)
    shapes = builder.create_optimization_profile()
    for number in range(network.num_inputs):  # without unused ones
        name = network.get_input(number).name
        shapes.set_shape(name, *[plan.shapes[name]] * 3)
    config.add_optimization_profile(shapes)
    timings = private_folder(FOLDER) / plan.timings
    cache = config.create_timing_cache(timings.read_bytes() if timings.is_file() else b"")
    config.set_timing_cache(cache or config.create_timing_cache(b""), ignore_mismatch=False)
    built = builder.build_serialized_network(network, config)
    if built is None:
        raise ProviderError(f"graph {graph.file}: TensorRT {plan.tensorrt} could not build an engine on {plan.gpu}. "
                            "Pass --provider cuda.")
    if (measured := config.get_timing_cache()) is not None:
        _write(timings, bytes(measured.serialize()))
    return bytes(built)


def _write(path: Path, data: bytes) -> Path:
    try:
        write_bytes(path, data)
    except OSError as error:
        raise ProviderError(f"{path}: cannot be written ({error.strerror}). Free some space, or set CLDM_CACHE.") \
            from error
    return path
