"""Scars edited in walls of other hearts: what was asked is met, and nothing else changes."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from cldm_runtime.domains.edit_rules import EditRequest
from cldm_runtime.domains.lge.attributes import HEALTHY, INFARCT, MVO
from cldm_runtime.domains.lge.phantom2.body import anatomy_slice
from cldm_runtime.domains.lge.phantom2.phantom import draw_scan, level
from cldm_runtime.domains.lge.place import LAYERS, measure_place, segment_of, turned
from cldm_runtime.domains.lge.scar_edit import edit_faults, edit_scar, healed, map_faults
from cldm_runtime.domains.registry import get_domain, measure
from cldm_runtime.errors import InputError
from cldm_runtime.noise import Purpose, Stream

DOMAIN = get_domain("lge")
SIZE, DEPTH, SURFACE, POSITION = DOMAIN.attribute_names


def asked(operation: str = "", layer: str = "", **numbers: float) -> EditRequest:
    words = {"operation": operation, "layer": layer}
    return EditRequest(numbers, {name: word for name, word in words.items() if word})


@cache
def drawn_heart(index: int, size: float = 0.0) -> np.ndarray:
    request = DOMAIN.anatomy.complete({SIZE: size, POSITION: (index % 10) / 9}, Stream(8, index, Purpose.CONDITION))
    return DOMAIN.anatomy.draw(request, Stream(8, index, Purpose.ANATOMY), shape=(128, 128), spacing_mm=(1., 1.)).labels


@cache
def phantom_heart(index: int) -> np.ndarray:
    """Slices of the second phantom, of other shapes and pixel sizes than our own hearts, from the middle of stacks."""
    who, _ = draw_scan(8, index, "test")
    return anatomy_slice(who, level(who, who.slices // 3), (0.0, 0.0), 128).labels


def angle_error(labels: np.ndarray, wanted: float, insertion: float = 0.0) -> float:
    return abs(turned(measure_place(labels, insertion).angle_deg - wanted))


@pytest.mark.parametrize("heart", [drawn_heart, phantom_heart])
@pytest.mark.parametrize("count", [20, pytest.param(250, marks=pytest.mark.long)])
def test_place_layer_and_size_are_met_in_any_wall(heart, count) -> None:
    """The table of docs/attributes.md; the long form has 500 hearts."""
    rng, size_errors, angle_errors, refused = np.random.default_rng(0), [], [], 0
    for index in range(count):
        size, angle, layer = rng.uniform(0.04, 0.25), rng.uniform(0, 360), LAYERS[index % 4]
        try:
            labels = edit_scar(heart(index), asked(layer=layer, infarct_size=size, angle_deg=angle), 0, index)
        except InputError:
            refused += 1
            continue
        size_errors.append(abs(measure(labels)[SIZE][0] - size))
        angle_errors.append(angle_error(labels, angle))
        assert measure_place(labels).layer == layer
        np.testing.assert_array_equal(healed(labels), healed(heart(index)))
    print(f"{heart.__name__}: n {count}, refused {refused}, size error {max(size_errors):.4f}, angle error median "
          f"{np.median(angle_errors):.1f}, largest {max(angle_errors):.1f}")
    assert refused <= count // 20 and max(size_errors) < 0.02
    assert np.median(angle_errors) < 2 and max(angle_errors) <= 10


@pytest.mark.parametrize("heart", [drawn_heart, phantom_heart])
def test_all_attributes_are_met_at_a_place(heart) -> None:
    rng, met = np.random.default_rng(1), 0
    for index in range(15):
        arc, depth, angle = rng.uniform(0.15, 0.5), rng.uniform(0.3, 0.85), rng.uniform(0, 360)
        request = {SIZE: arc * depth, DEPTH: depth, SURFACE: arc}
        try:
            labels = edit_scar(heart(index), asked(angle_deg=angle, **request), 0, index)
        except InputError as error:
            assert "fits the wall" in str(error)
            continue
        met += 1
        error = np.abs(measure(labels).values[0, :3] - list(request.values()))
        assert (error <= DOMAIN.tolerances[:3]).all() and angle_error(labels, angle) <= 10
    assert met >= 11


def test_a_segment_is_met_from_the_insertion_on() -> None:
    labels = edit_scar(drawn_heart(5), asked(aha_segment=8, rv_insertion_deg=320.0, slice_position=0.5), 0, 5)
    assert segment_of(measure_place(labels, 320.0).angle_deg, 0.5) == 8
    assert angle_error(labels, 330 + 320) <= 10  # 30 degrees counter-clockwise of the insertion


def test_what_is_left_out_is_the_same_for_all_edits_of_a_map() -> None:
    heart = drawn_heart(4)
    places = [measure_place(edit_scar(heart, asked(infarct_size=size), 0, 4)).angle_deg for size in (0.08, 0.12, 0.16)]
    other = measure_place(edit_scar(heart, asked(infarct_size=0.12), 1, 4)).angle_deg
    assert np.ptp(places) < 8 < abs(turned(other - places[1]))


def test_a_scar_is_removed_and_replaced() -> None:
    scarred = drawn_heart(3, 0.2)
    assert (edit_scar(scarred, asked("remove"), 0, 3) == healed(scarred)).all() and (healed(scarred) < INFARCT).all()
    assert (edit_scar(scarred, asked(infarct_size=0.0), 0, 3) == healed(scarred)).all()
    wanted = turned(measure_place(scarred).angle_deg + 180)
    replaced = edit_scar(scarred, asked(infarct_size=0.1, angle_deg=wanted), 0, 3)
    assert angle_error(replaced, wanted) <= 10


def test_an_added_scar_leaves_what_is_there() -> None:
    scarred = drawn_heart(3, 0.15).copy()
    before = measure(scarred)[SIZE][0]
    scarred[ndimage.binary_erosion(scarred == INFARCT)] = MVO
    there, wanted = scarred >= INFARCT, measure_place(scarred).angle_deg + 150
    both = edit_scar(scarred, asked("add", "epicardial", infarct_size=float(before) + 0.1, angle_deg=wanted), 0, 3)
    np.testing.assert_array_equal(both[there], scarred[there])
    assert measure(both)[SIZE][0] == pytest.approx(before + 0.1, abs=0.01)
    alone = np.where(there, HEALTHY, both).astype(np.uint8)
    assert measure_place(alone).layer == "epicardial" and angle_error(alone, wanted) <= 10


def test_grown_and_shrunk_scars_contain_each_other() -> None:
    scarred = drawn_heart(6, 0.2)
    sizes = {0.05: "shrink", 0.1: "shrink", 0.3: "grow", 0.6: "grow"}
    maps = [edit_scar(scarred, asked(operation, infarct_size=size), 0, 6) for size, operation in sizes.items()]
    np.testing.assert_allclose(measure(np.stack(maps))[SIZE], list(sizes), atol=0.002)
    scars = [labels >= INFARCT for labels in (*maps[:2], scarred, *maps[2:])]
    assert all((small <= large).all() for small, large in pairwise(scars))


@pytest.mark.parametrize("turn", [40, 120, 180])
def test_a_moved_scar_keeps_its_size_and_layer(turn: float) -> None:
    scarred = drawn_heart(7, 0.15)
    wanted = measure_place(scarred).angle_deg + turn
    there = edit_scar(scarred, asked("move", angle_deg=wanted), 0, 7)
    assert angle_error(there, wanted) <= 10
    assert measure_place(there).layer == measure_place(scarred).layer
    assert measure(there)[SIZE][0] == pytest.approx(measure(scarred)[SIZE][0], abs=0.03)
    np.testing.assert_array_equal(healed(there), healed(scarred))


@pytest.mark.parametrize(("request_", "fault"), [
    (asked(angle_deg=10.0, aha_segment=2.0, rv_insertion_deg=0.0), "both say where"),
    (asked(aha_segment=2.0), "needs rv_insertion_deg"),
    (asked(aha_segment=17.0, rv_insertion_deg=0.0), "17 is the tip"),
    (asked(aha_segment=2.5, rv_insertion_deg=0.0), "whole number"),
    (asked("remove", infarct_size=0.1), "remove takes no infarct_size"),
    (asked("grow"), "needs the infarct_size"),
    (asked("grow", "mid-wall", infarct_size=0.1), "grow takes no layer"),
    (asked("move"), "needs angle_deg or aha_segment"),
    (asked(layer="mid-wall", infarct_size=0.0), "needs a scar"),
    (asked(infarct_size=0.4, transmurality=0.2), "is below infarct_size"),
])
def test_requests_that_contradict_themselves(request_: EditRequest, fault: str) -> None:
    assert any(fault in line for line in edit_faults(request_))


def test_requests_of_every_operation_are_taken() -> None:
    for request in (asked(), asked("add", "mid-wall", infarct_size=0.1), asked("grow", infarct_size=0.1),
                    asked("remove"), asked("move", aha_segment=3.0, rv_insertion_deg=10.0)):
        assert edit_faults(request) == []


def test_maps_that_cannot_be_edited_say_why() -> None:
    closed, opened = drawn_heart(5), drawn_heart(5).copy()
    opened[:, :60] = 0
    segment = asked(aha_segment=1.0, rv_insertion_deg=0.0)
    assert map_faults(closed, asked()) == [] and map_faults(opened, asked("remove")) == []
    for labels, request, fault in (
            (opened, asked(), "no closed wall"), (np.zeros((9, 9), np.uint8), asked(), "no closed wall"),
            (closed, asked("grow", infarct_size=0.1), "no scar to grow"),
            (closed, segment, "position, which is unknown"),
            (closed, EditRequest({**segment.numbers, POSITION: 0.2}), "1 is basal, but the slice at 0.2 is apical")):
        assert fault in map_faults(labels, request)[0]


@pytest.mark.parametrize(("request_", "message"), [
    (asked(layer="mid-wall", transmurality=0.95), "no scar of transmurality = 0.95, layer = mid-wall fits"),
    (asked("add", infarct_size=0.1), "holds 0.2"), (asked("grow", infarct_size=0.1), "does not grow to 0.1"),
    (asked("shrink", infarct_size=0.3), "does not shrink to 0.3"),
])
def test_scars_that_do_not_fit(request_: EditRequest, message: str) -> None:
    with pytest.raises(InputError, match=message):
        edit_scar(drawn_heart(6, 0.2), request_, 0, 6)


def test_full_walls_have_nothing_to_shrink_from_or_to_move() -> None:
    full = np.where(drawn_heart(6) == HEALTHY, INFARCT, drawn_heart(6)).astype(np.uint8)
    with pytest.raises(InputError, match="no border"):
        edit_scar(full, asked("shrink", infarct_size=0.3), 0, 6)
    with pytest.raises(InputError, match="on all sides"):
        edit_scar(full, asked("move", angle_deg=3.0), 0, 6)
