"""What a sentence says of the scar of a slice, and the bins of its words."""

import math
from dataclasses import dataclass, replace

import numpy as np

from ...labels import LabelMap
from ..attributes import INFARCT, MVO, SECTIONS, find_wall, measure_slices
from ..place import LAYERS, level_of, measure_place, segment_of

WALLS = ("anterior", "anteroseptal", "inferoseptal", "inferior", "inferolateral", "anterolateral")  # segments 1..6
APICAL_WALLS = ("anterior", "septal", "inferior", "lateral")  # segments 13..16
# Each word of size stands for the shares of the wall from its own bound to the next one.
SIZES = (("tiny", 0.0), ("small", 0.03), ("moderate", 0.1), ("large", 0.2), ("very large", 0.35))
LARGEST = 0.5  # of the share that the middle of the last bin is taken from
LAYER_WORDS = dict(zip(LAYERS, ("subendocardial", "mid-wall", "subepicardial", "transmural"), strict=True))
_LEAST_SHARE = 0.1  # of the scar's pixels: a wall that holds less of it is not named


@dataclass(frozen=True)
class ScarFacts:
    """Of one slice; a value that is not known is None, or "" or ().

    infarct_size, transmurality, endocardial_surface_length: fractions, as in docs/attributes.md; mvo: share of the wall
    that is microvascular obstruction. layer: one of `place.LAYERS`. level: one of `place.LEVELS`. walls: names of the
    segments that hold scar, clockwise; clock: the hours from which to which the scar reaches, clockwise, where no
    insertion of the right ventricle is known. angle_deg: direction of its centre, clockwise from that insertion or
    from 12 o'clock; None for a scar on all sides. extent_deg: how much of the circumference it takes.
    """

    infarct_size: float
    transmurality: float | None = None
    endocardial_surface_length: float | None = None
    mvo: float = 0.0
    layer: str = ""
    level: str = ""
    walls: tuple[str, ...] = ()
    clock: tuple[int, int] | None = None
    angle_deg: float | None = None
    extent_deg: float | None = None


def size_word(share: float) -> str:
    """The word for a share of the wall."""
    return [word for word, low in SIZES if share >= low][-1]


def size_bin(word: str) -> tuple[float, float]:
    """The shares that a word of size stands for: low <= share < high."""
    lows = dict(SIZES)
    return lows[word], min((low for low in lows.values() if low > lows[word]), default=1.0)


def rounded(facts: ScarFacts) -> ScarFacts:
    """The facts as a sentence states them: shares to 0.1 %, angles to a degree."""
    def share(value: float | None) -> float | None:
        return None if value is None else float(f"{100 * value:.1f}") / 100

    angle = None if facts.angle_deg is None else float(round(facts.angle_deg) % 360)
    extent = None if facts.extent_deg is None else float(round(facts.extent_deg))
    return replace(facts, infarct_size=share(facts.infarct_size) or 0.0, transmurality=share(facts.transmurality),
                   endocardial_surface_length=share(facts.endocardial_surface_length), mvo=share(facts.mvo) or 0.0,
                   angle_deg=angle, extent_deg=extent)


def measure_facts(labels: LabelMap, slice_position: float | None = None,
                  insertion_deg: float | None = None) -> ScarFacts:
    """Measure a (H, W) label map. slice_position: 0 apex to 1 base, where it is known. insertion_deg: the anterior
    insertion of the right ventricle, clockwise from 12 o'clock, where it is known."""
    size, depth, surface = (float(value) for value in measure_slices(labels[None]).values[0][:3])
    level = "" if slice_position is None else level_of(slice_position)
    wall = find_wall(labels)
    scar = labels.reshape(-1)[wall.index] >= INFARCT
    if not scar.any():
        return ScarFacts(0.0, level=level)
    place = measure_place(labels, insertion_deg or 0.0)
    known = ScarFacts(size, None if math.isnan(depth) else depth, None if math.isnan(surface) else surface,
                      float((labels.reshape(-1)[wall.index] == MVO).mean()), place.layer, level)
    if wall.theta is None or wall.section is None:
        return known
    extent = 360.0 / SECTIONS * len(np.unique(wall.section[scar]))
    if math.isnan(place.angle_deg):
        return replace(known, extent_deg=extent)
    clockwise = (90.0 - np.rad2deg(wall.theta[scar]) - (insertion_deg or 0.0)) % 360.0
    known = replace(known, angle_deg=place.angle_deg, extent_deg=extent)
    if insertion_deg is None:
        return replace(known, clock=_hours(place.angle_deg, extent))
    return replace(known, walls=_walls(clockwise.tolist(), slice_position))


def _hours(angle_deg: float, extent_deg: float) -> tuple[int, int]:
    """Hours of the clock that an arc about a direction reaches from and to."""
    first, last = (round((angle_deg + side * extent_deg / 2) / 30) % 12 or 12 for side in (-1, 1))
    return first, last


def _walls(directions: list[float], slice_position: float | None) -> tuple[str, ...]:
    """Names of the walls that hold at least a tenth of the scar, clockwise from the insertion."""
    position = 0.5 if slice_position is None else slice_position
    segments = [segment_of(direction, position) for direction in directions]
    named = [segment for segment in dict.fromkeys(segments) if segments.count(segment) >= _LEAST_SHARE * len(segments)]
    order = sorted(named, key=lambda segment: (1 - segment) % (4 if segment > 12 else 6))
    return tuple(wall_name(segment) for segment in order)


def wall_name(segment: int) -> str:
    """The wall of a segment, 1..16."""
    return APICAL_WALLS[segment - 13] if segment > 12 else WALLS[(segment - 1) % 6]
