"""Heads with gliomas, as files of BraTS hold them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from brain_phantoms import SHAPE, VALUES, brain_phantom
from cldm_runtime.domains.brain import BRAIN_KINDS, brain_rules
from cldm_runtime.domains.brain.phantom import BrainPhantom

PINNED = Path(__file__).with_name("phantom.csv")


def test_a_head_is_a_pure_function_of_its_arguments(drawn):
    again, other = brain_phantom().draw(0, 0, "train"), brain_phantom().draw(0, 0, "test")
    np.testing.assert_array_equal(drawn.image, again.image)
    np.testing.assert_array_equal(drawn.labels, again.labels)
    assert (other.image != drawn.image).any()


def test_it_is_zero_outside_and_whole_numbers_inside(drawn):
    assert drawn.image.shape == (4, *SHAPE) and drawn.image.dtype == np.float32
    inside = drawn.image > 0
    assert (inside == inside[0]).all() and 0.1 < inside[0].mean() < 0.5
    assert (drawn.image == np.rint(drawn.image)).all() and drawn.image.max() < 2**15
    assert not drawn.labels[~inside[0]].any() and drawn.labels.dtype == np.uint8


def test_its_voxels_are_cubes_that_hold_the_head(drawn):
    assert len(set(drawn.spacing_mm)) == 1 and drawn.spacing_mm[0] == pytest.approx(190 / 32, abs=1e-3)
    assert BrainPhantom(BRAIN_KINDS["brain"], VALUES, (155, 240, 240)).voxel_mm == 1.0
    shown = drawn.image[0] > 0
    for axis in (0, 1, 2):
        rows = np.flatnonzero(shown.any(axis=tuple(other for other in range(3) if other != axis)))
        assert rows[0] >= (1 if axis else 0) and rows[-1] < SHAPE[axis] - 1  # the stem is cut below, as in patients


def test_sequences_show_what_they_should(drawn):
    """The oedema is bright in T2 and FLAIR and dark in T1; the enhancing tumour is brighter with agent than without."""
    brain = (drawn.image[0] > 0) & (drawn.labels == 0)
    t1n, t1c, t2w, t2f = (image / np.median(image[brain]) for image in drawn.image)
    edema, enhancing = drawn.labels == 2, drawn.labels == 3
    assert np.median(t2f[edema]) > 1.1 and np.median(t2w[edema]) > np.median(t2w[brain])
    assert np.median(t1n[edema]) < 1.0
    assert np.median(t1c[enhancing]) > 1.2 * np.median(t1n[enhancing])


def test_label_values_are_the_domains(drawn):
    backwards = {name: 4 - value for name, value in VALUES.items()}
    labels = replace(brain_phantom(), values=backwards).draw(0, 0, "train").labels
    np.testing.assert_array_equal(np.where(drawn.labels > 0, 4 - drawn.labels.astype(int), 0), labels)


def test_the_shifted_cohort_has_more_tumour_and_thicker_slices():
    one, other = BRAIN_KINDS["brain"], BRAIN_KINDS["brain-shifted"]
    assert (one.collection, other.collection) == ("GLI", "SSA")
    weights = [np.array(kind.load.counts) / sum(kind.load.counts) for kind in (one, other)]
    assert weights[1] @ np.arange(5) > weights[0] @ np.arange(5)
    assert other.load.radii_mm > one.load.radii_mm and other.fleet.slices_mm > one.fleet.slices_mm


def test_the_size_is_chosen():
    rules = brain_rules(BRAIN_KINDS["brain"], VALUES)
    volume = rules.with_shape([24, 26, 25]).draw(0, 3, "val")
    assert volume.image.shape == (4, 24, 26, 25) and rules.channels == ("t1n", "t1c", "t2w", "t2f")
    for shape in ((24, 24), (8, 64, 64)):
        with pytest.raises(ValueError, match="three numbers of 24 or more"):
            rules.with_shape(shape)


def described(head):
    """Voxels of each label, and the mean of each image in eight blocks."""
    blocks = head.image.reshape(4, 2, 14, 2, 16, 2, 14).mean(axis=(2, 4, 6))
    return [*np.bincount(head.labels.ravel(), minlength=4), *blocks.ravel()]


def test_a_patients_number_stands_for_its_scan(drawn):
    """Cohorts are named by their patients' numbers: whoever changes the drawing makes other cohorts."""
    found, expected = np.array(described(drawn)), np.loadtxt(PINNED, delimiter=",")
    assert np.abs(found[:4] - expected[:4]).max() <= 4
    np.testing.assert_allclose(found[4:], expected[4:], rtol=2e-3)
