"""Tiny DICOM series, segmentations and contours, written by pydicom and highdicom."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed: pip install './runtime[dicom]'")
highdicom = pytest.importorskip("highdicom", reason="highdicom is not installed: pip install './runtime[dicom]'")

from pydicom.dataset import Dataset, FileMetaDataset  # noqa: E402
from pydicom.sequence import Sequence as Items  # noqa: E402
from pydicom.uid import ExplicitVRLittleEndian  # noqa: E402

MR, ENHANCED_MR, RTSTRUCT = (f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("4", "4.1", "481.3"))
STRAIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SHORT_AXIS = (0.6, 0.64, -0.48, 0.0, -0.6, -0.8)  # oblique, as of a heart
NAMES = {1: "LV Cavity", 2: "healthy myocardium", 3: "infarct", 4: "MVO"}


def uid(*parts: object) -> str:
    return str(pydicom.uid.generate_uid(entropy_srcs=[repr(parts)]))


def base(sop_class: str, *identity: object, patient: str = "p1") -> Dataset:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID, data.SOPInstanceUID = sop_class, uid(sop_class, patient, *identity)
    data.PatientName, data.PatientID, data.PatientBirthDate, data.PatientSex = "", patient, "", ""
    data.StudyInstanceUID, data.FrameOfReferenceUID = uid("study", patient), uid("frame", patient)
    data.StudyID = data.StudyDate = data.StudyTime = data.AccessionNumber = data.ReferringPhysicianName = ""
    data.PositionReferenceIndicator, data.Modality, data.Manufacturer = "", "MR", ""
    return data


def with_pixels(data: Dataset, stored: NDArray[np.generic]) -> Dataset:
    data.Rows, data.Columns, data.SamplesPerPixel = *stored.shape[-2:], 1
    data.PhotometricInterpretation, data.BitsAllocated, data.BitsStored, data.HighBit = "MONOCHROME2", 16, 16, 15
    data.PixelRepresentation = int(stored.dtype.kind == "i")
    data.PixelData = stored.astype(f"<{stored.dtype.kind}2").tobytes()
    return data


def series(voxels: NDArray[np.generic], name: str = "a", *, spacing: Sequence[float] = (8.0, 1.5, 1.25),
           orientation: Sequence[float] = SHORT_AXIS, origin: Sequence[float] = (10.0, -20.0, 30.0),
           patient: str = "p1", **more: Any) -> list[Dataset]:
    """A single-frame file for each slice of (Z, H, W), in the order of space. more: attributes of all of them."""
    normal, images = np.cross(orientation[:3], orientation[3:]), []
    for number, plane in enumerate(voxels):
        data = with_pixels(base(MR, name, number, patient=patient), plane)
        data.SeriesInstanceUID, data.SeriesNumber, data.InstanceNumber = uid("series", name, patient), 1, number + 1
        data.ImageType, data.ImageOrientationPatient = ["ORIGINAL", "PRIMARY", "OTHER"], list(orientation)
        data.ImagePositionPatient = [round(float(value), 8) for value in origin + number * spacing[0] * normal]
        data.PixelSpacing, data.SliceThickness = list(spacing[1:]), 5.0  # slices have gaps between them
        for key, value in more.items():
            setattr(data, key, value)
        images.append(data)
    return images


def enhanced(images: Sequence[Dataset], frame_types: Sequence[str] | None = None) -> Dataset:
    """The slices as one enhanced multi-frame file: orientation and size shared, place and rescaling of each frame."""
    data = deepcopy(images[0])
    data.SOPClassUID, data.SOPInstanceUID = ENHANCED_MR, uid("enhanced", images[0].SOPInstanceUID)
    data.NumberOfFrames = len(images)
    data.PixelData = b"".join(image.PixelData for image in images)
    shared, own = Dataset(), []
    shared.PlaneOrientationSequence = [part(images[0], "ImageOrientationPatient")]
    shared.PixelMeasuresSequence = [part(images[0], "PixelSpacing", "SliceThickness")]
    for number, image in enumerate(images):
        frame = Dataset()
        frame.PlanePositionSequence = [part(image, "ImagePositionPatient")]
        frame.PixelValueTransformationSequence = [part(image, "RescaleSlope", "RescaleIntercept")]
        if frame_types:
            kind = Dataset()
            kind.FrameType, kind.ComplexImageComponent = ["ORIGINAL", "PRIMARY", "OTHER", "NONE"], frame_types[number]
            frame.MRImageFrameTypeSequence = [kind]
        own.append(frame)
    data.SharedFunctionalGroupsSequence, data.PerFrameFunctionalGroupsSequence = Items([shared]), Items(own)
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "RescaleSlope",
                 "RescaleIntercept"):
        data.pop(name, None)
    return data


def part(data: Dataset, *names: str) -> Dataset:
    found = Dataset()
    for name in names:
        if name in data:
            setattr(found, name, data[name].value)
    return found


def save(folder: Path, *images: Dataset, stem: str = "IM") -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{stem}{number:03d}.dcm" for number in range(len(images))]
    for file, image in zip(files, images, strict=True):
        pydicom.dcmwrite(file, image, enforce_file_format=True)
    return files


def segmentation(images: Sequence[Dataset], masks: NDArray[np.generic], kind: str = "BINARY",
                 names: Mapping[int, str] = NAMES, **more: Any) -> Dataset:
    """A SEG by highdicom. masks: (Z, H, W) values, or (Z, H, W, S) one array a segment."""
    described = [highdicom.seg.SegmentDescription(
        value, name, pydicom.sr.codedict.codes.SCT.Tissue, pydicom.sr.codedict.codes.SCT.Tissue,
        highdicom.seg.SegmentAlgorithmTypeValues.MANUAL) for value, name in names.items()]
    return highdicom.seg.Segmentation(
        list(images), masks, kind, described, uid("seg series", images[0].SOPInstanceUID, kind), 9,
        uid("seg", images[0].SOPInstanceUID, kind, len(names)), 1, "maker", "model", "1", "serial",
        content_creator_name=None, **more)


def contours(images: Sequence[Dataset], drawn: Mapping[str, Mapping[int, Sequence[Any]]], closed: str = "CLOSED_PLANAR",
             refer: bool = True) -> Dataset:
    """An RT Structure Set. drawn: name -> slice -> polygons of (row, column)."""
    data = base(RTSTRUCT, "contours", images[0].SOPInstanceUID, patient=images[0].PatientID)
    data.Modality, data.StructureSetLabel, data.SeriesInstanceUID = "RTSTRUCT", "L", uid("rt", images[0].SOPInstanceUID)
    named, found = Dataset(), Dataset()
    named.SeriesInstanceUID = images[0].SeriesInstanceUID
    study, frame = Dataset(), Dataset()
    study.RTReferencedSeriesSequence = [named]
    frame.FrameOfReferenceUID, frame.RTReferencedStudySequence = images[0].FrameOfReferenceUID, [study]
    data.ReferencedFrameOfReferenceSequence = [frame] if refer else []
    data.StructureSetROISequence, data.ROIContourSequence = [], []
    for number, (name, planes) in enumerate(drawn.items(), 1):
        found = Dataset()
        found.ROINumber, found.ROIName, item = number, name, Dataset()
        item.ReferencedROINumber, item.ContourSequence = number, []
        for place, polygons in planes.items():
            item.ContourSequence.extend(contour_of(images[place], corners, closed) for corners in polygons)
        data.StructureSetROISequence.append(found)
        data.ROIContourSequence.append(item)
    return data


def contour_of(image: Dataset, corners: Any, closed: str) -> Dataset:
    rows, columns = np.reshape(image.ImageOrientationPatient, (2, 3)).astype(float)
    points = [np.array(image.ImagePositionPatient) + y * float(image.PixelSpacing[0]) * columns
              + x * float(image.PixelSpacing[1]) * rows for y, x in corners]
    item = Dataset()
    item.ContourGeometricType, item.NumberOfContourPoints = closed, len(points)
    item.ContourData = [f"{value:.8g}" for point in points for value in point]
    return item
