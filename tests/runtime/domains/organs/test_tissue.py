"""Painted planes."""

import numpy as np

from cldm_runtime.domains.organs.tissue import SIGNALS, Matter, Paper

NOTHING = np.zeros((1, 3), np.float32), np.zeros(len(Matter))


def test_a_pixel_is_mixed_by_its_cover_and_labelled_by_the_last_half():
    canvas = Paper((1, 3), 2.0, {Matter.FAT: 1, Matter.LIVER: 2})
    canvas.paint(np.full((1, 3), 9.0), Matter.FAT)
    canvas.paint(np.array([[9.0, 0.0, -0.5]]), Matter.LIVER)  # all, half and a quarter of the pixel
    levels = np.zeros(len(Matter))
    levels[[Matter.FAT, Matter.LIVER]] = 10.0, 20.0
    np.testing.assert_allclose(canvas.mix(levels, NOTHING, NOTHING), [[20.0, 15.0, 12.5]])
    assert canvas.labels.tolist() == [[2, 2, 1]]


def test_every_tissue_has_a_signal():
    assert set(SIGNALS) == set(Matter)
