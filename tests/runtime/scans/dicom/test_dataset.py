"""A folder of series becomes a cohort; what does not belong together is named."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dicom_fixtures as write
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import DatasetError, InputError
from cldm_runtime.scans.dataset import read_dataset
from cldm_runtime.scans.nnunet_raw import RawDataset
from cldm_runtime.scans.prepare import prepare
from cldm_runtime.scans.settings import PrepareSettings
from cldm_runtime.scans.volumes import read_volume
from cldm_runtime.store import open_dataset
from layout_fixtures import picture_of, ring_stack

MAPS = ring_stack((4, 60, 64))
SETTINGS = PrepareSettings(shape=(49, 49), spacing_mm=(1.25, 1.25), workers=1, ring=())


def scan(folder: Path, patient: str = "p1", name: str = "lge", seed: int = 0, **more: Any) -> list[write.Dataset]:
    images = write.series(picture_of(MAPS, seed).astype(np.uint16), name, patient=patient, **more)
    write.save(folder / name, *images[::-1])
    return images


def clinic(folder: Path) -> Path:
    """Three visits of two patients, with a SEG each; and a scan without one."""
    for number, patient in enumerate(("p1", "p1", "p2")):
        images = scan(folder / f"visit{number}", patient, f"lge{number}", number, spacing=(8.0, 1.25, 1.25))
        write.save(folder / f"visit{number}", write.segmentation(images, MAPS), stem="SEG")
    scan(folder / "visit0", name="cine")
    (folder / "visit0" / "notes.txt").write_text("no DICOM")
    return folder


def read(folder: Path, **settings: Any) -> RawDataset:
    raw, faults = read_dataset(folder, PrepareSettings(**settings), get_domain("lge"))
    assert faults == []
    return raw


def faults_of(folder: Path, **settings: Any) -> list[str]:
    return read_dataset(folder, PrepareSettings(**settings), get_domain("lge"))[1]


def test_a_folder_becomes_a_cohort_of_its_patients(tmp_path: Path) -> None:
    raw = read(clinic(tmp_path / "clinic"))
    assert [(case.name, case.patient, case.subset) for case in raw.cases] == [
        ("visit0/lge0", "patient 1", "train"), ("visit1/lge1", "patient 1", "train"),
        ("visit2/lge2", "patient 2", "train")]
    assert "3 cases of 2 patient(s)" in raw.notes[0] and "1 series without SEG" in raw.notes[0]
    prepare(tmp_path / "clinic", tmp_path / "cohort.h5", SETTINGS, "lge")
    with open_dataset(tmp_path / "cohort.h5") as cohort:
        assert cohort.patients.tolist() == ["P0001"] * 8 + ["P0002"] * 4
        for rows in range(0, 12, 4):
            assert np.bincount(cohort.masks(slice(rows, rows + 4)).ravel())[1:].tolist() == (
                np.bincount(MAPS.ravel())[1:].tolist())


def test_pixels_and_labels_are_those_that_were_written(tmp_path: Path) -> None:
    volume = read_volume((raw := read(clinic(tmp_path))).cases[1])
    assert np.array_equal(volume.pixels[0], picture_of(MAPS, 1).astype(np.uint16))
    assert raw.labels == {"background": (0,), "healthy_myocardium": (1,), "infarct": (2,), "lv_cavity": (3,),
                          "mvo": (4,)}
    assert np.array_equal(volume.labels, np.array([0, 3, 1, 2, 4])[MAPS])


def test_a_cohort_follows_the_content_of_every_file(tmp_path: Path) -> None:
    clinic(tmp_path / "clinic")
    prepare(tmp_path / "clinic", tmp_path / "cohort.h5", SETTINGS, "lge")
    prepare(tmp_path / "clinic", tmp_path / "cohort.h5", SETTINGS, "lge")
    scan(tmp_path / "clinic" / "visit2", "p2", "lge2", seed=7)
    with pytest.raises(DatasetError, match="images"):
        prepare(tmp_path / "clinic", tmp_path / "cohort.h5", SETTINGS, "lge")


def test_magnitude_and_psir_of_a_scan_are_its_channels(tmp_path: Path) -> None:
    for patient in ("p1", "p2"):
        psir = scan(tmp_path / patient, patient, "psir", SeriesDescription="LGE PSIR")
        scan(tmp_path / patient, patient, "mag", seed=5, SeriesDescription="LGE MAG")
        write.save(tmp_path / patient, write.segmentation(psir, MAPS), stem="SEG")
    raw = read(tmp_path)
    assert raw.extra["channel_names"] == {"0": "psir", "1": "magnitude"}
    assert [case.name for case in raw.cases] == ["p1/psir", "p2/psir"]
    volume = read_volume(raw.cases[0], (0, 1))
    assert np.array_equal(volume.pixels[1], picture_of(MAPS, 5).astype(np.uint16))


def test_cases_of_different_kinds_are_an_error(tmp_path: Path) -> None:
    for patient, kind in (("p1", "PSIR"), ("p2", "MAG")):
        images = scan(tmp_path / patient, patient, SeriesDescription=kind)
        write.save(tmp_path / patient, write.segmentation(images, MAPS), stem="SEG")
    (fault,) = faults_of(tmp_path)
    assert "no kind is in all of them: magnitude in 1, such as p2/lge; psir in 1, such as p1/lge" in fault


def test_contours_find_their_series_by_reference_or_by_frame(tmp_path: Path) -> None:
    images, square = scan(tmp_path), [(20.5, 20.5), (20.5, 30.5), (30.5, 30.5), (30.5, 20.5)]
    write.save(tmp_path, write.contours(images, {"Infarct": {1: [square]}}, refer=False), stem="RT")
    assert read_volume(read(tmp_path).cases[0]).labels.sum(axis=(1, 2)).tolist() == [0, 100, 0, 0]
    scan(tmp_path, name="other")
    assert faults_of(tmp_path) == [f"{tmp_path}/RT000.dcm: which images it was drawn on cannot be said: 2 stacks of "
                                   "images are possible. Keep one of them in the folder"]
    write.save(tmp_path, write.contours(images, {"Infarct": {1: [square]}}), stem="RT")
    assert [case.name for case in read(tmp_path).cases] == ["lge"]


def test_copies_count_once_and_other_contents_do_not(tmp_path: Path) -> None:
    images = scan(tmp_path)
    write.save(tmp_path, write.segmentation(images, MAPS), stem="SEG")
    write.save(tmp_path / "copy", *images)
    assert len(read(tmp_path).cases) == 1
    images[0].PixelData = bytes(len(images[0].PixelData))
    write.save(tmp_path / "copy", *images[:1])
    (fault,) = faults_of(tmp_path)
    assert "has the SOP Instance UID of" in fault and "and another content. Keep one of them" in fault


def test_a_file_that_is_cut_off_is_named(tmp_path: Path) -> None:
    clinic(tmp_path)
    (tmp_path / "visit0" / "x").write_bytes((tmp_path / "visit0" / "lge0" / "IM000.dcm").read_bytes()[:150])
    assert faults_of(tmp_path) == [f"{tmp_path}/visit0/x: does not say what it holds. It is cut off, or of another "
                                   "kind: copy it again, or leave it out."]


def test_two_phases_and_a_missing_series_name_their_case(tmp_path: Path) -> None:
    images = scan(tmp_path / "a", TriggerTime=1.0)
    write.save(tmp_path / "a", write.segmentation(images, MAPS), stem="SEG")
    for number, image in enumerate(images):
        image.SOPInstanceUID, image.TriggerTime = write.uid("late", number), 500.0
    write.save(tmp_path / "a" / "late", *images)
    (fault,) = faults_of(tmp_path)
    assert fault.startswith("case a/late: 8 images lie at 4 places") and "differ in TriggerTime" in fault
    for file in (tmp_path / "a").rglob("IM*.dcm"):
        file.unlink()
    assert faults_of(tmp_path) == [f"{tmp_path}/a/SEG000.dcm: the images that it was drawn on are not in the folder. "
                                   "Put their series there"]


def test_subsets_patients_and_labels_as_the_user_says(tmp_path: Path) -> None:
    clinic(tmp_path)
    cases = [f"visit{number}/lge{number}" for number in range(3)]
    (tmp_path / "subsets.json").write_text(json.dumps({"train": cases[:1], "test": cases[1:]}))
    assert faults_of(tmp_path) == ["patient patient 1 is in several subsets: test, train"]
    (tmp_path / "patients.json").write_text(json.dumps({case: case for case in cases}))
    assert [case.subset for case in read(tmp_path).cases] == ["train", "test", "test"]
    named = read(tmp_path, labels={"MVO": "mvo", "infarct": "infarct"})
    assert list(named.labels) == ["background", "mvo", "infarct", "healthy_myocardium", "lv_cavity"]


@pytest.mark.parametrize("layout", ["auto", "dicom"])
def test_a_folder_without_dicom_or_without_masks_says_so(tmp_path: Path, layout: str) -> None:
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(InputError, match=r"dicom: no file is DICOM \(DICM at byte 128\)"):
        read(tmp_path, layout=layout)
    scan(tmp_path)
    with pytest.raises(InputError, match="dicom: 1 series of images, and 0 SEG or RTSTRUCT that show what is where"):
        read(tmp_path, layout=layout)
