"""The part of an image that a report shows: one plane of a volume, and the first channel."""

import numpy as np
from numpy.typing import NDArray

from ..domains.domain import Domain
from ..domains.labels import LabelMap


def shown_plane(domain: Domain, labels: LabelMap) -> tuple[int, ...]:
    """Index into a (*spatial) image that gives a slice.

    It is empty for a slice. For a volume it is the plane across the first axis with most voxels of the lesion or, if
    there is no lesion, with most labelled voxels; of several such planes, the middle one.
    """
    if labels.ndim == 2:
        return ()
    lesion = np.zeros(labels.shape, bool) if domain.lesion is None else domain.labels.region(labels, domain.lesion)
    counted: NDArray[np.int64] = (lesion if lesion.any() else labels > 0).sum(axis=(1, 2))
    best = np.flatnonzero(counted == counted.max())
    return (int(best[len(best) // 2]),)


def what_is_shown(shape: tuple[int, ...], channels: int, plane: tuple[int, ...]) -> str:
    """The shown part of an image of that spatial shape, as text for a caption; "" for a grey slice."""
    parts = [f"plane {plane[0] + 1} of {shape[0]}"] if plane else []
    parts += [f"channel 1 of {channels}"] if channels > 1 else []
    return f", {', '.join(parts)}" if parts else ""
