"""Which layout a folder has: the one that fits, the one that is named, or one message on what is missing in each."""

from pathlib import Path

import numpy as np
import pytest

import layout_fixtures as write
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import InputError
from cldm_runtime.files.atomic import write_json
from cldm_runtime.scans.dataset import read_dataset
from cldm_runtime.scans.layouts import file_layouts
from cldm_runtime.scans.prepare import prepare
from cldm_runtime.scans.settings import PrepareSettings
from cldm_runtime.store import open_dataset
from scan_fixtures import describe, write_case

LGE = get_domain("lge")
OWN = {"image_files": "{patient}/{visit}_lge.nii.gz", "label_files": "{patient}/{visit}_lge_mask.nii.gz"}


def read(folder: Path, **settings: object):
    return read_dataset(folder, PrepareSettings(**settings), LGE)


def own_files(folder: Path) -> Path:
    for patient, visit in (("a", "v1"), ("a", "v2"), ("b", "v1"), ("c", "v1")):
        labels = write.ring_stack()
        write.write_nii(folder / patient / f"{visit}_lge.nii.gz", write.picture_of(labels))
        write.write_nii(folder / patient / f"{visit}_lge_mask.nii.gz", labels * 10)
    return folder


def test_a_wrong_folder_names_every_layout_and_the_first_thing_missing_in_each(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.nii.gz").touch()
    with pytest.raises(InputError) as caught:
        read(tmp_path)
    message = str(caught.value)
    assert all(f"  - {layout.name}: " in message for layout in file_layouts())
    assert "nnunet: dataset.json is missing" in message and "holds 1 file(s), such as images/a.nii.gz" in message
    assert "emidec: no file is named like Case_{case}/Images/Case_{case}.nii[.gz]" in message
    assert "folders: case a: images/a.nii.gz is there, labels/a{ending} is missing" in message


def test_the_layout_whose_images_are_there_comes_first(tmp_path: Path) -> None:
    """An ACDC folder without label maps: one line of twelve says what is wrong."""
    for place in ("training/patient001/patient001", "training/patient002/patient002", "testing/patient101/patient101"):
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / f"{place}_frame01.nii.gz").touch()
    with pytest.raises(InputError) as caught:
        read(tmp_path)
    headline, first, second, *_ = str(caught.value).splitlines()
    assert "Its images are those of layout acdc." in headline and second == "  - nnunet: dataset.json is missing"
    assert first == ("  - acdc: case patient001_frame01: training/patient001/patient001_frame01.nii.gz is there, "
                     "patient001/patient001_frame01_gt.nii[.gz] is missing (and 1 more like it)")
    assert str(caught.value).count("- acdc:") == 1


def test_pictures_as_jpeg_are_named_first(tmp_path: Path) -> None:
    for file in ("images/a.jpg", "labels/a.png"):
        (tmp_path / file).parent.mkdir()
        (tmp_path / file).touch()
    with pytest.raises(InputError, match=r"those of layout folders\..*:\n  - folders: images/a.jpg has an ending that"):
        read(tmp_path)


def test_dicom_without_a_drawing_comes_first(tmp_path: Path) -> None:
    dicom_fixtures = pytest.importorskip("dicom_fixtures")
    dicom_fixtures.save(tmp_path, *dicom_fixtures.series(np.zeros((2, 3, 4), np.uint16)))
    with pytest.raises(InputError, match=r"those of layout dicom\..*:\n  - dicom: 1 series of images, and 0 SEG"):
        read(tmp_path)


def test_cases_of_the_test_subset_alone_need_a_label_map_too(tmp_path: Path) -> None:
    (tmp_path / "testing" / "p1").mkdir(parents=True)
    (tmp_path / "testing" / "p1" / "p1_frame01.nii.gz").touch()
    with pytest.raises(InputError, match="acdc: none of its 1 cases of val and test has a label map, such as p1_frame"):
        read(tmp_path)


@pytest.mark.parametrize(("settings", "message"), [
    ({"layout": "acdc"}, "holds no files, in no layout that was tried(?s:.*)acdc: no file is named like"),
    ({"layout": "acda"}, "prepare.layout: found 'acda', expected one of auto, nnunet, emidec, .*folders"),
    ({"layout": "nnunet"}, "in no layout that was tried(?s:.*)nnunet: dataset.json is missing"),
    ({"image_files": "a/{case}.nii"}, "image_files and prepare.label_files belong together"),
    ({**OWN, "layout": "acdc"}, "belong together, with layout = \"folders\""),
    ({**OWN, "label_files": "{case}.nii"}, "each pattern needs the same parts in braces")])
