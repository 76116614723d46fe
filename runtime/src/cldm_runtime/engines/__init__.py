"""Engines run named tensors through a graph. They know nothing of diffusion."""

from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from ..errors import BundleError, InputError, ProviderError, list_faults
from ..manifest import GraphSpec
from .processor import available_cores as available_cores
from .processor import lacks_vnni

OFFERED = {
    "cpu": ("fp32",), "cuda": ("fp32", "tf32"), "tensorrt": ("fp32", "tf32"), "ort-tensorrt": ("fp32",),
    "openvino": ("fp32", "bf16"), "torchscript": ("fp32", "bf16"), "torchscript-cuda": ("fp32", "tf32", "bf16", "fp16")}
"""provider -> the precisions of its arithmetic; a graph that computes in fp16 or int8 does so with any of them."""
PROVIDERS = tuple(OFFERED)
# Networks that the CPU runs.
CPU_PROVIDERS = frozenset({"cpu", "openvino", "torchscript"})
TORCHSCRIPT = frozenset({"torchscript", "torchscript-cuda"})
AUTO = "auto"  # settled in choose.py, before an engine is opened
PRECISIONS = tuple(dict.fromkeys(precision for offered in OFFERED.values() for precision in offered))
BATCH = "N"  # what the open first axis of a graph is called

Tensors = Mapping[str, NDArray[Any]]


class Engine(Protocol):
    """`provider` is the one obtained, which is always the one that was asked for."""

    @property
    def provider(self) -> str: ...

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        """Named inputs to named outputs. The outputs are the caller's to keep and change.

        Raises BundleError where the inputs do not fit the graph's description.
        """


def open_engine(data: bytes, graph: GraphSpec, provider: str = "cpu", threads: int | None = None,
                precision: str = "fp32") -> Engine:
    """An engine for the bytes of a graph: an ONNX model, or a TorchScript archive for the torchscript providers.

    precision: of the arithmetic, one that the provider is `OFFERED` with. Raises InputError for an unknown provider or
    precision, ProviderError for one that is not installed, does not start or is not to be had, and BundleError for a
    graph that does not load or is not as described. TensorRT is opened by `Bundle.open`: it needs a reference.
    """
    check_provider(provider, precision)
    if provider == "tensorrt":
        raise ValueError("an engine of TensorRT is opened by Bundle.open")
    # Imported here, each because it is the one that needs its package.
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


def check_provider(provider: str, precision: str = "fp32") -> None:
    """Raise InputError for an unknown provider or precision, ProviderError for a precision that it does not offer."""
    if provider not in PROVIDERS:
        raise InputError(f"provider {provider!r} is unknown. Known: {', '.join(PROVIDERS)}.")
    if precision not in PRECISIONS:
        raise InputError(f"precision {precision!r} is unknown. Known: {', '.join(PRECISIONS)}.")
    if precision not in OFFERED[provider]:
        having = [name for name, offered in OFFERED.items() if precision in offered]
        raise ProviderError(f"precision {precision} was requested, but provider {provider} offers: "
                            f"{', '.join(OFFERED[provider])}. Pass --provider {having[0]}, or leave --precision out.")


def check_inputs(graph: GraphSpec, inputs: Tensors) -> None:
    """Raise BundleError where `inputs` do not have the names, types and shapes that the manifest describes."""
    faults = [f"input {name} is not described" for name in inputs.keys() - {spec.name for spec in graph.inputs}]
    for spec in graph.inputs:
        if spec.name not in inputs:
            faults.append(f"input {spec.name} is missing")
            continue
        array = inputs[spec.name]
        if array.dtype != spec.dtype or not shapes_agree(spec.shape, array.shape):
            faults.append(f"input {spec.name} is {array.dtype} {list(array.shape)}, "
                          f"expected {spec.dtype} {list(spec.shape)}")
    batches = {inputs[spec.name].shape[:1] for spec in graph.inputs if spec.name in inputs and spec.shape[0] == "N"}
    if len(batches) > 1:
        faults.append(f"batch sizes differ: {sorted(size[0] for size in batches if size)}")
    if faults:
        raise BundleError(list_faults(f"graph {graph.file} was given the wrong tensors.", sorted(faults)))


def shapes_agree(described: tuple[int | str, ...], found: tuple[Any, ...]) -> bool:
    """Whether `found` has the described sizes; a symbol such as "N" stands for any size."""
    return len(described) == len(found) and all(
        isinstance(size, str) or size == other for size, other in zip(described, found, strict=True))
