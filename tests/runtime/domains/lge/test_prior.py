"""Attributes that were left out."""

import numpy as np
import pytest

from cldm_runtime.domains.lge.attributes import NAMES
from cldm_runtime.domains.lge.prior import _nearest, complete
from cldm_runtime.noise import Purpose, Stream

SIZE, DEPTH, SURFACE, POSITION = NAMES
TABLE = np.array([[0.1, 0.5, 0.2, 0.5], [0.3, 0.75, 0.4, 0.2], [0.0, np.nan, 0.0, 0.9]])


def completed(request, table=TABLE, index=0):
    return complete(request, Stream(0, index, Purpose.CONDITION), table)


def test_a_row_of_the_table_comes_through_whole():
    found = {tuple(round(v, 3) for v in completed({}, index=i).values() if v == v) for i in range(60)}
    assert found == {(0.1, 0.5, 0.2, 0.5), (0.3, 0.75, 0.4, 0.2), (0.0, 0.0, 0.9)}


def test_what_was_asked_for_stays():
    assert completed({SIZE: 0.2, POSITION: 0.7}).items() >= {SIZE: 0.2, POSITION: 0.7}.items()


def test_size_and_depth_leave_the_surface_to_the_arc():
    assert completed({SIZE: 0.2, DEPTH: 0.5})[SURFACE] == pytest.approx(0.4)


def test_shallow_infarcts_fill_the_inner_quarter_in_part():
    found = completed({SIZE: 0.05, DEPTH: 0.14})
    assert found[SURFACE] == pytest.approx(0.05 / 0.14 * 0.5)


def test_no_infarct_has_no_transmurality():
    found = completed({SIZE: 0.0})
    assert np.isnan(found[DEPTH]) and found[SURFACE] == 0.0


def test_asking_for_depth_asks_for_infarct():
    assert all(completed({DEPTH: 0.6}, index=i)[SIZE] > 0 for i in range(30))


def test_without_a_table_the_prior_is_used():
    sizes = [completed({}, None, i)[SIZE] for i in range(200)]
    assert np.mean(np.array(sizes) == 0) == pytest.approx(0.3, abs=0.08)


def test_a_table_of_single_slices_leaves_the_position_to_chance():
    table = np.array([[0.1, 0.5, 0.2, np.nan]])
    positions = {completed({}, table, index)[POSITION] for index in range(5)}
    assert len(positions) == 5 and all(0 <= position < 1 for position in positions)


def test_the_nearest_rows_come_in_the_order_of_a_stable_sort():
    distance = np.random.default_rng(0).integers(0, 40, 200).astype(float)
    for count in (1, 24, 199, 200, 300):
        np.testing.assert_array_equal(_nearest(distance, count), np.argsort(distance, kind="stable")[:count])
