"""The map of a head."""

import numpy as np
import pytest

from cldm_runtime.domains.brain.glioma import Glioma, Load
from cldm_runtime.domains.brain.head import EXTENT_MM, MIDDLE_MM, Head
from cldm_runtime.domains.brain.space import VoxelGrid
from cldm_runtime.domains.brain.tissue import BRAIN_SIGNALS, BrainTissue
from cldm_runtime.noise import Purpose, Stream

VOXEL_MM = 3.0
GRID = VoxelGrid.around([round(extent / VOXEL_MM) for extent in EXTENT_MM], VOXEL_MM, MIDDLE_MM)
LOAD = Load((1.0,), (18.0, 20.0), (1.0, 0.0, 0.0, 0.0), (8.0, 10.0), (1.0,))


@pytest.fixture(scope="module")
def head():
    return Head.draw(Stream(0, 3, Purpose.COHORT))


@pytest.fixture(scope="module")
def brain(head):
    return head.map(GRID)


def millilitres(brain, *tissues):
    return np.isin(brain.tissue, tissues).sum() * VOXEL_MM**3 / 1000


def test_volumes_are_those_of_an_adult(brain):
    assert 950 < millilitres(brain, *(tissue for tissue in BrainTissue if tissue)) < 1700
    assert 300 < millilitres(brain, BrainTissue.GREY) < 750
    assert 300 < millilitres(brain, BrainTissue.WHITE) < 750
    assert 8 < (brain.ventricles > 0).sum() * VOXEL_MM**3 / 1000 < 90


def test_halves_are_alike_but_not_mirrored(brain):
    left, right = brain.tissue[:, :, :26], brain.tissue[:, :, :24:-1][:, :, :26]
    assert 0.4 < (left == right)[left > 0].mean() < 0.97


def test_cortex_lies_outside_white_matter(brain):
    grey, white = brain.tissue == BrainTissue.GREY, brain.tissue == BrainTissue.WHITE
    assert brain.cortex[white].mean() > brain.cortex[grey].mean() and brain.hull[grey].min() > 0


def test_a_tumour_pushes_the_midline_and_presses_liquor_out(head, brain):
    glioma = Glioma.draw(Stream(1, 0, Purpose.COHORT), LOAD, (20.0, 5.0, 28.0))
    pushed = head.map(GRID, [glioma])
    at = GRID.box((20.0, 5.0, 0.0), 20.0)
    assert (pushed.left[at].mean() - brain.left[at].mean()) > 0.005  # the left half reaches beyond the middle
    near = GRID.box(glioma.centre, 25.0)
    liquor = [(each.tissue[near] == BrainTissue.LIQUOR).mean() for each in (brain, pushed)]
    assert liquor[1] < 0.8 * liquor[0]


def test_every_tissue_has_a_signal():
    assert set(BRAIN_SIGNALS) == set(BrainTissue)
