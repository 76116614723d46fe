"""Samples as DICOM: read by others, checked by dciodvfy, marked for what they are."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK

import dicom_fixtures as write
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.files.digest import sha256_of
from cldm_runtime.scans.conversion.convert import convert
from cldm_runtime.scans.dataset import read_dataset
from cldm_runtime.scans.dicom.write import Subject, write_sample
from cldm_runtime.scans.settings import PrepareSettings
from cldm_runtime.scans.volumes import read_volume
from cldm_runtime.store import DatasetSpec, create_dataset

LABELS = ("background", "lv_cavity", "infarct")
STORED = np.random.default_rng(0).integers(0, 65536, (2, 3, 20, 24)).astype(np.uint16)
MAP = np.random.default_rng(1).integers(0, 3, (3, 20, 24)).astype(np.uint8)
NEWER = "(0x0008,0x001c)"  # Synthetic Data, which is newer than the dciodvfy of Debian, of 2022


def volume(folder: Path, *, synthetic: bool | None = True, labels: np.ndarray = MAP) -> list[Path]:
    subject = Subject("a dataset", synthetic, (4.0, 1.5, 1.25), (1 / 65535, 0.0), LABELS)
    return write_sample(folder, subject, "sample00007", STORED, {"labels": labels})


def slice_of(folder: Path) -> list[Path]:
    subject = Subject("a dataset", None, (1.5, 1.25), (4 / 65535, -1.0), LABELS)
    return write_sample(folder, subject, "sample00000", STORED[:1, 0], {"labels": MAP[0], "truth": MAP[0] * 0})


def headers(files: list[Path]) -> list[Any]:
    return [write.pydicom.dcmread(file) for file in files]


def test_itk_and_highdicom_read_what_was_stored(tmp_path: Path) -> None:
    *_, mask = volume(tmp_path)
    reader = SimpleITK.ImageSeriesReader()
    series = reader.GetGDCMSeriesIDs(str(mask.parent))
    assert len(series) == 3  # two channels and the label map
    for channel, stored in enumerate(STORED):
        reader.SetFileNames([str(mask.parent / f"image{channel}_{number:04d}.dcm") for number in range(3)])
        image = reader.Execute()
        assert np.array_equal(SimpleITK.GetArrayFromImage(image), stored)
        assert (image.GetSpacing(), image.GetOrigin()) == ((1.25, 1.5, 4.0), (0, 0, 0))
    segments = write.highdicom.seg.segread(mask)
    assert [segments.get_segment_description(number).segment_label for number in (1, 2)] == list(LABELS[1:])
    theirs = segments.get_volume(combine_segments=True)
    assert np.array_equal(theirs.array[::-1], MAP)  # whose slices run down, with an affine that says so
    assert np.allclose(theirs.affine[:3, 0], [0, 0, -4]) and np.allclose(theirs.position, [0, 0, 8])


def test_what_the_pixels_mean(tmp_path: Path) -> None:
    image, *_ = headers(slice_of(tmp_path))
    (meaning,) = image.RealWorldValueMappingSequence
    values = image.pixel_array * meaning.RealWorldValueSlope + meaning.RealWorldValueIntercept
    assert np.allclose(values, STORED[0, 0] / 65535 * 4 - 1, atol=1e-9)
    shown = write.pydicom.pixels.apply_windowing(image.pixel_array, image)
    assert np.abs(shown - image.pixel_array).max() <= 1  # the window shows all values


def test_they_are_marked_as_synthetic_and_name_no_patient(tmp_path: Path) -> None:
    for data in headers(volume(tmp_path)):
        assert (data.SyntheticData, data.ImageType[0], data.PatientIdentityRemoved) == ("YES", "DERIVED", "YES")
        assert {str(data[name].value or "") for name in ("PatientName", "PatientID", "PatientBirthDate", "StudyDate",
                                                         "ReferringPhysicianName", "AccessionNumber")} == {""}
        assert "synthetic" in data.SeriesDescription and data.BurnedInAnnotation == "NO"
        assert "no patient was scanned" in data.ContributingEquipmentSequence[0].ContributionDescription
    patients = headers(volume(tmp_path, synthetic=False))[0]
    assert patients.SyntheticData == "NO" and "from a scan" in patients.DerivationDescription
    assert "SyntheticData" not in headers(volume(tmp_path, synthetic=None))[0]


def test_identifiers_follow_the_content(tmp_path: Path) -> None:
    first, again = headers(volume(tmp_path / "a")), headers(volume(tmp_path / "b"))
    for file in (tmp_path / "a").rglob("*.dcm"):
        assert sha256_of(file) == sha256_of(tmp_path / "b" / file.relative_to(tmp_path / "a")), file.name
    others = headers(volume(tmp_path / "c", labels=MAP[::-1]))
    assert [data.SOPInstanceUID for data in first[:-1]] == [data.SOPInstanceUID for data in others[:-1]]
    assert again[-1].SOPInstanceUID != others[-1].SOPInstanceUID and len({data.SOPInstanceUID for data in first}) == 7
    assert all(data.SOPInstanceUID.startswith("2.25.") and len(data.SOPInstanceUID) <= 64 for data in first)
    assert len({data.SeriesInstanceUID for data in first}) == 3 and len({data.StudyInstanceUID for data in first}) == 1


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dciodvfy is not installed: apt-get install dicom3tools")
@pytest.mark.parametrize("make", [volume, slice_of])
def test_dciodvfy_finds_no_error(tmp_path: Path, make: Any) -> None:
    for file in make(tmp_path):
        done = subprocess.run(["dciodvfy", file], capture_output=True, text=True, check=False)
        said = (done.stdout + done.stderr).splitlines()
        assert done.returncode == 0 and any(line in ("MRImage", "Segmentation") for line in said)
        assert not [line for line in said if line.startswith("Error") and NEWER not in line]


def test_the_folder_is_one_that_prepare_reads(tmp_path: Path) -> None:
    domain = get_domain("lge")
    maps = np.random.default_rng(0).integers(0, 5, (2, 20, 24)).astype(np.uint8)
    with create_dataset(tmp_path / "a.h5", DatasetSpec(domain, (20, 24), (1.5, 1.25))) as writer:
        writer.append(images=np.random.default_rng(0).random((2, 1, 20, 24)), masks=maps)
    convert(tmp_path / "a.h5", "dicom", tmp_path / "folder")
    raw, faults = read_dataset(tmp_path / "folder", PrepareSettings(layout="dicom"), domain)
    assert (faults, [case.name for case in raw.cases]) == ([], ["sample00000", "sample00001"])
    values = np.array([raw.labels[name][0] for name in domain.labels.names])
    assert np.array_equal(read_volume(raw.cases[1]).labels[0], values[maps[1]])
