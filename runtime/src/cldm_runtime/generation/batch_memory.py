"""Whether a batch of volumes fits in memory, before the first is generated."""

import math

import numpy as np

from ..bundle.manifest import Manifest, TensorSpec
from ..engines.free_memory import require_memory

_VOLUME = 3  # axes
_BYTES = np.dtype(np.float32).itemsize


def require_batch_memory(manifest: Manifest, batch_size: int) -> None:
    """Raise InputError where the tensors that one graph takes and gives for a batch of volumes are larger than the free
    memory. What a network needs between them comes on top, and is known to its engine alone."""
    shape = manifest.image.shape
    if len(shape) < _VOLUME:
        return
    values = max(sum(_values(spec) for spec in (*graph.inputs, *graph.outputs)) for graph in manifest.graphs.values())
    require_memory(_BYTES * values * batch_size, f"a batch of {batch_size} volumes of {list(shape)} voxels",
                   "Compute fewer at once, or use a machine with more memory.")


def _values(spec: TensorSpec) -> int:
    """Of one sample, as far as the manifest says."""
    return math.prod(size for size in spec.shape[1:] if isinstance(size, int))