def test_settings_that_do_not_fit_are_named(tmp_path: Path, settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, **settings)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no such folder.*prepare\.raw"):
        read(tmp_path / "nothing")


def test_patterns_of_the_users_own_and_values_by_their_numbers(tmp_path: Path) -> None:
    folder = own_files(tmp_path / "scans")
    raw, faults = read(folder, **OWN)
    assert not faults and {case.name: case.patient for case in raw.cases} == {
        "a_v1": "a", "a_v2": "a", "b_v1": "b", "c_v1": "c"}
    labels = {"10": "lv_cavity", "20": "healthy_myocardium", "30": "infarct", "40": "mvo"}
    settings = PrepareSettings(shape=(64, 64), spacing_mm=(1.4, 1.4), workers=1, labels=labels, **OWN)
    prepare(folder, tmp_path / "cohort.h5", settings, "lge")
    with open_dataset(tmp_path / "cohort.h5") as cohort:
        assert np.unique(cohort.masks()).tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(InputError, match=r'(?s)1 fault.*\n  - 4 cases \(a_v1, a_v2, b_v1, c_v1\): unknown label values '
                       r'\[10, 20, 30, 40\].*"10" = "LABEL", where LABEL is one of background, lv_cavity'):
        prepare(folder, tmp_path / "other.h5", PrepareSettings(workers=1, **OWN), "lge")


def test_two_channels_of_the_users_own(tmp_path: Path) -> None:
    for channel, folder in enumerate(("t1", "t2")):
        write.write_nii(tmp_path / folder / "a.nii", write.picture_of(write.ring_stack(), channel))
    write.write_nii(tmp_path / "masks" / "a.nii", write.ring_stack())
    raw, _ = read(tmp_path, image_files=("t1/{case}.nii", "t2/{case}.nii"), label_files="masks/{case}.nii")
    assert [file.parent.name for file in raw.cases[0].image_files] == ["t1", "t2"]


def test_a_pair_of_folders_needs_no_setting(tmp_path: Path) -> None:
    write.write_nii(tmp_path / "images" / "a.nii", write.picture_of(write.ring_stack()))
    write.write_nii(tmp_path / "labels" / "a.nii.gz", write.ring_stack())
    raw, faults = read(tmp_path)
    assert raw.source == "layout folders" and [case.name for case in raw.cases] == ["a"] and not faults


def test_subsets_and_patients_files_decide_in_every_layout(tmp_path: Path) -> None:
    folder = own_files(tmp_path)
    write_json(folder / "subsets.json", {"train": ["a_v1", "a_v2"], "test": ["b_v1", "c_v1"]})
    write_json(folder / "patients.json", {"a_v1": "x", "a_v2": "x", "b_v1": "y", "c_v1": "y"})
    raw, faults = read(folder, **OWN)
    assert [(case.patient, case.subset) for case in raw.cases] == [
        ("x", "train"), ("x", "train"), ("y", "test"), ("y", "test")] and faults == [] and raw.split == ""


def test_a_dataset_json_decides_over_all_layouts(tmp_path: Path) -> None:
    write_case(describe(tmp_path), "a", [write.picture_of(write.ring_stack())], write.ring_stack(), write.SPACING)
    write.write_nii(tmp_path / "images" / "b.nii", write.picture_of(write.ring_stack()))
    write.write_nii(tmp_path / "labels" / "b.nii", write.ring_stack())
    assert [case.name for case in read(tmp_path)[0].cases] == ["a"]
    assert [case.name for case in read(tmp_path, layout="folders")[0].cases] == ["b"]


def test_a_case_without_its_label_map_stops_the_preparation_and_is_named(tmp_path: Path) -> None:
    folder = write.emidec(tmp_path / "emidec")
    (folder / "Case_N002" / "Contours" / "Case_N002.nii.gz").unlink()
    with pytest.raises(InputError, match=r"case Case_N002: .*Images/Case_N002.nii.gz is there, Case_N002/Contours/"):
        prepare(folder, tmp_path / "cohort.h5", PrepareSettings(workers=1), "lge")
    assert not (tmp_path / "cohort.h5").exists()
