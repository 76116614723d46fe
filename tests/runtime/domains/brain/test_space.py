"""Depths in shapes, by hand, and random fields."""

import numpy as np
import pytest

from cldm_runtime.domains.brain.space import RandomField, VoxelGrid, ellipsoid, tube
from cldm_runtime.noise import Purpose, Stream

GRID = VoxelGrid.around((33, 33, 33), 1.0, (0.0, 0.0, 0.0))


def test_the_depth_in_a_ball_is_the_distance_to_its_surface():
    z, y, x = GRID.coordinates
    distance = np.sqrt((z - 1) ** 2 + (y + 2) ** 2 + x**2)
    depth = ellipsoid(z, y, x, (1.0, -2.0, 0.0), (9.0, 9.0, 9.0))
    np.testing.assert_allclose(depth[distance > 0], 9 - distance[distance > 0], atol=1e-3)


def test_a_tube_narrows_along_its_course():
    depth = tube(*GRID.coordinates, ((-10.0, 0.0, 0.0, 2.0), (10.0, 0.0, 0.0, 4.0)))
    assert depth[16, 16, 16] == pytest.approx(3.0) and depth[16, 16, 19] == pytest.approx(0.0)
    assert depth[26, 16, 16] == pytest.approx(4.0) and depth[28, 16, 16] == pytest.approx(2.0)
    with pytest.raises(ValueError, match="two places"):
        tube(*GRID.coordinates, ((0.0, 0.0, 0.0, 1.0),))


def test_boxes_hold_what_they_should():
    box = GRID.box((0.0, 5.0, -20.0), 3.0)
    assert [(side.start, side.stop) for side in box] == [(13, 19), (18, 24), (0, 0)]
    assert GRID.part(box).shape == (6, 6, 0) and GRID.between((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0))[0] == slice(15, 17)


def test_a_field_is_the_same_on_a_grid_and_at_places_and_has_its_wavelength():
    field = RandomField.draw(Stream(0, 0, Purpose.COHORT), 24.0, band=0.15)
    values = field.on(GRID)
    assert np.abs(values - field.at(*GRID.coordinates)).mean() < 0.1  # cubic and linear interpolation
    assert field.lattice.std() == pytest.approx(1.0, abs=1e-3) and abs(float(field.lattice.mean())) < 1e-3
    assert values[4, 4, 4] == pytest.approx(float(field.lattice[-3, -3, -3]), abs=1e-4)  # at -12 mm, a lattice point
    slope = np.sqrt((np.diff(field.lattice, axis=2) ** 2).mean()) / field.step_mm
    assert slope == pytest.approx(2 * np.pi / 24.0 / np.sqrt(3), rel=0.15)  # of a wave in any direction, along one
