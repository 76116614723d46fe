"""Opens the graphs of a bundle with a provider."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..bundle.bundle import Bundle
from ..bundle.manifest import GraphSpec
from ..bundle.onnx_scan import scan_model
from ..bundle.reference import Reference
from ..errors import BundleError, ProviderError, list_faults
from ..files.user_cache import private_folder
from .engine import TORCHSCRIPT, Engine, check_provider
from .processor import lacks_vnni
from .tensorrt_build import FOLDER, TENSORRT, plan_engine


def open_graph(bundle: Bundle, role: str, provider: str = "cpu", threads: int | None = None,
               precision: str = "fp32") -> Engine:
    """An engine for the graph of that role. `threads`: of one operator; None takes all cores. `precision`: one that
    the provider offers, see `engine.OFFERED`.

    Raises BundleError for a graph that is missing, altered or not allowed, ProviderError for a provider or precision
    that is not available.
    """
    graph = bundle.manifest.graphs.get(role)
    if graph is None:
        raise BundleError(f"bundle {bundle.path} has no graph {role}. It has: {', '.join(bundle.manifest.graphs)}.")
    check_provider(provider, precision)
    if provider in TORCHSCRIPT:
        if graph.torchscript is None:
            raise BundleError(f"bundle {bundle.path} holds no TorchScript form of {role}. Write it with "
                              "`cldm-train export --torchscript`, or pass another --provider.")
        return open_engine(bundle.read(graph.torchscript), graph, provider, threads, precision)
    data = bundle.read(graph)
    faults = scan_model(data)
    if faults:
        raise BundleError(list_faults(f"graph {bundle.path / graph.file} is refused.", faults))
    if provider == "tensorrt":
        from .tensorrt import TensorRtEngine  # here, because it needs tensorrt and torch

        tolerances = bundle.manifest.reference.tolerances
        return TensorRtEngine(data, graph, Reference.from_arrays(bundle.reference()).graphs[role],
                              {spec.name: tolerances[f"{role}/{spec.name}"] for spec in graph.outputs}, precision)
    return open_engine(data, graph, provider, threads, precision)


def open_engine(data: bytes, graph: GraphSpec, provider: str = "cpu", threads: int | None = None,
                precision: str = "fp32") -> Engine:
    """An engine for the bytes of a graph: an ONNX model, or a TorchScript archive for the torchscript providers.

    precision: of the arithmetic, one that the provider is `OFFERED` with. Raises InputError for an unknown provider or
    precision, ProviderError for one that is not installed, not available or does not start, and BundleError for a
    graph that does not load or differs from its description. TensorRT is opened by `open_graph`: it needs a reference.
    """
    check_provider(provider, precision)
    if provider == "tensorrt":
        raise ValueError("an engine of TensorRT is opened by open_graph")
    # Imported here, because each needs its own package.
    if provider == "openvino":
        from .openvino import OpenVinoEngine

        return OpenVinoEngine(data, graph, threads, precision)
    if provider in TORCHSCRIPT:
        from .torchscript import TorchScriptEngine

        return TorchScriptEngine(data, graph, provider, threads, precision)
    if provider == "cpu" and graph.precision == "int8" and lacks_vnni():
        raise ProviderError(f"graph {graph.file} computes in int8, which on provider cpu needs the VNNI instructions "
                            "that this processor lacks. Take a bundle that computes in fp32, or --provider openvino.")
    from .onnx import open_onnx

    return open_onnx(data, graph, provider, threads, precision)


def build_engines(bundle: Bundle, batches: Sequence[int], say: Callable[[str], None] = lambda text: None,
                  precision: str = "fp32") -> list[Path]:
    """Build the missing engines of every graph of a bundle for these batch sizes, and test all of them.

    say: receives the progress, a line at a time. Raises ProviderError and BundleError.
    """
    written: list[Path] = []
    pairs = [(role, batch) for role in bundle.manifest.graphs for batch in batches]
    for number, (role, batch) in enumerate(pairs, 1):
        plan = plan_engine(bundle.manifest.graphs[role], batch, precision)
        path = private_folder(FOLDER) / plan.name
        state = "is there, is tested" if path.exists() else "is built, which takes minutes"
        what = f"{role}, batch {batch}, TensorRT {plan.tensorrt} on {plan.gpu}"
        say(f"engine {number} of {len(pairs)}: {what}: {state} ...")
        engine: Any = open_graph(bundle, role, TENSORRT, precision=precision)
        engine.prepare(batch)
        written.append(path)
    return written
