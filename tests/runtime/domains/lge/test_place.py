"""Where a scar lies, against rings whose pixels are placed by hand and against a slow count over pixels."""

import math

import numpy as np
import pytest

from cldm_runtime.domains.attributes import Reason
from cldm_runtime.domains.lge.attributes import HEALTHY, INFARCT, LV_CAVITY, MVO, LgeReason
from cldm_runtime.domains.lge.place import (
    LAYERS,
    NO_CENTRE,
    NO_INSERTION,
    compare_places,
    from_theta,
    level_of,
    level_of_segment,
    measure_place,
    measure_places,
    scar_angle,
    segment_centre,
    segment_of,
    to_theta,
    turned,
)
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.noise import Purpose, Stream

SIZE = 61
Y, X = np.mgrid[:SIZE, :SIZE] - SIZE // 2
RHO, CLOCK = np.hypot(Y, X), np.degrees(np.arctan2(X, -Y)) % 360  # clockwise from 12 o'clock


def ring(clock: float = 0.0, half_width: float = 20.0, inner: float = 10.0, outer: float = 22.0) -> np.ndarray:
    """A wall from 10 to 22 pixels with a scar between two radii, about a direction on the clock."""
    labels = np.where(RHO < 10, LV_CAVITY, np.where(RHO < 22, HEALTHY, 0)).astype(np.uint8)
    beside = np.abs((CLOCK - clock + 180) % 360 - 180)
    labels[(labels == HEALTHY) & (beside < half_width) & (inner <= RHO) & (outer > RHO)] = INFARCT
    return labels


@pytest.mark.parametrize("clock", [0, 37, 90, 180, 271])
@pytest.mark.parametrize("insertion", [0, 330, -45])
def test_the_angle_runs_clockwise_from_the_insertion(clock: float, insertion: float) -> None:
    found = measure_place(ring(clock), insertion).angle_deg
    assert 0 <= found < 360
    assert abs(turned(found - (clock - insertion))) < 1.5


def test_a_scar_on_all_sides_and_none_at_all_have_no_centre() -> None:
    assert math.isnan(measure_place(ring(half_width=181)).angle_deg)
    nothing = measure_place(ring(half_width=0))
    assert math.isnan(nothing.angle_deg) and nothing.layer == ""
    assert measure_place(np.zeros((8, 8), np.uint8)).layer == ""


@pytest.mark.parametrize(("inner", "outer", "layer"), [
    (10, 13, "endocardial"), (10, 17, "endocardial"), (14, 18, "mid-wall"), (12, 20, "mid-wall"),
    (19, 22, "epicardial"), (15, 22, "epicardial"), (10, 22, "transmural"), (10, 20.5, "transmural")])
def test_layers_of_bands(inner: float, outer: float, layer: str) -> None:
    assert measure_place(ring(100, 40, inner, outer)).layer == layer


