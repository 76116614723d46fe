"""A raw dataset of tiny NIfTI volumes becomes a cohort; everything wrong with it is said at once."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from cldm_runtime.domains.attributes import Reason
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import DatasetError, InputError
from cldm_runtime.files.atomic import write_json
from cldm_runtime.files.user_files import read_json
from cldm_runtime.scans.counts import count_subsets
from cldm_runtime.scans.nnunet_raw import _listed_files, write_nifti
from cldm_runtime.scans.prepare import prepare, same_faults_together
from cldm_runtime.scans.settings import PrepareSettings
from cldm_runtime.store import open_dataset

LABELS = {"background": 0, "cavity": 1, "healthy_myocardium": 2, "infarct": 3}
SPACING = (8.0, 2.0, 2.0)
CONFIG = PrepareSettings(shape=(32, 32), spacing_mm=(2.0, 2.0), labels={"cavity": "lv_cavity"}, workers=1)


def heart(size: int = 48, centre: tuple[int, int] = (20, 26), slices: int = 5) -> np.ndarray:
    """Rings of outer radius 8 and inner radius 4; the first and last slice of the volume are empty."""
    y, x = np.mgrid[:size, :size]
    radius = np.hypot(y - centre[0], x - centre[1])
    ring = np.where(radius < 4, 1, np.where(radius < 8, np.where(x > centre[1] + 2, 3, 2), 0)).astype(np.uint8)
    return np.stack([ring * (0 < z < slices - 1) for z in range(slices)]).astype(np.uint8)


def add_case(folder: Path, name: str, labels: np.ndarray, part: str = "Tr", label_spacing=SPACING) -> None:
    for kind in ("images", "labels"):
        (folder / f"{kind}{part}").mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).random(labels.shape, np.float32)
    write_nifti(folder / f"images{part}" / f"{name}_0000.nii.gz", labels * 100.0 + noise, SPACING)
    write_nifti(folder / f"labels{part}" / f"{name}.nii.gz", labels, label_spacing)


def raw(folder: Path) -> Path:
    for name in ("anna", "berta", "carla"):
        add_case(folder, name, heart())
    add_case(folder, "dora", heart(), "Ts")
    write_json(
        folder / "dataset.json", {"channel_names": {"0": "LGE"}, "labels": LABELS, "file_ending": ".nii.gz"})
    write_json(folder / "splits_final.json", [{"train": ["anna", "berta"], "val": ["carla"]}])
    return folder


def test_counts_positions_and_centre(tmp_path):
    counts = prepare(raw(tmp_path / "raw"), tmp_path / "cohort.h5", CONFIG, "lge")
    assert {name: (count.patients, count.samples) for name, count in counts.items()} == {
        "train": (2, 6), "val": (1, 3), "test": (1, 3)}
    with open_dataset(tmp_path / "cohort.h5") as cohort:
        masks, attributes = cohort.masks(), cohort.mask_attributes
        assert attributes[:3, 3].tolist() == [0.0, 0.5, 1.0]
        assert cohort.slices[:3].tolist() == [1, 2, 3]
    rows, columns = np.nonzero(masks[0])
    assert (rows.min() + rows.max(), columns.min() + columns.max()) == (31, 31)  # the middle of 32 pixels
    assert np.unique(masks).tolist() == [0, 1, 2, 3]


def test_where_lesions_lie_is_stated(tmp_path):
    prepare(raw(tmp_path / "raw"), tmp_path / "cohort.h5", CONFIG, "lge")
    with open_dataset(tmp_path / "cohort.h5") as cohort:
        expected = get_domain("lge").place.measure(cohort.masks(), cohort.mask_attributes)
        assert np.isfinite(expected.values[:, 0]).all()  # each heart has a scar with a centre
        np.testing.assert_array_equal(cohort.place, expected.values)
        np.testing.assert_array_equal(cohort.place_reasons, expected.reasons)


def test_no_name_of_a_patient_gets_into_the_file(tmp_path):
    prepare(raw(tmp_path / "raw"), tmp_path / "cohort.h5", CONFIG, "lge")
    content = (tmp_path / "cohort.h5").read_bytes()
    assert not any(name in content for name in (b"anna", b"berta", b"carla", b"dora", b"raw"))


def test_two_processes_write_the_same_file_as_one(tmp_path):
    folder = raw(tmp_path / "raw")
    prepare(folder, tmp_path / "one.h5", CONFIG, "lge")
    prepare(folder, tmp_path / "two.h5", PrepareSettings(**{**vars(CONFIG), "workers": 2}), "lge")
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()


def test_base_first_turns_the_positions_round(tmp_path):
    config = PrepareSettings(**{**vars(CONFIG), "first_slice": "base"})
    prepare(raw(tmp_path / "raw"), tmp_path / "cohort.h5", config, "lge")
    with open_dataset(tmp_path / "cohort.h5") as cohort:
        assert cohort.mask_attributes[:3, 3].tolist() == [1.0, 0.5, 0.0]


def test_subsets_and_patients_files_decide(tmp_path):
    folder = raw(tmp_path / "raw")
    write_json(folder / "subsets.json", {"train": ["anna", "berta"], "test": ["carla"], "d8": ["dora"]})
    write_json(folder / "patients.json", {"anna": "x", "berta": "x", "carla": "y", "dora": "z"})
    counts = prepare(folder, tmp_path / "cohort.h5", CONFIG, "lge")
    assert {name: count.patients for name, count in counts.items()} == {"train": 1, "test": 1, "d8": 1}


def test_open_rings_are_dropped_and_counted(tmp_path):
    folder, labels = raw(tmp_path / "raw"), heart()
    labels[1, 18:23] = 0  # a gap through cavity and wall
    add_case(folder, "anna", labels)
    counts = prepare(folder, tmp_path / "cohort.h5", CONFIG, "lge")
    assert (counts["train"].samples, counts["train"].dropped) == (5, 1)


def test_single_slice_has_no_position(tmp_path):
    folder = raw(tmp_path / "raw")
    add_case(folder, "anna", heart(slices=3))
    prepare(folder, tmp_path / "cohort.h5", CONFIG, "lge")
    with open_dataset(tmp_path / "cohort.h5") as cohort:
        assert np.isnan(cohort.mask_attributes[0, 3]) and cohort.mask_reasons[0, 3] == Reason.NEEDS_STACK


def test_all_faults_are_listed_in_one_error(tmp_path):
    folder = raw(tmp_path / "raw")
    unknown = heart()
    unknown[2, 0, 0] = 9
    add_case(folder, "anna", unknown)
    add_case(folder, "berta", heart(), label_spacing=(8.0, 1.5, 1.5))
    (folder / "labelsTr" / "carla.nii.gz").unlink()
    (folder / "imagesTs" / "dora_0000.nii.gz").write_bytes(b"no NIfTI")
    with pytest.raises(InputError) as caught:
        prepare(folder, tmp_path / "cohort.h5", CONFIG, "lge")
    message = str(caught.value)
    for part in ("case anna: unknown label values [9]", "case berta: image and label map differ in geometry",
                 "carla.nii.gz is missing", "dora_0000.nii.gz: this file cannot be read"):
        assert part in message
    assert list(tmp_path.glob("cohort*")) == []


def test_what_is_wrong_with_several_cases_is_said_once() -> None:
    faults = ["case a: too large", "no labels", "case b: its shape: (1, 2)", "case c: too large"]
    assert same_faults_together(faults) == ["2 cases (a, c): too large", "no labels", "case b: its shape: (1, 2)"]


def test_png_slices_are_read_and_a_broken_one_is_named(tmp_path):
    for name in ("one", "two"):
        for kind, pixels in (("images", heart()[1] * 60 + np.arange(48, dtype=np.uint8)), ("labels", heart()[1])):
            (tmp_path / "raw" / f"{kind}Tr").mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / "raw" / f"{kind}Tr" / f"{name}{'_0000' * (kind == 'images')}.png")
    description = {"channel_names": {"0": "x"}, "labels": LABELS, "file_ending": ".png"}
    write_json(tmp_path / "raw" / "dataset.json", description)
    config = PrepareSettings(**{**vars(CONFIG), "spacing_mm": (1.0, 1.0)})
    notes: list[str] = []
    assert prepare(tmp_path / "raw", tmp_path / "cohort.h5", config, "lge", notes=notes)["train"].samples == 2
    assert any(note.startswith("the pixels of 2 cases (one, two) are taken to be 1 mm wide") for note in notes)
    broken = tmp_path / "raw" / "imagesTr" / "two_0000.png"
    broken.write_bytes(b"no PNG")
    with pytest.raises(InputError, match=r"two_0000.png: this file cannot be read"):
        prepare(tmp_path / "raw", tmp_path / "other.h5", config, "lge")


def test_label_without_mapping_is_named(tmp_path):
    with pytest.raises(InputError, match=r"label 'cavity' \(1\) of dataset.json is not mapped"):
        prepare(raw(tmp_path / "raw"), tmp_path / "cohort.h5", PrepareSettings(shape=(32, 32)), "lge")


def test_patient_in_two_subsets_is_refused(tmp_path):
    folder = raw(tmp_path / "raw")
    write_json(folder / "patients.json", {"anna": "x", "berta": "x", "carla": "x", "dora": "z"})
    with pytest.raises(InputError, match="patient x is in several subsets: train, val"):
        prepare(folder, tmp_path / "cohort.h5", CONFIG, "lge")


def test_constant_slice_is_refused(tmp_path):
    folder = raw(tmp_path / "raw")
    write_nifti(folder / "imagesTr" / "anna_0000.nii.gz", np.ones((5, 48, 48), np.float32), SPACING)
    with pytest.raises(InputError, match="case anna: slice 1: the image is constant"):
        prepare(folder, tmp_path / "cohort.h5", CONFIG, "lge")


def test_heart_larger_than_the_window_is_refused(tmp_path):
    config = PrepareSettings(**{**vars(CONFIG), "spacing_mm": (1.0, 1.0)})
    with pytest.raises(InputError, match=r"the labels measure 30 x 30 mm .* holds 24 x 24"):
        prepare(raw(tmp_path / "raw"), tmp_path / "cohort.h5", config, "lge")


def test_second_run_keeps_the_cohort_and_other_settings_are_refused(tmp_path):
    folder, target = raw(tmp_path / "raw"), tmp_path / "cohort.h5"
    first = prepare(folder, target, CONFIG, "lge")
    before = target.stat().st_mtime_ns
    assert prepare(folder, target, CONFIG, "lge") == first and target.stat().st_mtime_ns == before
    with pytest.raises(DatasetError, match="with other settings"):
        prepare(folder, target, PrepareSettings(**{**vars(CONFIG), "image_order": 1}), "lge")


@pytest.mark.parametrize("missing", ["subset", "patients"])
def test_a_cohort_without_subsets_or_patients_is_not_counted(tmp_path, missing):
    prepare(raw(tmp_path / "raw"), tmp_path / "cohort.h5", CONFIG, "lge")
    with h5py.File(tmp_path / "cohort.h5", "r+") as file:
        del file[missing]
    with pytest.raises(DatasetError, match="/subset or /patients is missing"):
        count_subsets(tmp_path / "cohort.h5", get_domain("lge"))


def test_files_that_dataset_json_lists_are_images_and_label(tmp_path):
    listed = {"images": ["images/a_0000.nii.gz", "images/a_0001.nii.gz"], "label": "labels/a.nii.gz"}
    assert _listed_files(tmp_path, "a", listed) == (
        (tmp_path / "images/a_0000.nii.gz", tmp_path / "images/a_0001.nii.gz"), tmp_path / "labels/a.nii.gz")
    for entry in (None, {"images": "a", "label": "b"}, {"images": ["a"]}, {"images": [1], "label": "b"}):
        with pytest.raises(InputError, match="expected images, a list of files, and label, one"):
            _listed_files(tmp_path, "a", entry)
    with pytest.raises(InputError, match="leads out of the folder"):
        _listed_files(tmp_path, "a", {"images": ["a"], "label": "../b"})


@pytest.mark.parametrize(("folds", "fold", "message"), [
    ({"train": []}, 0, "there is no fold 0"), ([{"train": [], "val": []}], 1, "there is no fold 1"),
    ([{"train": [], "val": []}], -1, "there is no fold -1"), ([["anna"]], 0, "fold 0 is not"),
    ([{"train": ["anna"]}], 0, "fold 0 is not")])
def test_a_split_that_is_none_is_refused(tmp_path, folds, fold, message):
    folder = raw(tmp_path / "raw")
    write_json(folder / "splits_final.json", folds)
    with pytest.raises(InputError, match=message):
        prepare(folder, tmp_path / "cohort.h5", PrepareSettings(**{**vars(CONFIG), "fold": fold}), "lge")


def test_a_record_may_have_8_mebibytes(tmp_path):
    (tmp_path / "a.json").write_bytes(b"[1]".ljust(8 * 2**20))
    assert read_json(tmp_path / "a.json") == [1]
    (tmp_path / "a.json").write_bytes(b"[1]".ljust(8 * 2**20 + 1))
    with pytest.raises(InputError, match="is larger than 8 MiB"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize("named", [["anna"], {"train": ["anna", "berta"], "val": "carla"}, {"train": [1]}])
def test_subsets_that_are_none_are_refused(tmp_path, named):
    write_json(raw(tmp_path / "raw") / "subsets.json", named)
    with pytest.raises(InputError, match=r"subsets\.json: expected an object"):
        prepare(tmp_path / "raw", tmp_path / "cohort.h5", CONFIG, "lge")


def with_truth(folder: Path) -> Path:
    """The cases of `raw`, with true label maps that have no infarct."""
    for part, names in (("Tr", ("anna", "berta", "carla")), ("Ts", ("dora",))):
        (folder / f"truth{part}").mkdir()
        for name in names:
            write_nifti(folder / f"truth{part}" / f"{name}.nii.gz", np.minimum(heart(), 2), SPACING)
    return folder


def test_the_truth_becomes_the_masks_and_what_a_reader_drew_the_annotations(tmp_path):
    prepare(with_truth(raw(tmp_path / "raw")), tmp_path / "cohort.h5", CONFIG, "lge")
    with open_dataset(tmp_path / "cohort.h5") as cohort:
        assert np.unique(cohort.masks()).tolist() == [0, 1, 2]
        assert np.unique(cohort.annotations()).tolist() == [0, 1, 2, 3]
        np.testing.assert_array_equal(np.minimum(cohort.annotations(), 2), cohort.masks())
        assert (cohort.mask_attributes[:, 0] == 0).all()


def test_a_changed_truth_and_a_missing_one_are_said(tmp_path):
    folder = with_truth(raw(tmp_path / "raw"))
    prepare(folder, tmp_path / "cohort.h5", CONFIG, "lge")
    write_nifti(folder / "truthTr" / "anna.nii.gz", heart(), SPACING)
    with pytest.raises(DatasetError, match="true label maps"):
        prepare(folder, tmp_path / "cohort.h5", CONFIG, "lge")
    (folder / "truthTr" / "anna.nii.gz").unlink()
    shutil.rmtree(folder / "truthTs")
    with pytest.raises(InputError, match=r"(?s)case anna: .*truthTr.anna\.nii\.gz is missing.*truthTs.dora\.nii"):
        prepare(folder, tmp_path / "other.h5", CONFIG, "lge")
