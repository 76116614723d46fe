"""Four sequences."""

import numpy as np
import pytest

from cldm_runtime.domains.brain import BRAIN_KINDS
from cldm_runtime.domains.brain.scanner import SEQUENCES, MrProtocol, averaged
from cldm_runtime.domains.brain.space import VoxelGrid
from cldm_runtime.domains.brain.tissue import BrainTissue
from cldm_runtime.noise import Purpose, Stream


def protocol(patient, name="brain"):
    return MrProtocol.draw(Stream(0, patient, Purpose.PROTOCOL), BRAIN_KINDS[name].fleet)


def test_contrast_is_that_of_the_sequences():
    """In any of thirty protocols: grey is darker than white in T1 and brighter in T2 and FLAIR; liquor is brightest in
    T2 and dark in FLAIR; the enhancing tumour gains by the agent; oedema is bright in FLAIR."""
    for patient in range(30):
        t1n, t1c, t2w, t2f = protocol(patient).levels
        assert t1n[BrainTissue.LIQUOR] < t1n[BrainTissue.GREY] < 1.0
        assert t2w[BrainTissue.LIQUOR] > t2w[BrainTissue.GREY] > 1.0
        assert t2f[BrainTissue.LIQUOR] < 0.6 < 1.0 < t2f[BrainTissue.GREY]
        assert t2f[BrainTissue.EDEMA] > 1.1 and t1c[BrainTissue.ENHANCING] > 1.2 * t1n[BrainTissue.ENHANCING]


def test_scanners_differ():
    levels = np.stack([protocol(patient).levels for patient in range(20)])
    assert levels[:, 0, BrainTissue.GREY].std() > 0.02 and len({tuple(protocol(n).gain) for n in range(5)}) == 5
    shifted = np.mean([protocol(patient, "brain-shifted").noise for patient in range(20)])
    assert shifted > 1.5 * np.mean([protocol(patient).noise for patient in range(20)])


def test_a_flat_tissue_has_its_level_and_shares_mix():
    grid = VoxelGrid.around((12, 12, 12), 3.0, (0.0, 0.0, 0.0))
    tissue = np.full((24, 24, 24), BrainTissue.WHITE, np.uint8)
    half = np.zeros(tissue.shape, np.float32)
    half[12:] = 0.5
    made = protocol(0)
    images = made.images(grid, tissue, {BrainTissue.EDEMA: half}, 2, Stream(0, 0, Purpose.ACQUISITION))
    assert images.shape == (len(SEQUENCES), 12, 12, 12)
    for image, levels, gain in zip(images, made.levels, made.gain, strict=True):
        mixed = 0.5 * (1.0 + levels[BrainTissue.EDEMA])
        assert image[9:].mean() / image[:3].mean() == pytest.approx(mixed, rel=0.15)
        assert image[:3].mean() == pytest.approx(gain, rel=0.6)


def test_blocks_are_averaged():
    np.testing.assert_array_equal(averaged(np.arange(64.0).reshape(4, 4, 4), 2)[0, 0], [10.5, 12.5])
    assert averaged(np.ones((3, 3, 3)), 1).shape == (3, 3, 3)
