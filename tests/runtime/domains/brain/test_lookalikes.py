"""Findings that have no label."""

from dataclasses import replace

import numpy as np

from cldm_runtime.domains.brain.head import BrainMap
from cldm_runtime.domains.brain.lookalikes import Lookalikes, OldInfarct
from cldm_runtime.domains.brain.space import RandomField, VoxelGrid
from cldm_runtime.domains.brain.tissue import BrainTissue
from cldm_runtime.noise import Purpose, Stream

GRID = VoxelGrid.around((40, 40, 40), 1.5, (0.0, 0.0, 0.0))


def painted(**changes):
    """Findings in white matter around a ventricle of x < -20 mm; the tissue and the share of gliosis."""
    tissue = np.full(GRID.shape, BrainTissue.WHITE, np.uint8)
    depth = np.broadcast_to(-20.0 - GRID.coordinates[2], GRID.shape).astype(np.float32)
    far = np.full(GRID.shape, 9.0, np.float32)
    brain = BrainMap(tissue, far, far.copy(), depth, depth < 0)
    flat = RandomField(np.zeros((6, 6, 6), np.float32), 10.0)
    none = Lookalikes(0.0, flat, (), (), (), 0.0, flat)
    share = replace(none, **changes).paint(GRID, brain)
    return brain.tissue, share


def test_a_band_follows_the_ventricle():
    tissue, share = painted(band_mm=4.0)
    x = np.broadcast_to(GRID.coordinates[2], GRID.shape)
    near, far = (x > -20) & (x < -18), x > -12
    assert share[near].min() > 0.4 and not share[far].any() and (tissue == BrainTissue.WHITE).all()


def test_spots_are_balls():
    _, share = painted(spots=(((0.0, 0.0, 0.0), 4.0),))
    away = np.sqrt(sum(axis**2 for axis in GRID.coordinates))
    assert share[away < 3].min() > 0.9 and not share[(away > 5) & (np.broadcast_to(GRID.coordinates[2], GRID.shape) > 0)
                                                     ].any()


def test_an_old_infarct_is_a_cavity_with_a_rim():
    flat = RandomField(np.zeros((6, 6, 6), np.float32), 10.0)
    tissue, share = painted(infarcts=(OldInfarct((0.0, 0.0, 5.0), 8.0, 3.0, flat),))
    z, y, x = GRID.coordinates
    away = np.sqrt(z**2 + y**2 + (x - 5) ** 2)
    assert (tissue[away < 7.5] == BrainTissue.LIQUOR).all() and not share[away < 7.5].any()
    assert share[(away > 8.2) & (away < 9)].min() > 0.5 and (tissue[away > 8.5] == BrainTissue.WHITE).all()


def test_vessels_are_drawn():
    tissue, _ = painted(vessels=(((-20.0, 0.0, 0.0, 2.0), (20.0, 0.0, 0.0, 2.0)),))
    assert tissue[20, 20, 20] == BrainTissue.VESSEL and (tissue == BrainTissue.VESSEL).mean() < 0.02
    assert len(Lookalikes.draw(Stream(0, 0, Purpose.COHORT)).vessels) >= 12


def test_dura_is_drawn_in_liquor_near_the_hull():
    flat = RandomField(np.zeros((6, 6, 6), np.float32), 10.0)
    hull = np.broadcast_to(GRID.coordinates[0] + 10.0, GRID.shape).astype(np.float32)  # mm inside of z = -10
    tissue = np.full(GRID.shape, BrainTissue.LIQUOR, np.uint8)
    tissue[:, :, :5] = BrainTissue.WHITE
    nothing = np.zeros(GRID.shape, np.float32)
    brain = BrainMap(tissue, hull, nothing, nothing, np.zeros(GRID.shape, np.bool_))
    Lookalikes(0.0, flat, (), (), (), 10.0, flat).paint(GRID, brain)
    expected = (hull > 0) & (hull < 6.0)  # 0.6 of the thickness where the field is 0
    assert np.array_equal(tissue[:, :, 5:] == BrainTissue.DURA, expected[:, :, 5:]) and expected.any()
    assert (tissue[:, :, :5] == BrainTissue.WHITE).all()
