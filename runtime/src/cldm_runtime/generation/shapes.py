"""Shapes of samples in the tensors of graphs."""

from typing import Any

from ..bundle.manifest import TensorSpec
from ..errors import BundleError


def sample_shape(spec: TensorSpec) -> tuple[int, ...]:
    """The shape of one sample: every dimension after the batch, which must be a number."""
    sizes: list[Any] = list(spec.shape[1:])
    if any(isinstance(size, str) for size in sizes):
        raise BundleError(f"input {spec.name} has the shape {list(spec.shape)}; only the batch size may be open.")
    return tuple(sizes)
