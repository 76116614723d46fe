"""Where a scar lies in a short-axis slice: its centre, its layer of the wall, and the segment of its centre. `PLACE`
says how a dataset holds these.

Symbols: theta angle of a wall pixel about the centroid of the cavity, counter-clockwise from the image's right; r wall
radius (0 endocardium, 1 epicardium). Angles of places run clockwise on the screen, in degrees, from the anterior
insertion of the right ventricle where it is known, else from 12 o'clock. Segments and levels are those of the
17-segment model (Cerqueira et al., Circulation 2002;105:539-542).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..attributes import Attribute, Measurement, Reason
from ..labels import LabelMap
from ..place_rules import PlaceFigure, PlaceRules
from .attributes import INFARCT, NAMES, SECTIONS, LgeReason, Wall, find_wall

Angle = TypeVar("Angle", float, NDArray[np.float64])
ANGLE, SEGMENT, LAYER, INSERTION = "angle_deg", "aha_segment", "layer", "rv_insertion_deg"
LAYERS = ("endocardial", "mid-wall", "epicardial", "transmural")
LEVELS = ("apical", "mid-cavity", "basal")
APEX = 17  # the segment that is no part of a ring
_THIRDS = (1 / 3, 2 / 3)  # of the wall, and of the long axis
_HALF = 0.5  # of the inner and of the outer third: as much of both makes a scar transmural
_LEAST_RESULTANT = 0.05  # below it a scar lies on all sides, and has no centre
# Centres of the segments in degrees clockwise from the anterior insertion: the septum lies counter-clockwise of it.
_REGIONS = ("infarct", "myocardium", "lv_cavity")
PLACE_ATTRIBUTES = (
    Attribute(ANGLE, "degrees", -360.0, 360.0, 10.0,
              "centre of the scar, clockwise from the anterior RV insertion where it is given, else from 12 o'clock",
              _REGIONS),
    Attribute(SEGMENT, "number", 1.0, 17.0, 0.0, "segment of the 17-segment model that holds the scar's centre",
              _REGIONS),
    Attribute(LAYER, "number", 0.0, 3.0, 0.0, "layer of the wall that the scar lies in: " + ", ".join(
        f"{number} {word}" for number, word in enumerate(LAYERS)), _REGIONS),
    Attribute(INSERTION, "degrees", -360.0, 360.0, 720.0, "anterior RV insertion, clockwise from 12 o'clock", ()),
)
NO_CENTRE, NO_INSERTION = 8, 9  # numbers of reasons
_CENTRES = {**{1 + k: (30.0 - 60.0 * k) % 360 for k in range(6)}, **{7 + k: (30.0 - 60.0 * k) % 360 for k in range(6)},
            **{13 + k: (30.0 - 90.0 * k) % 360 for k in range(4)}}


@dataclass(frozen=True)
class ScarPlace:
    """angle_deg: 0..360, the direction of the scar's centre; NaN without scar, and for one that lies on all sides
    alike. layer: one of LAYERS; "" without scar."""

    angle_deg: float
    layer: str


def measure_place(labels: LabelMap, rv_insertion_deg: float = 0.0) -> ScarPlace:
    """Where the scar (MI and MVO) of a (H, W) label map lies.

    rv_insertion_deg: the anterior insertion of the right ventricle, clockwise from 12 o'clock; angles count from it.
    """
    wall = find_wall(labels)
    if wall.theta is None or wall.radius is None or wall.section is None:
        return ScarPlace(float("nan"), "")
    scar = labels.reshape(-1)[wall.index] >= INFARCT
    return ScarPlace(scar_angle(scar, wall.theta, rv_insertion_deg), scar_layer(scar, wall))


def scar_angle(scar: NDArray[np.bool_], theta: NDArray[np.float64], rv_insertion_deg: float = 0.0) -> float:
    """The direction of the mean of the unit vectors towards the scar's pixels. Both arrays run over wall pixels."""
    if not scar.any():
        return float("nan")
    mean = np.exp(1j * theta[scar]).mean()
    return from_theta(float(np.angle(mean)), rv_insertion_deg) if abs(mean) >= _LEAST_RESULTANT else float("nan")


def from_theta(theta: float, rv_insertion_deg: float = 0.0) -> float:
    """An angle counter-clockwise from the image's right, in rad, as a place: degrees, 0 <= place < 360."""
    return float((90.0 - np.rad2deg(theta) - rv_insertion_deg) % 360.0)


def to_theta(angle_deg: float, rv_insertion_deg: float = 0.0) -> float:
    """A place as an angle counter-clockwise from the image's right, in rad."""
    return float(np.deg2rad(90.0 - angle_deg - rv_insertion_deg))


