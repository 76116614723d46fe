"""The stacks of the second phantom."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.domains.lge.phantom2 import phantom
from cldm_runtime.domains.lge.phantom2.patient import draw_patient
from cldm_runtime.domains.lge.phantom2.phantom import phantom_volume


@pytest.fixture(scope="module")
def volume():
    return phantom_volume(0, 3, "test")


def test_a_volume_is_a_pure_function_of_its_arguments(volume):
    again = phantom_volume(0, 3, "test")
    for name in ("image", "labels", "true_labels"):
        np.testing.assert_array_equal(getattr(volume, name), getattr(again, name))
    other = phantom_volume(0, 4, "test")
    assert other.image.shape != volume.image.shape or not np.array_equal(other.image, volume.image)


def test_it_is_a_stack_whose_heart_grows_from_the_apex(volume):
    area = (volume.true_labels > 0).sum(axis=(1, 2))
    assert volume.image.shape == volume.labels.shape == volume.true_labels.shape and 7 <= len(area) <= 12
    assert (area > 0).all() and area[0] < 0.6 * area[len(area) // 2]
    assert volume.image.dtype == np.float32 and np.isfinite(volume.image).all()
    assert 8 <= volume.spacing_mm[0] <= 13 and volume.spacing_mm[1] == volume.spacing_mm[2] <= 1.8


def test_labels_are_a_readers_unless_they_are_to_be_true(volume):
    assert not np.array_equal(volume.labels, volume.true_labels)
    true = phantom_volume(0, 3, "test", reader=False)
    np.testing.assert_array_equal(true.labels, volume.true_labels)
    np.testing.assert_array_equal(true.image, volume.image)


# One with a no-reflow core, one of two scars imaged as magnitude, one whose rim was cut off.
PINNED = {"d8": 14, "train": 8, "val": 7}


def described(volume):
    """A line for each slice: its pixels of each true label and of each that the reader draws, and the mean of the image
    in 6 x 6 blocks."""
    size = volume.image.shape[1] // 6 * 6
    blocks = volume.image[:, :size, :size].reshape(-1, 6, size // 6, 6, size // 6).mean(axis=(2, 4))
    counts = [np.concatenate([np.bincount(labels.ravel(), minlength=5) for labels in pair])
              for pair in zip(volume.true_labels, volume.labels, strict=True)]
    return np.column_stack([np.array(counts), blocks.reshape(-1, 36)])


@pytest.mark.parametrize("number", range(3))
def test_a_patients_number_stands_for_its_scan(monkeypatch, number):
    """Cohorts are named by their patients' numbers: whoever changes the drawing makes other cohorts. Pixels at a border
    may fall to the other side where sin and cos are rounded otherwise."""
    monkeypatch.setattr(phantom, "draw_patient", lambda *given: replace(draw_patient(*given), slices=3))
    subset = list(PINNED)[number]
    expected = np.loadtxt(Path(__file__).with_name("phantom.csv"), delimiter=",")[3 * number:3 * number + 3]
    found = described(phantom_volume(0, PINNED[subset], subset))
    assert np.abs(found[:, :10] - expected[:, :10]).max() <= 3
    np.testing.assert_allclose(found[:, 10:], expected[:, 10:], atol=1e-3 * expected[:, 10:].max())
