"""Files that belong together become cases; what is missing or there twice is a sentence each."""

import pytest

from cldm_runtime.domains.layout import FileLayout
from cldm_runtime.scans.layout_cases import find_cases

PAIR = FileLayout("pair", "a pair", {"image": "{case}.nii"}, ("{case}_seg.nii",))
TWO = FileLayout("two", "two channels", {"a": "{case}_a.nii", "b": "{case}_b.nii"}, ("{case}_s.nii",))


def test_a_label_map_is_no_image_though_the_pattern_of_images_matches_it() -> None:
    found = find_cases(PAIR, ["1.nii", "1_seg.nii", "2.nii", "2_seg.nii"])
    assert [(case.name, case.images, case.label_maps) for case in found.cases] == [
        ("1", ("1.nii",), ("1_seg.nii",)), ("2", ("2.nii",), ("2_seg.nii",))] and not found.missing


@pytest.mark.parametrize(("layout", "paths", "missing"), [
    (PAIR, ["1.nii"], "case 1: 1.nii is there, 1_seg.nii is missing"),
    (PAIR, ["2.nii", "1_seg.nii"], "case 1: 1_seg.nii is there, 1.nii is missing"),
    (TWO, ["x/1_a.nii", "y/1_s.nii"], "case 1: x/1_a.nii is there, 1_b.nii is missing"),
    (PAIR, ["x/1.nii", "y/1.nii", "1_seg.nii"], "case 1: is there 2 times: x/1.nii, y/1.nii"),
    (PAIR, ["notes.txt"], "no file is named like {case}.nii")])
def test_the_first_thing_missing(layout: FileLayout, paths: list[str], missing: str) -> None:
    found = find_cases(layout, paths)
    assert found.missing[0] == missing and not found.cases


FOLDERS = FileLayout("folders", "two folders", {"image": "images/{case}{ending}"}, ("labels/{case}{ending}",))
NOT_READ = "has an ending that is not read. Save it with one of .nii, .nii.gz, .mha, .nrrd, .gipl, .png, "


def test_a_file_with_an_ending_that_is_not_read_is_named() -> None:
    found = find_cases(FOLDERS, ["images/a.jpg", "images/b.v2.jpeg", "labels/a.png"])
    assert found.missing[0].startswith(f"images/a.jpg {NOT_READ}") and found.has_images
    found = find_cases(FOLDERS, ["images/a.png", "labels/a.mat", "images/b.png", "labels/b.png", "images/notes.txt"])
    assert [case.name for case in found.cases] == ["b"] and len(found.missing) == 1
    assert f"labels/a{{ending}} is missing: labels/a.mat {NOT_READ}" in found.missing[0]
    assert not find_cases(PAIR, ["a.jpg", "a_seg.nii"]).has_images


@pytest.mark.parametrize(("folder", "subset"), [
    ("training", "train"), ("train25", "train"), ("train_data/train_1", "train"), ("Testing/p1", "test"),
    ("emidec-segmentation-testset-1.0.0", "test"), ("BraTS20_Validation_001", "val"), ("latest", ""), ("a", ""),
    ("train/test", "test")])
def test_folders_name_the_subset(folder: str, subset: str) -> None:
    (case,) = find_cases(PAIR, [f"{folder}/1.nii", f"{folder}/1_seg.nii"]).cases
    assert case.subset == subset


def test_images_of_a_test_without_label_maps_are_left_out_and_counted() -> None:
    found = find_cases(PAIR, ["test/1.nii", "2.nii", "2_seg.nii"])
    assert found.unlabelled == ["1"] and not found.missing and len(found.cases) == 1
