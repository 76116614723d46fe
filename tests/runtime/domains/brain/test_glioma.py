"""Gliomas: where they are, and which label lies in which."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from brain_phantoms import VALUES
from cldm_runtime.domains.brain import BRAIN_KINDS
from cldm_runtime.domains.brain.glioma import Glioma, LesionCanvas, Load, draw_gliomas, pushing
from cldm_runtime.domains.brain.head import BrainMap
from cldm_runtime.domains.brain.space import VoxelGrid
from cldm_runtime.domains.brain.tissue import BrainTissue
from cldm_runtime.noise import Purpose, Stream

GRID = VoxelGrid.around((60, 60, 60), 1.5, (0.0, 0.0, 30.0))
CENTRE = (0.0, 0.0, 30.0)


def white_matter():
    """Nothing but white matter in the left half."""
    far = np.full(GRID.shape, 50.0, np.float32)
    return BrainMap(np.full(GRID.shape, BrainTissue.WHITE, np.uint8), far, far.copy(), -far,
                    np.ones(GRID.shape, np.bool_))


def painted(kind, brain=None, **changes):
    kinds = tuple(float(kind == name) for name in ("ring", "solid", "low-grade", "diffuse"))
    glioma = Glioma.draw(Stream(0, 0, Purpose.COHORT), Load((1.0,), (14.0, 14.1), kinds, (8.0, 8.1), (1.0,)), CENTRE)
    glioma = replace(glioma, **changes)
    canvas = LesionCanvas(GRID, brain or white_matter(), VALUES, np.zeros(GRID.shape, np.float32),
                          np.zeros(GRID.shape, np.uint8), np.zeros(GRID.shape, np.float32), 0.0)
    glioma.paint(canvas)
    return canvas


def test_a_ring_holds_its_necrosis_and_lies_in_its_oedema():
    canvas = painted("ring", gaps=-9.0)
    necrosis, edema, enhancing = (canvas.labels == value for value in (1, 2, 3))
    assert necrosis.any() and enhancing.any() and edema.any()
    touched = ndimage.binary_dilation(necrosis) & ~necrosis
    assert (canvas.labels[touched] == 3).mean() > 0.95  # the rim is closed
    around = ndimage.binary_dilation(necrosis | enhancing) & ~necrosis & ~enhancing
    assert (canvas.labels[around] == 2).mean() > 0.9  # between fingers the tumour meets healthy tissue


@pytest.mark.parametrize(("kind", "core"), [("solid", 3), ("low-grade", 1), ("diffuse", 1)])
def test_the_core_of_each_kind(kind, core):
    canvas = painted(kind, bleeding=0.0, nodular=0.0 if kind == "low-grade" else 0.9)
    inside = canvas.labels[(canvas.labels == 1) | (canvas.labels == 3)]
    assert (inside == core).mean() > 0.8 and (kind != "diffuse" or len(inside) < 500)


def test_oedema_is_soft_and_its_label_begins_where_it_is_half():
    canvas = painted("ring")
    border = canvas.edema[(canvas.labels == 0) & (canvas.edema > 0)]
    assert len(border) > 100 and border.max() <= 0.5 and canvas.edema[canvas.labels == 2].min() >= 0.5


def test_liquor_and_the_other_half_stop_it():
    brain = white_matter()
    brain.tissue[:, :, 45:] = BrainTissue.LIQUOR
    brain.cortex[:, :, 45:] = -9.0
    brain.left[:, :, :20] = False  # x below 15.75 mm is taken for the other half
    brain.cortex[:, :, :20] = 1.0
    labels = painted("ring", brain).labels
    assert labels.any() and not labels[:, :, 45:].any() and not labels[:, :, :20].any()


def test_loads_give_what_they_say():
    for name, few, many in (("brain", 0, 4), ("brain-shifted", 0, 4)):
        load = replace(BRAIN_KINDS[name].load, satellites=(1.0,))
        counts = [len(draw_gliomas(Stream(0, patient, Purpose.COHORT), load)) for patient in range(200)]
        weights = np.array(load.counts) / sum(load.counts)
        assert (min(counts), max(counts)) == (few, many)
        assert abs(np.mean(counts) - weights @ np.arange(5)) < 0.25


def test_satellites_are_small_and_near():
    load = replace(BRAIN_KINDS["brain"].load, counts=(0.0, 1.0), satellites=(0.0, 0.0, 1.0))
    for patient in range(20):
        main, *others = draw_gliomas(Stream(0, patient, Purpose.COHORT), load)
        for satellite in others:
            assert satellite.radius_mm <= 6.0 and satellite not in pushing([satellite])
            assert np.linalg.norm(np.subtract(satellite.centre, main.centre)) < 1.6 * main.radius_mm + 1.3 * 20 + 4
