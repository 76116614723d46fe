"""Coordinates of a slice, by hand."""

import numpy as np
import pytest

from cldm_runtime.domains.lge.phantom2.plane import (
    TO_ANTERIOR,
    TO_APEX,
    TO_LATERAL,
    TURN,
    Placement,
    Plane,
    length,
    smooth_minimum,
)
from cldm_runtime.domains.lge.phantom2.tissue import FIELD_OF_VIEW_MM

STILL = Placement((0.0, 0.0), (0.0, 0.0), 0.0, 0.0, 90.0)


def test_the_axes_are_perpendicular_and_point_as_in_the_body():
    axes = np.array([TO_APEX, TO_LATERAL, TO_ANTERIOR])
    assert axes @ axes.T == pytest.approx(np.eye(3), abs=1e-12)
    assert (np.sign(TO_APEX) == [1, 1, -1]).all()  # left, forwards, down
    assert TO_LATERAL[0] > 0.5 and TO_ANTERIOR[2] > 0.5


def test_the_wall_at_the_right_is_lateral_and_the_wall_at_the_top_anterior():
    plane = Plane.at(STILL, 0.5, (0.0, 0.0), 4)  # pixel centres 28 and 84 mm from the middle
    side = FIELD_OF_VIEW_MM / 4
    assert (plane.x[0, 3], plane.y[0, 3]) == (1.5 * side, 1.5 * side)
    assert (plane.x[3, 0], plane.y[3, 0]) == (-1.5 * side, -1.5 * side)
    assert TURN[plane.angle[0, 3]] == pytest.approx(np.pi / 4, abs=0.005)
    assert plane.left[0, 3] == pytest.approx(1.5 * side * (TO_LATERAL[0] + TO_ANTERIOR[0]))


def test_the_body_moves_towards_the_apex_with_the_slice():
    apex, base = (Plane.at(STILL, z, (0.0, 0.0), 4) for z in (0.0, 1.0))
    step = [a - b for a, b in ((apex.left, base.left), (apex.anterior, base.anterior), (apex.superior, base.superior))]
    assert [part[1, 2] for part in step] == pytest.approx(90.0 * TO_APEX)


def test_a_shifted_and_turned_heart_has_its_centre_where_it_is_put():
    place = Placement((4.0, -8.0), (0.0, 0.0), 0.5, 0.3, 90.0)
    plane = Plane.at(place, 0.3, (2.0, 2.0), 112)  # pixels of 2 mm
    row, column = np.unravel_index(plane.rho.argmin(), plane.rho.shape)
    # 6 mm down and 6 mm left of the middle, which lies between pixels 55 and 56
    assert (row - 55.5) * 2.0 == pytest.approx(6.0, abs=1.01) and (column - 55.5) * 2.0 == pytest.approx(-6.0, abs=1.01)
    # 0.8 rad counter-clockwise: the lateral wall is 45.8 degrees up
    place = Plane.at(Placement((0.0, 0.0), (0.0, 0.0), 0.5, 0.3, 90.0), 0.5, (0.0, 0.0), 224)
    assert TURN[place.angle[52, 171]] == pytest.approx(np.pi / 4 - 0.8, abs=0.01)


def test_the_centre_drifts_from_apex_to_base():
    place = Placement((0.0, 0.0), (0.0, 10.0), 0.0, 0.0, 90.0)
    low, high = (Plane.at(place, z, (0.0, 0.0), 8).x for z in (0.0, 1.0))
    assert low - high == pytest.approx(10.0)


def test_a_smooth_minimum_is_the_minimum_where_the_two_are_far_apart():
    first, second = np.array([0.0, 9.0, 3.0]), np.array([9.0, 0.0, 3.0])
    assert smooth_minimum(first, second, 4.0) == pytest.approx([0.0, 0.0, 2.0])  # a quarter of the width lower
    assert length(np.array([3.0]), np.array([-4.0])) == pytest.approx(5.0)
