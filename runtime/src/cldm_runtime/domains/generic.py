"""Attributes that any region of any label map has: size, share, components, centroid, extent, thickness.

docs/attributes.md, "Attributes of a declared domain", is the specification. d: distance in mm from a voxel's centre to
the nearest centre outside the region.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .attributes import LABELLED, Attribute, Measurement, Reason
from .labels import LabelMap, LabelSet

Region = NDArray[np.bool_]
COUNT = "count"  # the unit of whole numbers
AXES = ("z", "y", "x")  # depth, height, width: the last two are those of a slice


class GenericReason(IntEnum):
    """Why a value is NaN, besides the reasons common to all domains."""

    NO_REGION = 1  # the sample has no voxel of the region
    NO_FOREGROUND = 2  # the sample has no labelled voxel


REASONS = {int(reason): reason.name.lower() for reason in GenericReason}


def size_name(region: str, axes: int) -> str:
    """The name of the attribute for the size of a region."""
    return f"{region}_{'area' if axes == 2 else 'volume'}"


def components_name(region: str) -> str:
    """The name of the attribute for the number of pieces of a region."""
    return f"{region}_components"


def generic_attributes(regions: tuple[str, ...], axes: int,
                       ranges: Mapping[str, tuple[float, float]]) -> tuple[Attribute, ...]:
    """The attributes of every region, in the order of measurement. `ranges` replaces the default range of an attribute
    by (low, high)."""
    every = []
    for region in regions:
        for name, unit, high, tolerance, text in _described(region, axes):
            low, most = ranges.get(name, (0.0, high))
            measured_on = (region, LABELLED) if name == f"{region}_share" else (region,)
            every.append(Attribute(name, unit, low, most, tolerance * (most - low), text, measured_on))
    return tuple(every)


def _described(region: str, axes: int) -> Iterator[tuple[str, str, float, float, str]]:
    """Name, unit, greatest value, tolerance as a share of the range, and meaning."""
    size, unit, high = ("area", "mm2", 1e5) if axes == 2 else ("volume", "mm3", 1e7)
    yield size_name(region, axes), unit, high, 0.02, f"{size} of {region}"
    yield f"{region}_share", "fraction", 1.0, 0.02, f"share of {region} in everything that is labelled"
    yield components_name(region), COUNT, 1000.0, 0.001, f"connected pieces of {region}"
    for axis in AXES[-axes:]:
        yield f"{region}_centroid_{axis}", "fraction", 1.0, 0.02, f"centre of {region} along {axis}, 0 to 1"
    for axis in AXES[-axes:]:
        yield f"{region}_extent_{axis}", "mm", 1000.0, 0.02, f"extent of {region} along {axis}"
    yield f"{region}_thickness", "mm", 200.0, 0.02, f"mean thickness of {region} on its medial voxels"


@dataclass(frozen=True)
class GenericMeasure:
    """Measures label maps with `axes` spatial axes; see `Measure`."""

    labels: LabelSet
    axes: int

    def __call__(self, labels: LabelMap, spacing_mm: tuple[float, ...] | None = None) -> Measurement:
        """Measure (N, *spatial) label maps. Raises InputError for other ranks, and without `spacing_mm`."""
        if labels.ndim != self.axes + 1:
            raise InputError(f"measure: label maps have shape {labels.shape}, expected (N, *spatial) with {self.axes} "
                             "spatial axes.")
        if spacing_mm is None or len(spacing_mm) != self.axes:
            raise InputError(f"measure: spacing_mm is {spacing_mm}, but sizes in mm need one number for each of "
                             f"{self.axes} axes. Pass spacing_mm.")
        names = tuple(attribute.name for attribute in generic_attributes(tuple(self.labels.regions), self.axes, {}))
        rows = [self._sample(sample, spacing_mm) for sample in labels]
        values = np.array([values for values, _ in rows], dtype=np.float32).reshape(-1, len(names))
        reasons = np.array([reasons for _, reasons in rows], dtype=np.uint8).reshape(-1, len(names))
        return Measurement(names, values, reasons)

    def _sample(self, labels: LabelMap, spacing_mm: tuple[float, ...]) -> tuple[list[float], list[int]]:
        values, reasons = list[float](), list[int]()
        labelled = int(np.count_nonzero(labels))
        for name in self.labels.regions:
            numbers, why = measure_region(self.labels.region(labels, name), labelled, spacing_mm)
            values += numbers
            reasons += why
        return values, reasons


def measure_region(region: Region, labelled: int, spacing_mm: tuple[float, ...]) -> tuple[list[float], list[int]]:
    """Values of one region (*spatial) in the order of `generic_attributes`, and their reasons. labelled: number of
    voxels of the sample that have any label."""
    from scipy import ndimage  # here, because it takes 0.2 s to import

    nan, axes, count = math.nan, region.ndim, int(np.count_nonzero(region))
    if not count:
        share, why = (0.0, Reason.MEASURED) if labelled else (nan, GenericReason.NO_FOREGROUND)
        undefined = 2 * axes + 1
        return [0.0, share, 0.0, *[nan] * undefined], [0, int(why), 0, *[int(GenericReason.NO_REGION)] * undefined]
    box = ndimage.find_objects(region.astype(np.uint8))[0]
    inside = region[box]
    places = np.nonzero(inside)
    _, components = ndimage.label(inside, np.ones((3,) * axes))
    centroid = [float((place.mean() + part.start + 0.5) / size)
                for place, part, size in zip(places, box, region.shape, strict=True)]
    extent = [length * step for length, step in zip(inside.shape, spacing_mm, strict=True)]
    values = [count * math.prod(spacing_mm), count / labelled, float(components), *centroid, *extent,
              mean_thickness_mm(inside, spacing_mm)]
    return values, [0] * len(values)


def mean_thickness_mm(region: Region, spacing_mm: tuple[float, ...]) -> float:
    """Mean thickness over the medial voxels of a non-empty region: those whose d no neighbour exceeds.

    The thickness there is 2 d where the next voxel away from the nearest border has the same d (an even number of
    voxels lies across), else 2 d less one voxel. Exact for squares and cubes, and away from the ends of a slab. The
    edge of the array counts as a border.
    """
    from scipy import ndimage  # here, because it takes 0.2 s to import

    padded = np.pad(region, 1)
    distance, nearest = ndimage.distance_transform_edt(padded, spacing_mm, return_indices=True)
    medial = padded & (distance >= ndimage.maximum_filter(distance, size=3) - 1e-9)
    places = np.stack(np.nonzero(medial))
    away = places - nearest[:, *places]
    step_mm = np.array(spacing_mm)
    across = np.abs(away * step_mm[:, None]).argmax(axis=0)  # the axis along which the nearest border lies
    index = np.arange(places.shape[1])
    beyond = places.copy()
    beyond[across, index] += np.sign(away[across, index])
    here = distance[*places]
    even = np.abs(distance[*beyond] - here) <= 1e-9
    return float(np.mean(2.0 * here - np.where(even, 0.0, step_mm[across])))
