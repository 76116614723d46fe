"""Outlines and lesions by hand."""

import numpy as np
import pytest

from cldm_runtime.domains.lge.ventricle import Lesion, Roughness, Ventricle, Waves, draw_territory, polar, wrap
from cldm_runtime.noise import Purpose, Stream

STILL = Waves(np.array([2.0]), np.array([0.0]), np.array([0.0]), np.array([0.0]))
ROUND = Ventricle(base_radius=25.0, wall=10.0, apex_wall=1.0, apex=0.0, outline=STILL, thickness=STILL)
TURN = np.linspace(-np.pi, np.pi, 36, endpoint=False)


def stream(index=0):
    return Stream(0, index, Purpose.ANATOMY)


def test_the_long_axis_is_half_an_ellipse():
    assert ROUND.endocardium(TURN, 1.0) == pytest.approx(25.0)
    assert ROUND.endocardium(TURN, 0.0) == pytest.approx(0.0)
    assert ROUND.endocardium(TURN, 0.4) == pytest.approx(25.0 * 0.8)  # sqrt(1 - 0.6^2)


def test_scar_thins_the_wall_at_its_centre_only():
    thin = Ventricle(25.0, 10.0, 1.0, 0.0, STILL, STILL, thinning=0.4, scar_angle=0.0, scar_width=0.2)
    assert thin.thickness_at(np.array([0.0, np.pi]), 0.5) == pytest.approx([6.0, 10.0])


def test_waves_are_a_cosine_that_drifts_with_the_level():
    waves = Waves(np.array([2.0]), np.array([1.0]), np.array([0.4]), np.array([0.0]))
    assert waves(np.array([0.0, np.pi / 2]), 0.5) == pytest.approx([1.0, -1.0])
    assert waves(np.array([0.0]), 1.0) == pytest.approx([1.2])


def test_a_lesion_ends_where_its_distance_is_one():
    lesion = Lesion(angle=0.0, half_width=0.5, depth=0.8, power=2.0)
    assert lesion.distance(np.array([0.5, 0.0, 0.3]), np.array([0.0, 0.8, 0.64])) == pytest.approx([1.0, 1.0, 1.0])


def test_a_mid_wall_lesion_spares_the_endocardium():
    lesion = Lesion(0.0, 0.5, 0.2, layer=0.5)
    assert lesion.distance(np.zeros(2), np.array([0.5, 0.0])) == pytest.approx([0.0, 2.5])


def test_polar_coordinates_about_the_centre():
    theta, rho = polar((5, 5), (2.0, 2.0), (0.0, 0.0))
    assert rho[2, 2] == 0.0
    assert (rho[2, 4], theta[2, 4]) == (4.0, 0.0)
    assert theta[0, 2] == pytest.approx(np.pi / 2)  # up
    assert polar((5, 5), (2.0, 2.0), (0.0, 0.0), 90.0)[0][0, 2] == pytest.approx(0.0)


def test_angles_are_folded():
    assert wrap(np.array([3 * np.pi / 2, -3 * np.pi / 2])) == pytest.approx([-np.pi / 2, np.pi / 2])


def test_drawn_ventricles_vary_within_the_stated_range():
    drawn = [Ventricle.draw(stream(i)) for i in range(2000)]
    radii, walls = [v.base_radius for v in drawn], [v.wall for v in drawn]
    assert (min(radii), max(radii), min(walls), max(walls)) == (20.0, 32.0, 7.2, 12.0)  # some reach each end
    assert (np.mean(radii), np.std(radii)) == pytest.approx((25.5, 2.55), abs=0.15)
    assert (np.mean(walls), np.std(walls)) == pytest.approx((9.2, 0.97), abs=0.1)
    assert all(0.72 <= v.apex_wall < 0.95 and 0.08 <= v.apex < 0.2 for v in drawn)


def test_roughness_stays_below_its_amplitude():
    theta, radius = np.meshgrid(TURN, np.linspace(0, 1, 9))
    field = Roughness.draw(stream(), 0.3)(theta, radius)
    assert np.abs(field).max() <= 0.3
    assert field.std() > 0.05


def test_territories_are_met_by_their_frequency():
    degrees = np.rad2deg([draw_territory(stream(i)) for i in range(400)])
    assert np.mean(np.abs(degrees - 115) < 60) == pytest.approx(0.5, abs=0.08)
