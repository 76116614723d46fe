"""Engines run named tensors through a graph. They know nothing of diffusion."""

import os
from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from ..errors import BundleError, InputError, list_faults
from ..manifest import GraphSpec

PROVIDERS = ("cpu", "cuda", "tensorrt", "openvino", "torchscript")

Tensors = Mapping[str, NDArray[Any]]


class Engine(Protocol):
    """`provider` is the one obtained, which is always the one that was asked for."""

    @property
    def provider(self) -> str: ...

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        """Named inputs to named outputs. The outputs are the caller's to keep and change.

        Raises BundleError where the inputs do not fit the graph's description.
        """


def open_engine(data: bytes, graph: GraphSpec, provider: str = "cpu", threads: int | None = None) -> Engine:
    """An engine for the bytes of a graph: an ONNX model, or a TorchScript archive for the torchscript provider.

    Raises InputError for an unknown provider, ProviderError for one that is not installed or does not start, and
    BundleError for a graph that does not load or is not as described.
    """
    if provider not in PROVIDERS:
        raise InputError(f"provider {provider!r} is unknown. Known: {', '.join(PROVIDERS)}.")
    if provider == "torchscript":
        from .torchscript import TorchScriptEngine  # here, because it is the one that needs torch

        return TorchScriptEngine(data, graph, threads)
    from .onnx import OnnxEngine  # here, so that describing a bundle does not load onnxruntime

    return OnnxEngine(data, graph, provider, threads)


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


def available_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
