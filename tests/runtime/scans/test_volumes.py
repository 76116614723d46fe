"""Domains of three axes: a case is one sample. Several channels. Domains without rules for stacks."""

from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.domains.registry import DOMAINS
from cldm_runtime.errors import InputError
from cldm_runtime.scans.counts import count_lines
from cldm_runtime.scans.nnunet_raw import write_nifti
from cldm_runtime.scans.prepare import prepare
from cldm_runtime.scans.settings import PrepareSettings
from cldm_runtime.store import open_dataset
from scan_fixtures import describe, organ_domain, write_case

RAMP = np.arange(480.0).reshape(6, 8, 10) / 479
SPACING = (2.0, 1.0, 1.0)
SETTINGS = PrepareSettings(shape=(6, 8, 10), spacing_mm=SPACING, margin_mm=0.0, percentiles=(0.0, 100.0), image_order=1,
                           workers=1)


def block() -> np.ndarray:
    """(6, 8, 10) with a block of 4 x 4 x 4 in the middle."""
    labels = np.zeros((6, 8, 10), np.uint8)
    labels[1:5, 2:6, 3:7] = 1
    return labels


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One case of two channels; the second is the first in other units, backwards."""
    monkeypatch.setitem(DOMAINS, "organ", lambda: organ_domain(3))
    write_case(tmp_path / "raw", "a", [RAMP, 7 - 3 * RAMP], block(), SPACING)
    return describe(tmp_path / "raw", channels=2)


def changed(**values: object) -> PrepareSettings:
    return PrepareSettings(**{**vars(SETTINGS), **values})


def test_a_case_becomes_one_volume_of_all_channels_each_normalised_for_itself(raw: Path, tmp_path: Path) -> None:
    counts = prepare(raw, tmp_path / "cohort.h5", changed(channels="all"), "organ")
    assert count_lines(counts, organ_domain(3)) == ["  train        1 patients      1 volumes"]
    with open_dataset(tmp_path / "cohort.h5") as made:
        assert (made.shape, made.spacing_mm, made.channels) == ((6, 8, 10), SPACING, 2)
        np.testing.assert_allclose(made.images()[0], [RAMP, 1 - RAMP], atol=1e-5)
        assert made.masks().tolist() == [block().tolist()]
        assert made.mask_attributes.tolist() == [[128.0]]  # 64 voxels of 2 mm3
        assert made.slices is None and made.patients.tolist() == ["P0001"]


@pytest.mark.parametrize(("setting", "first"), [({"channel": 1}, 1.0), ({"channels": (1, 0)}, 1.0), ({}, 0.0)])
def test_channels_are_taken_in_the_order_asked_for(raw: Path, tmp_path: Path, setting: dict, first: float) -> None:
    prepare(raw, tmp_path / "cohort.h5", changed(**setting), "organ")
    with open_dataset(tmp_path / "cohort.h5") as made:
        assert made.channels == len(setting.get("channels", (0,)))
        assert made.images()[0, 0, 0, 0, 0] == pytest.approx(first, abs=1e-5)


@pytest.mark.parametrize(("values", "message"), [
    ({"channels": "some"}, 'prepare.channels: found \'some\', expected "all" or a list'),
    ({"channels": (0, 2)}, "case a: channel 2 was requested, the case has 2"),
    ({"shape": (8, 10)}, r"prepare.shape: found \[8, 10\], expected 3 numbers"),
    ({"first_slice": "apex"}, "first_slice: found 'apex', but stacks of domain organ have no named ends"),
    ({"ring": ("organ",)}, r"prepare.ring: found \['organ'\], expected 0 names"),
    ({"centre": "organ"}, "prepare.centre: found 'organ', expected one of labels, image"),
    ({"nature": "real"}, "nature: found real in prepare.nature and dataset.json, expected one of phantom, patients"),
    ({"shape": (6, 8, 3)}, "the labels measure 8 x 4 x 4 mm about .* holds 12 x 8 x 3 mm"),
])
def test_settings_that_do_not_fit_are_named(raw: Path, tmp_path: Path, values: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        prepare(raw, tmp_path / "cohort.h5", changed(**values), "organ")


def test_the_window_can_lie_in_the_middle_of_the_image(raw: Path, tmp_path: Path) -> None:
    corner, nothing = np.zeros_like(block()), np.zeros_like(block())
    corner[0, 0, 0] = 1
    for name, labels in (("a", corner), ("b", nothing)):
        write_case(raw, name, [RAMP, RAMP], labels, SPACING)
    prepare(raw, tmp_path / "cohort.h5", changed(centre="image"), "organ")
    with open_dataset(tmp_path / "cohort.h5") as made:
        assert made.masks().tolist() == [corner.tolist(), nothing.tolist()]
        np.testing.assert_allclose(made.images()[:, 0], [RAMP, RAMP], atol=1e-5)
    with pytest.raises(InputError, match="the labels measure 12 x 8 x 10 mm about the window's centre"):
        prepare(raw, tmp_path / "other.h5", changed(centre="image", shape=(5, 8, 10)), "organ")


def test_a_constant_channel_is_named(raw: Path, tmp_path: Path) -> None:
    write_case(raw, "a", [RAMP, np.ones_like(RAMP)], block(), SPACING)
    with pytest.raises(InputError, match="case a: the volume, channel 1: the image is constant"):
        prepare(raw, tmp_path / "cohort.h5", changed(channels="all"), "organ")


def test_a_domain_without_rules_keeps_every_labelled_slice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DOMAINS, "organ", lambda: organ_domain(2))
    labels = block()
    labels[2, :, 4:] = 0  # another shape; what a slice shows does not matter
    write_case(tmp_path / "raw", "a", [RAMP, RAMP], labels, SPACING)
    settings = changed(shape=(8, 10), spacing_mm=(1.0, 1.0), channels="all")
    counts = prepare(describe(tmp_path / "raw", channels=2), tmp_path / "cohort.h5", settings, "organ")
    assert count_lines(counts, organ_domain(2)) == ["  train        1 patients      4 slices (0 dropped)"]
    with open_dataset(tmp_path / "cohort.h5") as made:
        assert made.slices.tolist() == [1, 2, 3, 4] and made.channels == 2
        assert made.mask_attributes[:, 0].tolist() == [16.0, 4.0, 16.0, 16.0]


def test_a_declared_domain_is_given_by_the_path_of_its_file(raw: Path, tmp_path: Path) -> None:
    prepare(raw, tmp_path / "cohort.h5", SETTINGS, str(raw / "dataset.json"))
    with open_dataset(tmp_path / "cohort.h5") as made:
        assert made.label_names == ("background", "organ") and made.masks().tolist() == [block().tolist()]


def test_two_processes_write_the_volumes_that_one_writes(raw: Path, tmp_path: Path) -> None:
    for name in "bcdefg":  # more than two processes hold at once
        write_case(raw, name, [RAMP + ord(name) * block(), RAMP], block(), SPACING)
    for workers in (1, 2):
        prepare(raw, tmp_path / f"{workers}.h5", changed(workers=workers), str(raw / "dataset.json"))
    assert (tmp_path / "1.h5").read_bytes() == (tmp_path / "2.h5").read_bytes()


def test_the_nature_is_what_the_settings_say(raw: Path, tmp_path: Path) -> None:
    prepare(raw, tmp_path / "cohort.h5", changed(nature="patients"), "organ")
    with open_dataset(tmp_path / "cohort.h5") as made:
        assert made.nature == "patients"


def test_the_nature_of_a_drawn_dataset_cannot_be_patients(raw: Path, tmp_path: Path) -> None:
    describe(raw, channels=2, nature="phantom")
    with pytest.raises(InputError, match="nature: found patients and phantom"):
        prepare(raw, tmp_path / "cohort.h5", changed(nature="patients"), "organ")


@pytest.mark.parametrize(("kind", "value", "message"), [
    ("labels", 0.4, "such as 0.4 .* save labels as uint8, resampled by nearest neighbour"),
    ("labels", np.nan, "the label map holds values that are not finite .* Save it as uint8"),
    ("images", np.nan, r'not finite \(NaN\), 0.0021 of its voxels.* set prepare.nan = "lowest"'),
    ("images", -np.inf, "not finite or beyond 3.4e38, 0.0021 of its voxels.* numpy.nan_to_num")])
def test_voxels_that_are_no_numbers_or_labels_say_what_to_do(raw: Path, tmp_path: Path, kind: str, value: float,
                                                             message: str) -> None:
    array = (RAMP if kind == "images" else block()).astype(np.float32)
    array[0, 0, 0] = value
    write_nifti(raw / f"{kind}Tr" / ("a_0000.nii.gz" if kind == "images" else "a.nii.gz"), array, SPACING)
    with pytest.raises(InputError, match=message):
        prepare(raw, tmp_path / "cohort.h5", SETTINGS, "organ")


def test_nan_outside_the_field_of_view_is_the_lowest_value_and_in_no_percentile(raw: Path, tmp_path: Path) -> None:
    image = (RAMP + 5).astype(np.float32)
    image[:, :, :2] = np.nan
    write_nifti(raw / "imagesTr" / "a_0000.nii.gz", image, SPACING)
    prepare(raw, tmp_path / "cohort.h5", changed(nan="lowest", percentiles=(25.0, 75.0)), "organ")
    low, high = np.percentile(image[:, :, 2:], (25, 75))
    with open_dataset(tmp_path / "cohort.h5") as made:
        found = made.images()[0, 0]
    assert (found[:, :, :2] == 0).all()
    np.testing.assert_allclose(found[:, :, 2:], np.clip((image[:, :, 2:] - low) / (high - low), 0, 1), atol=1e-5)


def test_an_image_of_nan_alone_is_refused_in_any_setting(raw: Path, tmp_path: Path) -> None:
    write_nifti(raw / "imagesTr" / "a_0000.nii.gz", np.full_like(RAMP, np.nan, np.float32), SPACING)
    with pytest.raises(InputError, match="case a: every voxel of the image is NaN"):
        prepare(raw, tmp_path / "cohort.h5", changed(nan="lowest"), "organ")


def test_labels_that_a_header_scales_are_rounded(raw: Path, tmp_path: Path) -> None:
    write_nifti(raw / "labelsTr" / "a.nii.gz", block() * np.float32(0.9995), SPACING)
    prepare(raw, tmp_path / "cohort.h5", SETTINGS, "organ")
    with open_dataset(tmp_path / "cohort.h5") as made:
        assert made.masks().tolist() == [block().tolist()]


def test_a_lost_affine_names_the_setting_that_helps(raw: Path, tmp_path: Path) -> None:
    write_nifti(raw / "labelsTr" / "a.nii.gz", block(), (1.0, 1.0, 1.0))
    with pytest.raises(InputError, match=r"differ by up to 1; expected at most 0.001.* prepare.check_geometry = false"):
        prepare(raw, tmp_path / "cohort.h5", SETTINGS, "organ")
    assert prepare(raw, tmp_path / "cohort.h5", changed(check_geometry=False), "organ")["train"].samples == 1
