"""Shape of the left ventricle, by hand."""

import numpy as np
import pytest

from cldm_runtime.domains.lge.phantom2.chamber import Chamber, Thinning
from cldm_runtime.domains.lge.phantom2.plane import TURN
from cldm_runtime.domains.lge.ventricle import Waves
from cldm_runtime.noise import Purpose, Stream

STILL = Waves(np.array([2.0]), np.array([0.0]), np.array([0.0]), np.array([0.0]))
WHOLE = Thinning(0.0, 0.0, 1.0, 0.5, 1.0)


def chamber(**changed):
    return Chamber(**{"radius_mm": 25.0, "wall_mm": 10.0, "apex_wall": 0.5, "tip": 0.0, "taper": 0.2, "outline": STILL,
                      "thickness": STILL, "thinning": WHOLE} | changed)


def test_the_cavity_is_half_an_ellipse_that_tapers_at_the_base():
    assert chamber().endocardium(0.4) == pytest.approx(25.0 * 0.8)  # sqrt(1 - .6^2)
    assert chamber().endocardium(1.0) == pytest.approx(25.0 * 0.8)  # 20 % narrower
    assert chamber(tip=0.05).endocardium(0.0) == pytest.approx(3.0)  # the smallest


def test_the_wall_is_thin_at_the_apex_and_thickest_at_the_base():
    assert [chamber().wall(z)[0] for z in (0.0, 0.6, 1.0)] == pytest.approx([5.0, 10.0, 11.0])
    assert chamber(wall_mm=5.0).wall(0.0) == pytest.approx(3.5)  # no thinner than this


def test_a_scar_thins_the_wall_most_at_its_centre():
    thin = chamber(thinning=Thinning(0.4, 0.0, 0.3, 0.6, 0.2))
    assert thin.wall(0.6)[len(TURN) // 2] == pytest.approx(6.0)
    assert thin.wall(0.6)[0] == pytest.approx(10.0)  # opposite
    assert thin.wall(0.8)[len(TURN) // 2] == pytest.approx(10.5 * (1 - 0.4 * np.exp(-0.5)))


def test_drawn_ventricles_have_the_measured_sizes():
    drawn = [Chamber.draw(Stream(0, i, Purpose.COHORT), WHOLE) for i in range(300)]
    diameter = {z: np.array([2 * c.endocardium(z).mean() for c in drawn]) for z in (0.06, 0.5, 0.95)}
    wall = np.array([c.wall(0.5) for c in drawn])
    assert 10 < np.median(diameter[0.06]) < 20 and diameter[0.06].max() < 30
    assert np.percentile(diameter[0.5], (3, 97)) == pytest.approx([36, 50], abs=3)
    assert np.percentile(diameter[0.95], (3, 97)) == pytest.approx([32, 52], abs=4)
    assert np.percentile(wall.mean(axis=1), (3, 97)) == pytest.approx([7.5, 12], abs=0.7)
    assert np.median(np.percentile(wall, 97, axis=1) / np.percentile(wall, 3, axis=1)) > 1.35
