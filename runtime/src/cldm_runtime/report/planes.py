"""What a report shows of an image that is no grey slice: one plane of a volume, and the first channel."""

import numpy as np
from numpy.typing import NDArray

from ..domains.domain import Domain
from ..domains.labels import LabelMap


def shown_plane(domain: Domain, labels: LabelMap) -> tuple[int, ...]:
    """Index into a (*spatial) image that leaves a slice.

    It is empty for a slice. Of a volume it is the plane across its first axis that holds most of the lesion or, without
    a lesion in it, most of what is labelled; the middle one of those that hold as much.
    """
    if labels.ndim == 2:
        return ()
    lesion = np.zeros(labels.shape, bool) if domain.lesion is None else domain.labels.region(labels, domain.lesion)
    counted: NDArray[np.int64] = (lesion if lesion.any() else labels > 0).sum(axis=(1, 2))
    best = np.flatnonzero(counted == counted.max())
    return (int(best[len(best) // 2]),)


def what_is_shown(shape: tuple[int, ...], channels: int, plane: tuple[int, ...]) -> str:
    """In words for a caption, of an image of that spatial shape; "" for a grey slice."""
    parts = [f"plane {plane[0] + 1} of {shape[0]}"] if plane else []
    parts += [f"channel 1 of {channels}"] if channels > 1 else []
    return f", {', '.join(parts)}" if parts else ""