def scar_layer(scar: NDArray[np.bool_], wall: Wall) -> str:
    """One of LAYERS; "" without scar.

    Of each third of the wall, the share that is scar, in the 10-degree sections that hold scar. Transmural: at least
    half of the inner and of the outer third. Else the third with the largest share decides, the inner one of equals.
    """
    if not scar.any() or wall.radius is None or wall.section is None:
        return ""
    near = np.bincount(wall.section[scar], minlength=SECTIONS)[wall.section] > 0
    third = np.digitize(wall.radius[near], _THIRDS)
    inner, middle, outer = np.bincount(third[scar[near]], minlength=3) / np.maximum(np.bincount(third, minlength=3), 1)
    if inner >= _HALF and outer >= _HALF:
        return LAYERS[3]
    return LAYERS[int(np.argmax([inner, middle, outer]))]


def level_of(slice_position: float) -> str:
    """The third of the long axis (0 apex, 1 base) that a slice lies in, one of LEVELS."""
    return LEVELS[int(np.digitize(slice_position, _THIRDS))]


def level_of_segment(segment: int) -> str:
    """The level of a segment, 1..16."""
    return LEVELS[2] if segment <= 6 else LEVELS[1] if segment <= 12 else LEVELS[0]


def segment_centre(segment: int) -> float:
    """The centre of a segment, 1..16, in degrees clockwise from the anterior insertion."""
    return _CENTRES[segment]


def segment_of(angle_deg: float, slice_position: float) -> int:
    """The segment, 1..16, of a direction (degrees clockwise from the anterior insertion) at a slice position."""
    level = level_of(slice_position)
    segments = [segment for segment in _CENTRES if level_of_segment(segment) == level]
    return min(segments, key=lambda segment: abs(turned(angle_deg - _CENTRES[segment])))


def measure_places(labels: LabelMap, attributes: NDArray[np.float32] | None = None,
                   given: NDArray[np.float32] | None = None) -> Measurement:
    """See `MeasurePlaces`. A segment needs the insertion of the right ventricle, which is given, and the slice's
    position."""
    nothing = np.full((len(labels), len(PLACE_ATTRIBUTES)), np.nan, np.float32)
    insertions = (nothing if given is None else given)[:, -1].astype(float).tolist()
    positions = nothing[:, 0] if attributes is None else attributes[:, NAMES.index("slice_position")]
    rows = [_row(slice_labels, insertion, position)
            for slice_labels, insertion, position in zip(labels, insertions, positions.astype(float), strict=True)]
    shape = (len(labels), len(PLACE_ATTRIBUTES))
    return Measurement(PLACE.names, np.array([values for values, _ in rows], np.float32).reshape(shape),
                       np.array([reasons for _, reasons in rows], np.uint8).reshape(shape))


def _row(labels: LabelMap, insertion: float, position: float) -> tuple[list[float], list[int]]:
    """Values and reasons of one slice, in the order of PLACE_ATTRIBUTES."""
    nan, known = float("nan"), np.isfinite(insertion)
    wall, unknown = find_wall(labels), int(Reason.MEASURED if known else NO_INSERTION)
    if wall.theta is None or not (labels >= INFARCT).any():
        why = (LgeReason.NO_WALL if not wall.index.size else
               LgeReason.NO_ENDOCARDIUM if wall.theta is None else LgeReason.NO_INFARCT)
        return [nan, nan, nan, insertion], [int(why)] * 3 + [unknown]
    scar = labels.reshape(-1)[wall.index] >= INFARCT
    angle = scar_angle(scar, wall.theta, insertion if known else 0.0)
    layer = float(LAYERS.index(scar_layer(scar, wall)))
    centred = int(Reason.MEASURED if np.isfinite(angle) else NO_CENTRE)
    why_no_segment = centred or unknown or int(Reason.MEASURED if np.isfinite(position) else Reason.NEEDS_STACK)
    segment = nan if why_no_segment else float(segment_of(angle, position))
    return [angle, segment, layer, insertion], [centred, why_no_segment, int(Reason.MEASURED), unknown]


def compare_places(reference: NDArray[np.float32], measured: NDArray[np.float32]) -> tuple[PlaceFigure, ...]:
    """See `ComparePlaces`. Segments are compared where both tables have one."""
    off = np.abs(turned((measured[:, 0] - reference[:, 0]).astype(np.float64)))
    off = off[np.isfinite(off)]
    figures = [PlaceFigure("centre of the scar off by, median", "degrees", _mean(np.median, off), len(off))]
    for column, meaning in ((2, "scars in the right layer"), (1, "scars in the right segment")):
        both = np.isfinite(reference[:, column]) & np.isfinite(measured[:, column])
        same = reference[both, column] == measured[both, column]
        if both.any() or column == 2:
            figures.append(PlaceFigure(meaning, "fraction", _mean(np.mean, same), int(both.sum())))
    return tuple(figures)


def _mean(function: Callable[[NDArray[Any]], Any], values: NDArray[Any]) -> float:
    """NaN of nothing."""
    return float(function(values)) if len(values) else float("nan")


def turned(angle_deg: Angle) -> Angle:
    """An angle, or an array of them, folded into -180 <= angle < 180 degrees."""
    return (angle_deg + 180.0) % 360.0 - 180.0


PLACE = PlaceRules(PLACE_ATTRIBUTES, {LAYER: LAYERS}, {NO_CENTRE: "no_centre", NO_INSERTION: "no_insertion"},
                   measure_places, compare_places)
