"""Compares a graph with its description in the manifest, in the same way for every engine."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..bundle.manifest import DType, GraphSpec, TensorSpec
from ..errors import BundleError, list_faults
from .engine import shapes_agree


class Found(NamedTuple):
    """A tensor as an engine describes it. `kind`: the engine's name of its type; `dtype`: the manifest's, None for
    types that bundles cannot have. A size that is not an integer is open; `shape` None: the number of axes is open."""

    name: str
    kind: str
    dtype: DType | None
    shape: tuple[Any, ...] | None


def check_description(graph: GraphSpec, inputs: Sequence[Found], outputs: Sequence[Found]) -> None:
    """Raise BundleError with a list of all differences between the graph and its description."""
    faults = [*_differences("input", graph.inputs, inputs), *_differences("output", graph.outputs, outputs)]
    if faults:
        raise BundleError(list_faults(f"graph {graph.file} is not as the manifest describes it.", faults))


def _differences(side: str, described: tuple[TensorSpec, ...], actual: Sequence[Found]) -> list[str]:
    tensors = {tensor.name: tensor for tensor in actual}
    faults = [f"{side} {name} is not described" for name in tensors.keys() - {spec.name for spec in described}]
    for spec in described:
        if spec.name not in tensors:
            faults.append(f"{side} {spec.name} is missing")
            continue
        tensor = tensors[spec.name]
        if tensor.dtype != spec.dtype or not _described(spec.shape, tensor.shape):
            shape = "of any shape" if tensor.shape is None else list(tensor.shape)
            faults.append(f"{side} {spec.name} is {tensor.kind} {shape}, described as {spec.dtype} {list(spec.shape)}")
    return faults


def _described(described: tuple[int | str, ...], actual: tuple[Any, ...] | None) -> bool:
    """Whether the shapes agree. An open size of the graph agrees with any; shape inference often leaves output sizes
    open."""
    if actual is None:
        return True
    sizes = tuple(other if isinstance(other, int) else size for size, other in zip(described, actual, strict=False))
    return len(described) == len(actual) and shapes_agree(described, sizes)
