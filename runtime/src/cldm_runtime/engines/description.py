"""Is a graph what the manifest says it is? The same question for every engine."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..bundle.manifest import DType, GraphSpec, TensorSpec
from ..errors import BundleError, list_faults
from .engine import shapes_agree


class Found(NamedTuple):
    """A tensor as an engine describes it. `kind`: its type in the engine's words; `dtype`: in the manifest's, None
    where bundles hold no such type. A size that is not an integer is open; `shape` None: even the number of axes is."""

    name: str
    kind: str
    dtype: DType | None
    shape: tuple[Any, ...] | None


def check_description(graph: GraphSpec, inputs: Sequence[Found], outputs: Sequence[Found]) -> None:
    """Raise BundleError that lists everything in which the graph is not as described."""
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
    """A size that the graph leaves open agrees with any; shape inference often leaves output sizes open."""
    if actual is None:
        return True
    sizes = tuple(other if isinstance(other, int) else size for size, other in zip(described, actual, strict=False))
    return len(described) == len(actual) and shapes_agree(described, sizes)
