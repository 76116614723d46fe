"""The interface of engines, named tensors in, named tensors out, with all providers and precisions."""

from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from ..bundle.manifest import GraphSpec
from ..errors import BundleError, InputError, ProviderError, list_faults

OFFERED = {
    "cpu": ("fp32",), "cuda": ("fp32", "tf32"), "tensorrt": ("fp32", "tf32"), "ort-tensorrt": ("fp32",),
    "openvino": ("fp32", "bf16"), "torchscript": ("fp32", "bf16"), "torchscript-cuda": ("fp32", "tf32", "bf16", "fp16")}
PROVIDERS = tuple(OFFERED)
# Networks that the CPU runs.
CPU_PROVIDERS = frozenset({"cpu", "openvino", "torchscript"})
TORCHSCRIPT = frozenset({"torchscript", "torchscript-cuda"})
AUTO = "auto"  # resolved in choose.py, before an engine is opened
PRECISIONS = tuple(dict.fromkeys(precision for offered in OFFERED.values() for precision in offered))
BATCH = "N"  # name of the open first axis of a graph
Tensors = Mapping[str, NDArray[Any]]


class Engine(Protocol):
    """`provider` is the one in use, always the requested one."""

    @property
    def provider(self) -> str: ...

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        """Named inputs to named outputs. The outputs belong to the caller.

        Raises BundleError if the inputs do not match the graph's description.
        """


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
    """Raise BundleError if `inputs` do not have the names, types and shapes of the manifest's description."""
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


def shapes_agree(described: tuple[int | str, ...], actual: tuple[Any, ...]) -> bool:
    """Whether `actual` has the described sizes; a symbol such as "N" stands for any size."""
    return len(described) == len(actual) and all(
        isinstance(size, str) or size == other for size, other in zip(described, actual, strict=True))
