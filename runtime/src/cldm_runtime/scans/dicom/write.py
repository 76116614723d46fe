"""Samples of a dataset as DICOM: derived MR images that say what they are, and their label maps as segmentations.

A sample has a folder of its own, with a series for each channel and a file for each slice. Nothing of a patient is
written: no name, no number, no date of an examination. Columns are numbered to the left and rows to the back, from the
origin, as in the other formats. Stored values are those of the dataset, and Real World Value Mapping says what they
mean: MR images have no Rescale Slope by the standard, and a window below 1, which it would need, is not allowed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...domains.labels import LabelMap
from ...version import __version__
from .files import package
from .uids import content_of, uid

MAKER, MODEL = "cldm", "cldm-runtime"
_MR = "1.2.840.10008.5.1.4.1.1.4"
_EXPLICIT = "1.2.840.10008.1.2.1"
_DAY, _TIME = "20000101", "000000"  # of segmentations, which need one; equal samples give equal bytes
_ORIENTATION = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_KINDS = {"labels": ("label map", 100), "truth": ("true label map", 101)}  # description, number of the series
_STORIES = {True: "Made by a computer: no patient was scanned.",
            False: "Cut, resampled and rescaled from a scan, of whose header nothing was kept.",
            None: "From a dataset that does not say whether a patient was scanned."}
_LONGEST = 64  # characters of a description


@dataclass(frozen=True)
class Subject:
    """What all samples of a dataset share. identity: of the dataset, a text that names nobody. synthetic: whether no
    patient was scanned for them; None where nobody knows. labels: names of the values 0, 1, ..."""

    identity: str
    synthetic: bool | None
    spacing_mm: tuple[float, ...]
    rescale: tuple[float, float]
    labels: Sequence[str]

    @property
    def word(self) -> str:
        return "synthetic" if self.synthetic else "derived"

    @property
    def story(self) -> str:
        return f"{_STORIES[self.synthetic]} Not for diagnosis."

    def mark(self, data: Any) -> None:
        """Say that the pixels are synthetic, or that they are not, and that no patient is named."""
        data.PatientIdentityRemoved, data.BurnedInAnnotation = "YES", "NO"
        data.DeidentificationMethod = "there is no patient" if self.synthetic else "nothing of a header was kept"
        if self.synthetic is not None:
            data.SyntheticData = "YES" if self.synthetic else "NO"


def image_files(name: str, channels: int, shape: tuple[int, ...]) -> list[str]:
    """The files of a sample's images, channel by channel, slice by slice."""
    slices = 1 if len(shape) == 2 else shape[0]
    return [f"{name}/image{channel}_{number:04d}.dcm" for channel in range(channels) for number in range(slices)]


def mask_file(name: str, kind: str) -> str:
    """kind: "labels" or "truth"."""
    return f"{name}/{kind}.dcm"


def write_sample(folder: Path, subject: Subject, name: str, stored: NDArray[np.uint16],
                 maps: Mapping[str, LabelMap]) -> list[Path]:
    """Write the images (C, *spatial) of a sample and its label maps (*spatial), by kind. Returns the files.

    Raises InputError if pydicom or highdicom is not installed.
    """
    pydicom = package("pydicom")
    (folder / name).mkdir(parents=True, exist_ok=True)
    planes = stored.reshape(len(stored), -1, *stored.shape[-2:])
    files = [folder / file for file in image_files(name, len(stored), stored.shape[1:])]
    images = [image for channel in range(len(planes)) for image in _series(subject, name, channel, planes[channel])]
    for file, image in zip(files, images, strict=True):
        pydicom.dcmwrite(file, image, enforce_file_format=True)
    for kind, labels in maps.items():
        drawn = labels.reshape(-1, *labels.shape[-2:])
        segmentation = _segmentation(subject, name, kind, images[:len(drawn)], drawn)
        files.append(folder / mask_file(name, kind))
        pydicom.dcmwrite(files[-1], segmentation, enforce_file_format=True)
    return files


def _series(subject: Subject, name: str, channel: int, planes: NDArray[np.uint16]) -> Iterator[Any]:
    """The slices of a channel, from the lowest one up."""
    content = (subject.identity, name, channel, content_of(planes, np.asarray((*subject.spacing_mm, *subject.rescale))))
    for number, plane in enumerate(planes):
        image = _common(subject, name, package("pydicom").Dataset())
        _identify(image, _MR, uid("image", *content, number))
        image.SeriesInstanceUID = uid("series", *content)
        image.SeriesNumber, image.InstanceNumber, image.AcquisitionNumber = channel + 1, number + 1, None
        image.SeriesDescription = f"{subject.word} image, channel {channel}"
        image.ImageType = ["DERIVED", "PRIMARY", "OTHER"]
        image.ScanningSequence, image.SequenceVariant, image.ScanOptions = "RM", "NONE", ""  # RM: research mode
        image.MRAcquisitionType, image.EchoTime, image.EchoTrainLength, image.RepetitionTime = "", None, None, None
        _place(image, subject, number)
        _pixels(image, subject, plane)
        yield image


