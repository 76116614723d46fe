"""Scars, by hand and over many patients."""

from dataclasses import replace

import numpy as np
import pytest

from cldm_runtime.domains.lge.phantom2.plane import TURN, Placement, Plane
from cldm_runtime.domains.lge.phantom2.scars import (
    Scars,
    scar_distance,
    true_labels,
    viable_share,
    wall_radius,
)
from cldm_runtime.domains.lge.ventricle import Lesion, Roughness, ScarCourse
from cldm_runtime.domains.registry import measure
from cldm_runtime.noise import Purpose, Stream

SMOOTH = Roughness(0.0, np.zeros(1), np.zeros(1), np.zeros(1))
PLANE = Plane.at(Placement((0.0, 0.0), (0.0, 0.0), 0.0, 0.0, 90.0), 0.5, (0.0, 0.0), 320)


def scars(lesion, **changed):
    course = ScarCourse(lesion, level=0.5, reach=0.4, twist=0.0)
    return replace(Scars((course,), SMOOTH, border=0.1, islands=0.0, obstruction=0.0), **changed)


def drawn(scars, chamber):
    radius = wall_radius(chamber, PLANE)
    return true_labels(scars, radius, scar_distance(scars, PLANE, radius))


def test_eighty_degrees_are_eight_sections_of_the_wall(round_chamber):
    found = measure(drawn(scars(Lesion(0.0, np.deg2rad(40.0), depth=100.0, power=50.0)), round_chamber)[None])
    assert found["infarct_size"][0] == pytest.approx(2 / 9, abs=0.005)
    assert found["transmurality"][0] == pytest.approx(1.0, abs=0.05)
    assert found["endocardial_surface_length"][0] == pytest.approx(2 / 9, abs=0.01)


def test_a_subepicardial_scar_spares_the_inner_quarter(round_chamber):
    found = measure(drawn(scars(Lesion(0.0, 0.8, depth=0.4, layer=1.0)), round_chamber)[None])
    assert found["infarct_size"][0] > 0.05 and found["endocardial_surface_length"][0] == 0.0


def test_the_core_without_reflow_lies_inside_and_off_the_endocardium(round_chamber):
    labels = drawn(scars(Lesion(0.0, 0.8, depth=1.2), obstruction=0.6), round_chamber)
    radius = wall_radius(round_chamber, PLANE)
    assert radius[labels == 4].min() > 0.12 and (labels == 4).sum() > 100
    assert (labels == 3).sum() > (labels == 4).sum()


def test_a_scar_ends_beyond_its_reach():
    course = ScarCourse(Lesion(0.0, 0.5, 0.8), level=0.5, reach=0.2, twist=1.0)
    assert course.at(0.71) is None and course.at(0.29) is None
    assert course.at(0.5).half_width == 0.5 and course.at(0.6).angle == pytest.approx(0.1)
    assert course.at(0.6).half_width == pytest.approx(0.5 * 0.75**0.5)


def test_half_of_the_muscle_is_viable_at_the_border_of_a_scar():
    distance = np.array([[0.5, 0.9, 0.95, 1.0, 1.05, 1.1, np.inf]])
    assert viable_share(scars(Lesion(0.0, 0.5, 0.8)), distance, np.zeros((1, 7)))[0] == pytest.approx(
        [0, 0, 0.25, 0.5, 0.75, 1, 1])


def test_islands_stay_within_the_scar():
    distance, fine = np.array([[0.5, 1.05, 2.0]]), np.full((1, 3), 0.7)
    viable = viable_share(scars(Lesion(0.0, 0.5, 0.8), islands=0.3), distance, fine)[0]
    assert viable == pytest.approx([0.3, 0.75, 1.0])


def many(acute):
    return [Scars.draw(Stream(0, i, Purpose.COHORT), acute) for i in range(400)]


def test_acute_scars_are_larger_and_more_often_without_reflow():
    chronic, acute = many(False), many(True)
    width = [np.mean([s.courses[0].lesion.half_width for s in group]) for group in (chronic, acute)]
    cores = [np.mean([s.obstruction > 0 for s in group]) for group in (chronic, acute)]
    assert width[1] > 1.15 * width[0] and cores[0] < 0.05 and 0.35 < cores[1] < 0.6


def test_a_minority_of_old_scars_is_not_ischaemic_and_does_not_thin_the_wall():
    others = [s for s in many(False) if s.courses[0].lesion.layer > 0]
    assert len(others) / 400 == pytest.approx(0.1, abs=0.04)
    assert all(s.courses[0].lesion.layer == 0 for s in many(True))
    assert others[0].draw_thinning(Stream(0, 0, Purpose.COHORT), False).share == 0.0
    shares = [s.draw_thinning(Stream(0, i, Purpose.COHORT), False).share for i, s in enumerate(many(False))]
    assert 0.3 < max(shares) <= 0.4
    assert max(s.draw_thinning(Stream(0, 0, Purpose.COHORT), True).share for s in many(True)) == 0.0


def test_the_angle_of_a_lesion_is_that_of_the_wall(round_chamber):
    labels = drawn(scars(Lesion(np.pi / 2, 0.4, 0.8)), round_chamber)
    assert np.abs(TURN[PLANE.angle[labels == 3]] - np.pi / 2).max() < 0.41  # anterior is up
