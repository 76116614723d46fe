"""Padding leaves the contrast of a slice as it is."""

from pathlib import Path

import numpy as np
import pytest

import layout_fixtures as write
from cldm_runtime.errors import InputError
from cldm_runtime.scans.prepare import prepare
from cldm_runtime.scans.settings import PrepareSettings
from cldm_runtime.store import open_dataset

SETTINGS = PrepareSettings(shape=(64, 64), spacing_mm=(1.5, 1.5), workers=1, ring=(), validation_share=0.0)
LABELS = write.ring_stack((3, 64, 64))
PLAIN = write.picture_of(LABELS) + 2048  # (3, 64, 64)
CENTRED = {"centre": "image", "margin_mm": 0.0}


def prepared(folder: Path, image: np.ndarray, labels: np.ndarray, notes: list[str] | None = None, **values: object
             ) -> np.ndarray:
    write.write_nii(folder / "images" / "a.nii", image, (10.0, 1.5, 1.5))
    write.write_nii(folder / "labels" / "a.nii", labels, (10.0, 1.5, 1.5))
    settings = PrepareSettings(**{**vars(SETTINGS), **values})
    prepare(folder, folder / "cohort.h5", settings, "lge", notes=notes)
    with open_dataset(folder / "cohort.h5") as cohort:
        return np.asarray(cohort.images()[:, 0])


@pytest.mark.parametrize("order", [1, 3])
def test_the_contrast_is_the_same_with_and_without_a_rim(tmp_path: Path, order: int) -> None:
    """The window shows the whole slice; with a rim of zeros around it, a larger window shows slice and rim."""
    plain = prepared(tmp_path / "a", PLAIN, LABELS, image_order=order, **CENTRED)
    widths = ((0, 0), (8, 8), (8, 8))
    notes: list[str] = []
    framed = prepared(tmp_path / "b", np.pad(PLAIN, widths), np.pad(LABELS, widths), notes, image_order=order,
                      shape=(80, 80), **CENTRED)
    np.testing.assert_allclose(framed[:, 8:-8, 8:-8], plain, atol=3e-5)
    assert (np.delete(framed, np.s_[8:-8], axis=1) == 0).all()
    assert any("up to 36% of an image in case a" in note for note in notes)  # 1 - 64² / 80²


def test_without_it_the_rim_takes_the_contrast_away(tmp_path: Path) -> None:
    widths = ((0, 0), (8, 8), (8, 8))
    framed = prepared(tmp_path, np.pad(PLAIN, widths), np.pad(LABELS, widths), shape=(80, 80), padding="none",
                      **CENTRED)
    assert framed[:, 9:-9, 9:-9].min() > 0.9  # 2048 of at most 2268


def test_shifted_slices_have_the_percentiles_of_what_they_show(tmp_path: Path) -> None:
    shifted = PLAIN.copy()
    for z, rows in enumerate((5, 9, 12)):
        shifted[z, :rows] = 0
    images = prepared(tmp_path, shifted, LABELS, image_order=1, **CENTRED)
    for image, source, rows in zip(images, PLAIN, (5, 9, 12), strict=True):
        low, high = np.percentile(source[rows:], (0.5, 99.5))
        np.testing.assert_allclose(image[rows:], np.clip((source[rows:] - low) / (high - low), 0, 1), atol=3e-4)
        assert (image[:rows] == 0).all()


def test_interpolation_blends_nothing_of_the_rim_in(tmp_path: Path) -> None:
    """Rows of one ramp below a rim of 8 rows are still equal at half the pixel size."""
    ramp = np.where(np.arange(64)[:, None] < 8, 0, 2048 + np.arange(64.0)) * np.ones((3, 1, 1))
    images = prepared(tmp_path, ramp, LABELS, spacing_mm=(0.75, 0.75), shape=(120, 120), **CENTRED)
    rows = images[0, images[0].any(axis=1)]
    assert len(rows) > 100 and np.ptp(rows, axis=0).max() < 3e-5


def test_what_lies_beyond_an_image_with_a_rim_is_padding_too(tmp_path: Path) -> None:
    shifted = PLAIN.copy()
    shifted[:, :8] = 0
    inside = prepared(tmp_path / "a", shifted, LABELS, **CENTRED)
    beyond = prepared(tmp_path / "b", shifted, LABELS, shape=(80, 80), **CENTRED)
    np.testing.assert_allclose(beyond[:, 8:-8, 8:-8], inside, atol=3e-5)
    assert (np.delete(beyond, np.s_[8:-8], axis=1) == 0).all()


def test_where_there_is_no_rim_nothing_changes(tmp_path: Path) -> None:
    found, notes = prepared(tmp_path / "a", PLAIN, LABELS), []
    assert (prepared(tmp_path / "b", PLAIN, LABELS, notes, padding="none") == found).all()
    assert not any("padding" in note for note in notes)


def test_another_word_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"prepare\.padding: found 'rim', expected auto, none or zero"):
        prepared(tmp_path, PLAIN, LABELS, padding="rim")


def test_the_percentiles_of_a_brain_without_its_skull_are_those_of_the_brain(tmp_path: Path) -> None:
    y, x = np.mgrid[:64, :64] - 31.5
    brain, notes = (np.hypot(y, x) < 24) * np.ones((3, 1, 1), bool), []
    image = np.where(brain, PLAIN, 0)
    images = prepared(tmp_path, image, LABELS, notes, padding="zero", percentiles=(0.0, 99.5), **CENTRED)
    for shown, source in zip(images, image, strict=True):
        low, high = np.percentile(source[source > 0], (0.0, 99.5))
        expected = np.where(source > 0, np.clip((source - low) / (high - low), 0, 1), 0)
        np.testing.assert_allclose(shown, expected, atol=3e-5)
    assert not any("padding" in note for note in notes)