def _identify(data: Any, sop_class: str, instance: str) -> None:
    pydicom = package("pydicom")
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.UID(_EXPLICIT)
    data.SOPClassUID, data.SOPInstanceUID = sop_class, instance


def _common(subject: Subject, name: str, data: Any) -> Any:
    """Patient, study, frame of reference and equipment; and that the pixels are derived."""
    pydicom = package("pydicom")
    data.SpecificCharacterSet = "ISO_IR 192"
    data.PatientName = data.PatientID = data.PatientBirthDate = data.PatientSex = ""
    subject.mark(data)
    data.StudyInstanceUID = uid("study", subject.identity)
    data.StudyID = data.StudyDate = data.StudyTime = data.AccessionNumber = data.ReferringPhysicianName = ""
    data.StudyDescription = f"{subject.word} images of {MAKER}"
    data.FrameOfReferenceUID, data.PositionReferenceIndicator = uid("frame", subject.identity, name), ""
    data.Modality, data.Manufacturer, data.ManufacturerModelName = "MR", MAKER, MODEL
    data.SoftwareVersions, data.DeviceSerialNumber, data.PatientPosition = __version__, "0", "HFS"
    data.Laterality, data.LossyImageCompression = "", "00"
    data.DerivationDescription, data.ImageComments = subject.story, f"{subject.word}, {name}"
    equipment = pydicom.Dataset()
    equipment.PurposeOfReferenceCodeSequence = [_code("109102", "DCM", "Processing Equipment")]
    equipment.Manufacturer, equipment.ManufacturerModelName = MAKER, MODEL
    equipment.SoftwareVersions, equipment.ContributionDescription = __version__, subject.story
    data.ContributingEquipmentSequence = [equipment]
    return data


def _code(value: str, scheme: str, meaning: str) -> Any:
    code = package("pydicom").Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _place(image: Any, subject: Subject, number: int) -> None:
    """The first slice lies at the origin. A single slice is taken to be 1 mm thick, as in NIfTI."""
    distance = float((*reversed(subject.spacing_mm), 1.0)[2])
    as_text = package("pydicom").valuerep.format_number_as_ds
    image.ImagePositionPatient, image.ImageOrientationPatient = [0.0, 0.0, as_text(number * distance)], [*_ORIENTATION]
    image.PixelSpacing = [as_text(float(width)) for width in subject.spacing_mm[-2:]]
    image.SliceThickness = as_text(distance)
    if len(subject.spacing_mm) == 3:
        image.SpacingBetweenSlices = as_text(distance)


def _pixels(image: Any, subject: Subject, plane: NDArray[np.uint16]) -> None:
    """The stored values, what they mean, and a window that shows all of them."""
    slope, intercept = subject.rescale
    image.Rows, image.Columns, image.SamplesPerPixel = *plane.shape, 1
    image.PhotometricInterpretation, image.PixelRepresentation = "MONOCHROME2", 0
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 16, 15
    image.WindowCenter, image.WindowWidth = "32768", "65536"
    meaning = package("pydicom").Dataset()
    meaning.LUTExplanation, meaning.LUTLabel = "intensity", "intensity"
    meaning.RealWorldValueFirstValueMapped, meaning.RealWorldValueLastValueMapped = 0, 65535
    meaning.RealWorldValueSlope, meaning.RealWorldValueIntercept = float(slope), float(intercept)
    meaning.MeasurementUnitsCodeSequence = [_code("1", "UCUM", "no units")]
    image.RealWorldValueMappingSequence = [meaning]
    image.PixelData = plane.astype("<u2").tobytes()


def _segmentation(subject: Subject, name: str, kind: str, images: Sequence[Any], labels: NDArray[np.uint8]) -> Any:
    """A binary SEG with a segment for each label, numbered as the values; labels (slices, rows, columns)."""
    highdicom = package("highdicom")
    described, number = _KINDS[kind]
    code = highdicom.sr.CodedConcept
    segments = [highdicom.seg.SegmentDescription(
        value, label[:_LONGEST], code("309825002", "SCT", "Spatial and Relational Concept"),
        code(f"LABEL{value}", "99CLDM", label[:_LONGEST]),
        highdicom.seg.SegmentAlgorithmTypeValues.MANUAL)
        for value, label in enumerate(subject.labels) if value]
    content = (subject.identity, name, kind, content_of(labels), *(image.SOPInstanceUID for image in images))
    title = f"{subject.word} {described}"
    data = highdicom.seg.Segmentation(
        list(images), labels, highdicom.seg.SegmentationTypeValues.BINARY, segments, uid("series", *content), number,
        uid("segmentation", *content), 1, MAKER, MODEL, __version__, "0", content_label=kind.upper(),
        content_description=title, series_description=title, omit_empty_frames=bool(labels.any()))
    data.ContentDate, data.ContentTime, data.InstanceCreationDate, data.InstanceCreationTime = _DAY, _TIME, _DAY, _TIME
    for item in (*data.DimensionOrganizationSequence, *data.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid("dimensions", *content)  # highdicom draws one by chance
    subject.mark(data)
    data.ContributingEquipmentSequence = images[0].ContributingEquipmentSequence
    data.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SliceThickness = images[0].SliceThickness
    return data
