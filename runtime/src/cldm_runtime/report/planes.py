"""The part of an image that a report shows: planes of a volume, and the first channel."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..domains.domain import Domain
from ..domains.labels import LabelMap

ACROSS = ("z", "y", "x")


@dataclass(frozen=True)
class ShownPlane:
    """The plane of a volume (Z, Y, X) across an axis, at a place along it."""

    axis: int
    place: int

    def of(self, volume: NDArray[Any], spacing_mm: tuple[float, ...]) -> NDArray[Any]:
        """(H, W) the plane, z upwards, with about square pixels: those of wide voxels are repeated."""
        cut: NDArray[Any] = np.take(volume, self.place, self.axis)
        steps = [step for axis, step in enumerate(spacing_mm) if axis != self.axis]
        for axis, step in enumerate(steps):
            cut = np.repeat(cut, max(1, round(step / min(steps))), axis)
        return cut if self.axis == 0 else cut[::-1]


def lesion_planes(domain: Domain, labels: LabelMap) -> tuple[ShownPlane, ...]:
    """Three orthogonal planes through the largest piece of the lesion of a volume or, if there is no lesion, of what is
    labelled; of each axis the plane that holds most of it. Through the middle if nothing is labelled."""
    from scipy import ndimage  # here, because it takes 0.2 s to import

    lesion = np.zeros(labels.shape, bool) if domain.lesion is None else domain.labels.region(labels, domain.lesion)
    pieces, count = ndimage.label(lesion if lesion.any() else labels > 0, np.ones((3, 3, 3)))
    if not count:
        return tuple(ShownPlane(axis, size // 2) for axis, size in enumerate(labels.shape))
    largest = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    planes = []
    for axis in range(3):
        held = largest.sum(axis=tuple(other for other in range(3) if other != axis))
        best = np.flatnonzero(held == held.max())
        planes.append(ShownPlane(axis, int(best[len(best) // 2])))
    return tuple(planes)


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


def planes_shown(shape: tuple[int, ...], channels: int, planes: tuple[ShownPlane, ...]) -> str:
    """The three planes that are shown, counted from 1, as text for a caption."""
    places = ", ".join(f"{ACROSS[plane.axis]} {plane.place + 1} of {shape[plane.axis]}" for plane in planes)
    return f", planes {places}" + (f", channel 1 of {channels}" if channels > 1 else "")


def what_is_shown(shape: tuple[int, ...], channels: int, plane: tuple[int, ...]) -> str:
    """The shown part of an image of that spatial shape, as text for a caption; "" for a grey slice."""
    parts = [f"plane {plane[0] + 1} of {shape[0]}"] if plane else []
    parts += [f"channel 1 of {channels}"] if channels > 1 else []
    return f", {', '.join(parts)}" if parts else ""
