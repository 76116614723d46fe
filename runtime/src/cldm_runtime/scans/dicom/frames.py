"""The frames of a DICOM image: one of a single-frame file, all of an enhanced multi-frame file."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ..volume_files import SPACINGS_MM
from .files import opened
from .kinds import kind_of

# What may tell two images of one place apart, none of which names a patient.
TELLING = ("EchoNumbers", "EchoTime", "InversionTime", "TriggerTime", "NominalCardiacTriggerDelayTime",
           "TemporalPositionIdentifier", "TemporalPositionIndex", "AcquisitionNumber", "DiffusionBValue",
           "ConvolutionKernel", "ImageType", "InstanceNumber")
TAGS = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID", "PatientID",
        "IssuerOfPatientID", "Modality", "SeriesDescription", "SeriesNumber", "ImagePositionPatient",
        "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices", "Rows", "Columns",
        "NumberOfFrames", "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "ComplexImageComponent",
        "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", *TELLING)


@dataclass(frozen=True)
class DicomFrame:
    """One plane of pixels: frame `number` of a file, with its place.

    position_mm (3,): of the centre of the first pixel, in the patient's axes (to the left, to the back, up). rows,
    columns (3,): unit vectors along a row (to the next column) and along a column (to the next row). pixel_mm: between
    rows, and between columns. thickness_mm: 0 where it is not stated. telling: values of TELLING that are there.
    """

    file: Path
    number: int
    instance: str
    position_mm: tuple[float, ...]
    rows: tuple[float, ...]
    columns: tuple[float, ...]
    pixel_mm: tuple[float, float]
    thickness_mm: float
    shape: tuple[int, int]
    slope: float
    intercept: float
    kind: str
    telling: tuple[tuple[str, str], ...]

    @property
    def normal(self) -> NDArray[np.float64]:
        return np.cross(self.rows, self.columns)


def frames_of(file: Path, header: Any) -> list[DicomFrame]:
    """The frames of an image. Raises InputError for one that does not say where it lies, and for values that no
    rescaling gives."""
    with opened(file):
        per_frame = header.get("PerFrameFunctionalGroupsSequence")
        if per_frame is None and int(header.get("NumberOfFrames") or 1) > 1:
            raise InputError(f"{file}: has several frames that do not say where they lie. Export the series as "
                             "single-frame or as enhanced multi-frame images.")
        shared = (header.get("SharedFunctionalGroupsSequence") or [{}])[0]
        return [_frame(file, header, number, list(parts_of(shared, own)))
                for number, own in enumerate([{}] if per_frame is None else per_frame)]


def parts_of(shared: Any, own: Any) -> Iterator[Any]:
    """What the functional groups of a frame say: the first item of each; a group of the frame comes first."""
    for group in (own, shared):
        for element in group:
            if element.VR == "SQ" and len(element.value):
                yield element.value[0]


def _frame(file: Path, header: Any, number: int, parts: list[Any]) -> DicomFrame:
    def value(name: str) -> Any:
        return next((part.get(name) for part in (*parts, header) if part.get(name) not in (None, "")), None)

    if value("ModalityLUTSequence"):
        raise InputError(f"{file}: its values pass through a table (Modality LUT), which is not read. Export it with "
                         "Rescale Slope and Intercept.")
    position, rows, columns, pixel = place_of(file, value)
    image_type = [str(word) for word in value("FrameType") or value("ImageType") or ()]
    slope, intercept = value("RescaleSlope"), value("RescaleIntercept")
    numbers = (1.0 if slope is None else float(slope), float(intercept or 0))
    if not np.isfinite(numbers).all() or numbers[0] == 0:
        raise InputError(f"{file}: its Rescale Slope and Intercept are no numbers that give values. Export it again.")
    thickness = float(value("SpacingBetweenSlices") or value("SliceThickness") or 0)
    telling = tuple((name, str(value(name))) for name in TELLING if value(name) is not None)
    return DicomFrame(file, number, str(header.SOPInstanceUID), position, rows, columns, pixel, thickness,
                      (int(header.Rows), int(header.Columns)), *numbers,
                      kind_of(image_type, str(value("ComplexImageComponent") or ""),
                              str(header.get("SeriesDescription") or "")), telling)


Triple = tuple[float, ...]


def place_of(file: Path, value: Any) -> tuple[Triple, Triple, Triple, tuple[float, float]]:
    """Position, row and column vectors, and size of pixels. value: name of an attribute -> its value or None."""
    found = [np.asarray(value(name) or (), np.float64) for name in
             ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")]
    if [len(numbers) for numbers in found] != [3, 6, 2] or not all(np.isfinite(numbers).all() for numbers in found):
        raise InputError(f"{file}: does not say where it lies (Image Position and Orientation (Patient), Pixel Spacing)"
                         ". Export the series as it was scanned; pictures of a screen cannot be used.")
    position, (rows, columns), pixel = found[0], found[1].reshape(2, 3), found[2]
    if not np.allclose([rows @ rows, columns @ columns, rows @ columns], [1, 1, 0], atol=1e-3):
        raise InputError(f"{file}: its Image Orientation (Patient) is not two unit vectors at a right angle.")
    if not all(SPACINGS_MM[0] <= width <= SPACINGS_MM[1] for width in pixel):
        raise InputError(f"{file}: its pixels are {pixel[0]:g} x {pixel[1]:g} mm wide, expected {SPACINGS_MM[0]:g} to "
                         f"{SPACINGS_MM[1]:g}.")
    return tuple(position), tuple(rows), tuple(columns), (float(pixel[0]), float(pixel[1]))
