"""Attributes of an infarct in one short-axis slice; docs/attributes.md is the specification.

Symbols: r normalised radius of a wall pixel (0 endocardium, 1 epicardium); theta its angle about the centroid of the
cavity. Definitions follow the cLDM paper: infarct size as a share of the wall, transmurality as the mean over the
10-degree sections that hold infarct, endocardial surface length as the infarct share of the wall with r < 0.25.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...errors import InputError
from ..attributes import Attribute, Measurement, Reason
from ..labels import LabelMap, LabelSet

LV_CAVITY, HEALTHY, INFARCT, MVO = 1, 2, 3, 4

LABELS = LabelSet(
    names=("background", "lv_cavity", "healthy_myocardium", "infarct", "mvo"),
    regions={"lv_cavity": (LV_CAVITY,), "myocardium": (HEALTHY, INFARCT, MVO), "infarct": (INFARCT, MVO)},
    colours=((0, 0, 0), (70, 130, 220), (90, 190, 110), (230, 70, 60), (250, 200, 40)),
    within={INFARCT: HEALTHY, MVO: INFARCT},
)

ATTRIBUTES = (
    Attribute("infarct_size", "fraction", 0.0, 1.0, 0.02, "infarct pixels / myocardium pixels",
              ("infarct", "myocardium")),
    Attribute("transmurality", "fraction", 0.0, 1.0, 0.04,
              "mean infarct share of the wall over the 10-degree sections that hold infarct",
              ("infarct", "myocardium", "lv_cavity")),
    Attribute("endocardial_surface_length", "fraction", 0.0, 1.0, 0.04,
              "infarct share of the inner quarter of the wall", ("infarct", "myocardium", "lv_cavity")),
    Attribute("slice_position", "fraction", 0.0, 1.0, 1.0, "0 apex, 1 base", ()),
)
NAMES = tuple(attribute.name for attribute in ATTRIBUTES)


class LgeReason(IntEnum):
    """Why a value of this domain is NaN, besides the reasons common to all domains."""

    NO_INFARCT = 1  # the value is defined only with infarct
    NO_WALL = 2  # no myocardium at all
    NO_ENDOCARDIUM = 3  # no cavity, or a wall too thin to have an inner quarter


REASONS = {int(reason): reason.name.lower() for reason in LgeReason}
SECTIONS = 36
INNER_QUARTER = 0.25


@dataclass(frozen=True)
class Wall:
    """The wall pixels of one slice, in C order of the slice.

    index: (P,) flat pixel index; section: (P,) 0..35, counted counter-clockwise from the image's right (+x) as seen
    on the screen; inner: (P,) whether r < 0.25; theta: (P,) angle in rad, counted as the sections are; radius: (P,) r.
    All but `index` are None without an endocardium.
    """

    index: NDArray[np.intp]
    section: NDArray[np.intp] | None = None
    inner: NDArray[np.bool_] | None = None
    theta: NDArray[np.float64] | None = None
    radius: NDArray[np.float64] | None = None


def find_wall(labels: LabelMap) -> Wall:
    """Locate the wall of a (H, W) label map and its coordinates.

    Distances run from pixel centres to the boundary, half a pixel beyond the last pixel of the wall, so that a wall
    of n pixels has r = 0.5/n, 1.5/n, ... The cavity is label 1 or, in a label map without it, the holes that the wall
    encloses. An open ring with a labelled cavity is measured: sections without wall are ignored.
    """
    width = labels.shape[1]
    rows, columns = np.flatnonzero(labels.any(axis=1)), np.flatnonzero(labels.any(axis=0))
    if not rows.size:
        return Wall(np.empty(0, np.intp))
    top, left = rows[0], columns[0]
    crop = np.pad(labels[top : rows[-1] + 1, left : columns[-1] + 1], 1)
    wall = crop >= HEALTHY
    y, x = np.nonzero(wall)
    index = (y - 1 + top) * width + (x - 1 + left)
    cavity = crop == LV_CAVITY
    if not cavity.any():
        cavity = ndimage.binary_fill_holes(wall) & ~wall
    if not cavity.any() or not index.size:
        return Wall(index)
    to_endocardium = _distances(~cavity, y, x) - 0.5
    to_epicardium = _distances(wall | cavity, y, x) - 0.5
    radius = to_endocardium / (to_endocardium + to_epicardium)
    centre_y, centre_x = (np.mean(axis) for axis in np.nonzero(cavity))
    theta = np.arctan2(centre_y - y, x - centre_x)
    section = (np.floor(theta / (2 * np.pi) * SECTIONS).astype(np.intp)) % SECTIONS
    return Wall(index, section, radius < INNER_QUARTER, theta, radius)


def _distances(region: NDArray[np.bool_], y: NDArray[np.intp], x: NDArray[np.intp]) -> NDArray[np.float64]:
    """Euclidean distance, in pixels, from the pixels (y, x) of a region to the nearest pixel outside it."""
    nearest = ndimage.distance_transform_edt(region, return_distances=False, return_indices=True)
    squared = (nearest[0][y, x] - y) ** 2 + (nearest[1][y, x] - x) ** 2
    distances: NDArray[np.float64] = np.sqrt(squared.astype(np.float64))
    return distances


def transmurality(infarct: NDArray[np.bool_], section: NDArray[np.intp]) -> float:
    """Mean infarct share over the sections that hold infarct; NaN if none does. Both arrays run over wall pixels."""
    return mean_share(infarct, section, np.bincount(section, minlength=SECTIONS))


def mean_share(infarct: NDArray[np.bool_], section: NDArray[np.intp], wall_count: NDArray[np.intp]) -> float:
    """`transmurality` with the number of wall pixels of each section (36,) already counted."""
    infarct_count = np.bincount(section[infarct], minlength=SECTIONS)
    infarcted = infarct_count.nonzero()[0]
    if not len(infarcted):
        return float("nan")
    return float((infarct_count[infarcted] / wall_count[infarcted]).sum() / len(infarcted))


def _measure_slice(labels: LabelMap) -> tuple[list[float], list[IntEnum]]:
    nan, wall = float("nan"), find_wall(labels)
    if not wall.index.size:
        return [nan] * 4, [LgeReason.NO_WALL] * 3 + [Reason.NEEDS_STACK]
    infarct = labels.reshape(-1)[wall.index] >= INFARCT
    values = [float(infarct.mean()), nan, nan, nan]
    reasons: list[IntEnum] = [*[Reason.MEASURED] * 3, Reason.NEEDS_STACK]
    if wall.section is None or wall.inner is None or not wall.inner.any():
        reasons[1:3] = [LgeReason.NO_ENDOCARDIUM] * 2
        return values, reasons
    values[1] = transmurality(infarct, wall.section)
    if not infarct.any():
        reasons[1] = LgeReason.NO_INFARCT
    values[2] = float(infarct[wall.inner].mean())
    return values, reasons


def measure_slices(labels: LabelMap, spacing_mm: tuple[float, ...] | None = None) -> Measurement:
    """Measure (N, H, W) label maps. All values are shares: `spacing_mm` is ignored.

    Without infarct: infarct_size 0, endocardial_surface_length 0, transmurality NaN (NO_INFARCT). Without wall: all
    NaN (NO_WALL). Without endocardium: only infarct_size. slice_position is always NaN (NEEDS_STACK).
    """
    if labels.ndim != 3:
        raise InputError(f"the lge domain measures short-axis slices (N, H, W), found shape {labels.shape}.")
    measured = [_measure_slice(slice_labels) for slice_labels in labels]
    values = np.array([values for values, _ in measured], dtype=np.float32).reshape(-1, len(NAMES))
    reasons = np.array([reasons for _, reasons in measured], dtype=np.uint8).reshape(-1, len(NAMES))
    return Measurement(NAMES, values, reasons)
