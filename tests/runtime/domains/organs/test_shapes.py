"""Depths of shapes, by hand."""

import numpy as np

from cldm_runtime.domains.organs.shapes import OUTSIDE_MM, Ellipsoid, Points, Swell
from cldm_runtime.noise import Purpose, Stream


def test_the_depth_in_a_ball_is_the_distance_to_its_surface():
    at = Points.of_plane(64, 1.0, 6.0)
    distance = np.sqrt((at.x - 3) ** 2 + (at.y + 2) ** 2 + 6.0**2)
    near = distance < 16
    depth = Ellipsoid((3.0, -2.0, 0.0), (10.0, 10.0, 10.0))(at)
    np.testing.assert_allclose(depth[near], 10 - distance[near], atol=1e-3)


def test_far_away_nothing_is_computed():
    at = Points.of_plane(200, 1.0, 0.0)
    assert Ellipsoid((-80.0, 0.0, 0.0), (5.0, 5.0, 5.0))(at)[100, 199] == OUTSIDE_MM
    assert (Ellipsoid((0.0, 0.0, 90.0), (5.0, 5.0, 5.0))(at) == OUTSIDE_MM).all()


def test_a_turned_ellipsoid_lies_along_its_axis():
    at = Points.of_plane(101, 1.0, 0.0)
    depth = Ellipsoid((0.0, 0.0, 0.0), (20.0, 5.0, 9.0), np.pi / 2)(at)
    assert depth[50 + 18, 50] > 0 > depth[50, 50 + 6]  # its long axis points from x to y


def test_waves_are_the_sum_of_cosines():
    waves, at = Swell.draw(Stream(0, 0, Purpose.COHORT), 20.0, 4), Points.of_plane(9, 3.0, 7.0)
    phases = [kx * at.x + ky * at.y + kz * 7.0 + phase
              for (kx, ky, kz), phase in zip(waves.waves, waves.phase, strict=True)]
    np.testing.assert_allclose(waves(at), np.sqrt(0.5) * np.sum(np.cos(phases), axis=0), atol=1e-5)