def test_obstruction_counts_as_scar() -> None:
    labels = ring(45)
    half = labels == INFARCT
    half[:, : SIZE // 2 + 12] = False
    labels[half] = MVO
    assert measure_place(labels) == measure_place(ring(45))


@pytest.mark.parametrize(("angle", "position", "segment"), [
    (30, 0.9, 1), (-1, 0.9, 2), (270, 0.9, 3), (210, 0.9, 4), (121, 0.9, 5), (61, 0.9, 6), (30, 0.5, 7), (330, 0.4, 8),
    (59, 0.34, 7), (-20, 0.2, 14), (-10, 0.2, 13), (74, 0.2, 13), (76, 0.2, 16), (170, 0.2, 15)])
def test_segments_of_the_17_segment_model(angle: float, position: float, segment: int) -> None:
    """Basal and mid-cavity segments are 60 degrees wide, apical ones 90; the septum lies between 240 and 360."""
    assert segment_of(angle, position) == segment


def test_the_centre_of_a_segment_lies_in_it() -> None:
    positions = {"basal": 0.9, "mid-cavity": 0.5, "apical": 0.1}
    for segment in range(1, 17):
        position = positions[level_of_segment(segment)]
        assert segment_of(segment_centre(segment), position) == segment
        assert level_of(position) == level_of_segment(segment)


def test_angles_and_places_are_each_others_inverse() -> None:
    assert from_theta(math.pi / 2) == pytest.approx(0) and from_theta(0.0) == pytest.approx(90)
    for place in (0.0, 12.5, 200.0, 359.0):
        assert from_theta(to_theta(place, 40.0), 40.0) == pytest.approx(place)


def table(*rings: np.ndarray, insertion: float = math.nan, position: float = math.nan) -> np.ndarray:
    given, attributes = np.full((len(rings), 4), math.nan), np.full((len(rings), 4), math.nan)
    given[:, 3], attributes[:, 3] = insertion, position
    return measure_places(np.stack(rings), attributes, given).values


def test_places_are_compared_where_both_maps_hold_a_scar() -> None:
    reference = table(ring(0), ring(90), ring(0), ring(0), ring(0, 181))
    centre, layer = compare_places(reference, table(ring(10), ring(70), ring(5, 20, 19, 22), ring(0, 0), ring(0)))
    assert centre.n == 3 and centre.value == pytest.approx(10, abs=1.5)  # of 5, 10 and 20
    assert layer.n == 4 and layer.value == 0.75
    assert [math.isnan(figure.value) for figure in compare_places(reference[:0], reference[:0])] == [True, True]


def test_segments_are_compared_where_the_insertion_is_known() -> None:
    reference = table(ring(0), ring(60), insertion=330.0, position=0.9)
    assert reference[:, 1].tolist() == [1, 6]  # 30 and 90 degrees from the insertion
    *_, segment = compare_places(reference, table(ring(10), ring(120), insertion=330.0, position=0.9))
    assert segment.meaning == "scars in the right segment" and (segment.n, segment.value) == (2, 0.5)


def test_places_that_are_undefined_say_why() -> None:
    wall = np.where(ring(half_width=0) == LV_CAVITY, 0, ring(half_width=0))
    wall[SIZE // 2, :] = 0  # open, and without a cavity
    maps = np.stack([ring(0), ring(0, 181), ring(half_width=0), np.zeros_like(wall), wall])
    measured = measure_places(maps)
    none, wallless, open_ring = (int(LgeReason[name]) for name in ("NO_INFARCT", "NO_WALL", "NO_ENDOCARDIUM"))
    assert measured.reasons.tolist() == [
        [0, NO_INSERTION, 0, NO_INSERTION], [NO_CENTRE, NO_CENTRE, 0, NO_INSERTION], [none] * 3 + [NO_INSERTION],
        [wallless] * 3 + [NO_INSERTION], [open_ring] * 3 + [NO_INSERTION]]
    np.testing.assert_array_equal(np.isnan(measured.values), measured.reasons > 0)
    given = np.full((5, 4), math.nan)
    given[:, 3] = 330.0
    assert measure_places(maps, None, given).reasons[0].tolist() == [0, Reason.NEEDS_STACK, 0, 0]


@pytest.mark.parametrize("insertion", [math.nan, 300.0])
def test_the_table_holds_what_one_map_measures(insertion: float) -> None:
    maps = [ring(77, 30, 10, 14), ring(200, 30, 19, 22), ring(10, 60)]
    for row, labels in zip(table(*maps, insertion=insertion), maps, strict=True):
        place = measure_place(labels, 0.0 if math.isnan(insertion) else insertion)
        assert row[0] == pytest.approx(place.angle_deg, abs=1e-4) and LAYERS[int(row[2])] == place.layer


def test_no_scar_among_wall_pixels_has_no_angle() -> None:
    assert math.isnan(scar_angle(np.zeros(3, bool), np.zeros(3)))


def slow_place(labels: np.ndarray) -> tuple[float, str]:
    """Angle and layer by loops over pixels: distances to every pixel of the other side, shares counted one by one."""
    at = {value: [(y, x) for y, x in zip(*np.nonzero(labels == value), strict=True)] for value in range(5)}
    cavity, wall = at[LV_CAVITY], [pixel for value in (HEALTHY, INFARCT, MVO) for pixel in at[value]]
    outside = np.argwhere(np.pad(labels, 1) == 0) - 1
    cy, cx = np.mean(cavity, axis=0)
    up = right = 0.0
    sections: dict[int, list[tuple[int, bool]]] = {}
    for y, x in wall:
        to_inside = np.sqrt(((np.array(cavity) - (y, x)) ** 2).sum(axis=1).min()) - 0.5
        to_outside = np.sqrt(((outside - (y, x)) ** 2).sum(axis=1).min()) - 0.5
        radius, theta = to_inside / (to_inside + to_outside), math.atan2(cy - y, x - cx)
        scar = labels[y, x] >= INFARCT
        if scar:
            up, right = up + math.sin(theta), right + math.cos(theta)
        third = 0 if radius < 1 / 3 else 1 if radius < 2 / 3 else 2
        sections.setdefault(math.floor(theta / (2 * math.pi) * 36) % 36, []).append((third, bool(scar)))
    counted = [pixel for pixels in sections.values() if any(scar for _, scar in pixels) for pixel in pixels]
    share = [sum(scar for third, scar in counted if third == k) / max(1, sum(third == k for third, _ in counted))
             for k in range(3)]
    layer = "transmural" if share[0] >= 0.5 and share[2] >= 0.5 else LAYERS[share.index(max(share))]
    return math.degrees(math.atan2(right, up)) % 360, layer


@pytest.mark.parametrize("index", range(12))
def test_measured_as_by_a_slow_count(index: int) -> None:
    anatomy = get_domain("lge").anatomy
    asked = anatomy.complete({"infarct_size": 0.05 + 0.02 * index}, Stream(5, index, Purpose.CONDITION))
    labels = anatomy.draw(asked, Stream(5, index, Purpose.ANATOMY), shape=(64, 64), spacing_mm=(1.8, 1.8)).labels
    angle, layer = slow_place(labels)
    found = measure_place(labels)
    assert found.layer == layer
    assert found.angle_deg == pytest.approx(angle, abs=1e-6)
