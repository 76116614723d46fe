"""Chest wall, lung, spine and aorta."""

import numpy as np
import pytest

from cldm_runtime.domains.lge.phantom2.plane import TO_APEX, Placement, Plane
from cldm_runtime.domains.lge.phantom2.thorax import Chest, Mediastinum
from cldm_runtime.domains.lge.phantom2.tissue import BodyTissue
from cldm_runtime.noise import Purpose, Stream

STILL = Placement((0.0, 0.0), (0.0, 0.0), 0.0, 0.0, 90.0)
FLAT = np.full((224, 224), 0.5)  # no strands, no waves but those that the test adds
CHEST = Chest(130.0, 90.0, (-45.0, -40.0), (10.0, 6.0, 20.0), 0.0, 5.0)


def at(z):
    return Plane.at(STILL, z, (0.0, 0.0), 224)


def test_the_chest_wall_lies_a_drawn_gap_beyond_the_apex():
    for number in range(100):
        stream = Stream(0, number, Purpose.COHORT)
        gap = Stream(0, number, Purpose.COHORT).uniform(2.0, 22.0)  # the first number drawn
        chest = Chest.draw(stream, 45.0)
        left, anterior = TO_APEX[:2] * (45.0 + gap)
        across = (left - chest.middle[0]) / chest.half_width_mm
        level = np.hypot(across, (anterior - chest.middle[1]) / chest.half_depth_mm)
        assert level == pytest.approx(1.0, abs=0.01)
        assert 5.0 <= chest.layers_mm[2] <= 60.0


def test_the_layers_follow_each_other_from_inside():
    plane, tissue = at(0.0), np.zeros((224, 224), dtype=np.uint8)
    beyond = CHEST.beyond(plane, 0.0 * FLAT)
    CHEST.paint(tissue, plane, beyond, FLAT)
    assert set(np.unique(tissue[(beyond > 3) & (beyond < 9)])) <= {BodyTissue.MUSCLE, BodyTissue.BONE}
    assert (tissue[(beyond > 13) & (beyond < 16)] == BodyTissue.MUSCLE).all()
    assert (tissue[(beyond > 17) & (beyond < 36)] == BodyTissue.SUBCUTANEOUS_FAT).all()
    assert (tissue[beyond > 39] == BodyTissue.AIR).all() and (tissue[beyond < 0] == 0).all()


def test_distances_from_the_chest_wall_are_millimetres():
    plane = at(0.5)
    beyond = CHEST.beyond(plane, 0.0 * FLAT)
    on_axis = np.unravel_index(np.abs(plane.left + 45.0).argmin(), plane.left.shape)
    assert beyond[on_axis] == pytest.approx(abs(plane.anterior[on_axis] + 40.0) - 90.0, abs=0.5)


def test_at_the_apex_fat_covers_much_and_at_the_base_little():
    shares = []
    for z in (0.05, 0.9):
        tissue = np.zeros((224, 224), dtype=np.uint8)
        CHEST.paint(tissue, at(z), CHEST.beyond(at(z), 0.0 * FLAT), FLAT)
        shares.append((tissue[48:176, 48:176] == BodyTissue.SUBCUTANEOUS_FAT).mean())
    assert shares[0] > 0.1 > 2 * shares[1]


def test_the_aorta_lies_in_basal_slices_only():
    found = []
    for z in (0.1, 0.5, 0.95):
        tissue = np.zeros((224, 224), dtype=np.uint8)
        Mediastinum((-22.0, -75.0), 12.0, (-45.0, -95.0), 0.1).paint(tissue, at(z))
        found.append((tissue[20:204, 20:204] == BodyTissue.VESSEL).sum())
    assert found[0] == 0 and found[1] == 0 and found[2] > 400  # an oblique cut of a tube of 24 mm


def test_vessels_take_a_small_part_of_the_lung():
    rng = np.random.default_rng(0)
    fields = rng.standard_normal((3, 224, 224))
    tissue = np.zeros((224, 224), dtype=np.uint8)
    Mediastinum((0.0, 0.0), 10.0, (0.0, 0.0), 0.1).paint_lung(tissue, *fields)
    assert 0.01 < (tissue == BodyTissue.VESSEL).mean() < 0.1
    assert set(np.unique(tissue)) == {BodyTissue.LUNG, BodyTissue.VESSEL}
