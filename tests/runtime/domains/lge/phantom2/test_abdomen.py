"""Diaphragm, liver, stomach and spleen."""

from dataclasses import replace

import numpy as np
import pytest

from cldm_runtime.domains.lge.phantom2.abdomen import Abdomen, Diaphragm, Filling
from cldm_runtime.domains.lge.phantom2.plane import Placement, Plane
from cldm_runtime.domains.lge.phantom2.tissue import BodyTissue
from cldm_runtime.noise import Purpose, Stream

STILL = Placement((0.0, 0.0), (0.0, 0.0), 0.0, 0.0, 90.0)
FLAT = np.full((224, 224), 0.5)
LEVEL = Diaphragm(-20.0, (0.0, 0.0), 0.0, (0.0, 0.0, 0.0), 3.0)


def at(z):
    return Plane.at(STILL, z, (0.0, 0.0), 224)


def painted(filling, z=0.2):
    tissue = np.zeros((224, 224), dtype=np.uint8)
    plane, none = at(z), 0.0 * FLAT
    abdomen = Abdomen(LEVEL, filling, (45.0, 0.0, 30.0), (40.0, 50.0, 30.0), 4.0, 10.0, 60.0)
    below = LEVEL.below(plane, none)
    abdomen.paint(tissue, plane, below, none, FLAT)
    return tissue, plane, below


def test_depth_below_a_level_diaphragm_is_minus_the_height_above_it():
    plane = at(0.5)
    assert LEVEL.below(plane, 0.0 * FLAT) == pytest.approx(-20.0 - plane.superior)


def test_the_left_dome_rises_by_its_height_at_its_place():
    plane, none = at(0.5), 0.0 * FLAT
    domed = replace(LEVEL, dome=(12.0, plane.left[112, 112], plane.anterior[112, 112]))
    rise = domed.below(plane, none) - LEVEL.below(plane, none)
    assert rise[112, 112] == pytest.approx(12.0) and rise.min() >= 0.0 and rise[0, 0] < 2.0


def test_the_heart_rests_on_the_diaphragm(round_chamber):
    for number in range(50):
        diaphragm = Diaphragm.draw(Stream(0, number, Purpose.COHORT), STILL, round_chamber)
        inferior = int(112 + round_chamber.outer_mm(0.7) + 4)  # row of 1 mm, 4 mm below the wall
        assert -14.0 < -diaphragm.below(at(0.7), 0.0 * FLAT)[inferior, 112] < 14.0


def test_muscle_covers_the_organs_and_nothing_lies_above():
    tissue, _, below = painted(Filling.FOOD)
    assert (tissue[below < -3.0] == 0).all()
    assert (tissue[(below > -2.9) & (below <= 0)] == BodyTissue.MUSCLE).all()


def test_the_liver_lies_at_the_patients_right_and_the_spleen_at_the_left():
    tissue, plane, _ = painted(Filling.FOOD)
    assert plane.left[tissue == BodyTissue.LIVER].max() < 10.0
    assert plane.left[tissue == BodyTissue.SPLEEN].mean() > plane.left[tissue == BodyTissue.STOMACH_CONTENT].mean()


def test_gas_rises_to_the_front_of_a_patient_on_the_back():
    tissue, plane, _ = painted(Filling.GAS)
    gas, fluid = (plane.anterior[tissue == kind] for kind in (BodyTissue.GAS, BodyTissue.STOMACH_CONTENT))
    assert gas.size > 100 and fluid.size > 100 and gas.min() >= -25.0 > fluid.max()


def test_a_wall_of_four_millimetres_surrounds_the_stomach():
    tissue, plane, below = painted(Filling.FOOD)
    level = np.sqrt(((plane.left - 45) / 40) ** 2 + (plane.anterior / 50) ** 2 + ((below - 30) / 30) ** 2)
    depth = (1.0 - level) * 40.0
    assert (tissue[(depth > 0.1) & (depth < 3.9) & (below > 0)] == BodyTissue.STOMACH_WALL).all()
    assert (tissue[(depth > 4.1) & (below > 0)] == BodyTissue.STOMACH_CONTENT).all()


def test_fillings_are_drawn_by_their_frequency():
    drawn = [Abdomen.draw(Stream(0, i, Purpose.COHORT), LEVEL).filling for i in range(400)]
    assert np.bincount(drawn) / 400 == pytest.approx([0.45, 0.35, 0.2], abs=0.07)
