"""What a folder of DICOM files holds: series as stacks, and what was drawn on them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...files.digest import sha256_of
from .contours import contour_names
from .files import is_dicom, opened, read_header
from .frames import TAGS, DicomFrame, frames_of
from .masks import RTSTRUCT, SEG, SEG_LABEL_MAP
from .segments import segment_names
from .stacks import StackOrFault, stacks_of

_REFERENCES = ("SegmentSequence", "ReferencedSeriesSequence", "StructureSetROISequence", "ROIContourSequence",
               "ReferencedFrameOfReferenceSequence", "SourceImageSequence")
_DIRECTORY = "1.2.840.10008.1.3.10"  # a DICOMDIR, which lists files
_DEEPEST = 12  # sequences within sequences that are searched for references


@dataclass
class DicomSeries:
    """A series of images. patient, study, frame_of_reference: identities of the header, to compare and never to show.
    """

    uid: str
    patient: str
    study: str
    frame_of_reference: str
    folder: str
    number: int
    frames: list[DicomFrame] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    stacks: list[StackOrFault] = field(default_factory=list)


@dataclass(frozen=True)
class Drawing:
    """A SEG or RTSTRUCT: names of its regions, the series and instances that it names, and where it lies."""

    file: Path
    names: tuple[str, ...]
    series: frozenset[str]
    instances: frozenset[str]
    frame_of_reference: str
    study: str


@dataclass
class DicomIndex:
    """files: how many are DICOM. unread: faults of files that name no series."""

    series: dict[str, DicomSeries] = field(default_factory=dict)
    drawings: list[Drawing] = field(default_factory=list)
    files: int = 0
    unread: list[str] = field(default_factory=list)


def index_folder(folder: Path, paths: Sequence[str]) -> DicomIndex:
    """Read every header. paths: of files, relative to the folder. A file of which there is a copy
    counts once."""
    index, seen = DicomIndex(), dict[str, Path]()
    for path in paths:
        file = folder / path
        if not is_dicom(file):
            continue
        index.files += 1
        try:
            header = read_header(file, (*TAGS, *_REFERENCES))
            instance = str(header.get("SOPInstanceUID") or "")
            if instance not in seen:
                _add(index, folder, file, header)
            elif sha256_of(file) != sha256_of(seen[instance]):
                index.unread.append(f"{file}: has the SOP Instance UID of {seen[instance]}, and another content. Keep "
                                    "one of them")
            seen.setdefault(instance, file)
        except InputError as error:
            index.unread.append(str(error))
    for series in index.series.values():
        series.stacks = stacks_of(series.frames)
    return index


def _add(index: DicomIndex, folder: Path, file: Path, header: Any) -> None:
    with opened(file):
        if str(header.get("SOPClassUID")) in (SEG, SEG_LABEL_MAP, RTSTRUCT):
            index.drawings.append(_drawing(file, header))
        elif "Rows" in header and "SeriesInstanceUID" in header:
            series = index.series.setdefault(str(header.SeriesInstanceUID), _series(folder, file, header))
            try:
                series.frames.extend(frames_of(file, header))
            except InputError as error:
                series.faults.append(str(error))
        elif not header.get("SOPClassUID") and header.file_meta.get("MediaStorageSOPClassUID") != _DIRECTORY:
            raise InputError(f"{file}: does not say what it holds. It is cut off, or of another kind: copy it again, "
                             "or leave it out.")


def _series(folder: Path, file: Path, header: Any) -> DicomSeries:
    patient = "\\".join(str(header.get(name) or "") for name in ("PatientID", "IssuerOfPatientID"))
    study = str(header.get("StudyInstanceUID") or "")
    return DicomSeries(str(header.SeriesInstanceUID), patient if header.get("PatientID") else f"study {study}", study,
                       str(header.get("FrameOfReferenceUID") or ""), file.relative_to(folder).parent.as_posix(),
                       int(header.get("SeriesNumber") or 0))


def _drawing(file: Path, header: Any) -> Drawing:
    names = contour_names(header) if str(header.SOPClassUID) == RTSTRUCT else segment_names(header)
    found: dict[str, set[str]] = {"SeriesInstanceUID": set(), "ReferencedSOPInstanceUID": set()}
    for name in ("ReferencedSeriesSequence", "ReferencedFrameOfReferenceSequence", "SourceImageSequence",
                 "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "ROIContourSequence"):
        _collect(header.get(name) or (), found, _DEEPEST)
    places = [header, *(header.get("ReferencedFrameOfReferenceSequence") or ())]
    return Drawing(file, tuple(dict.fromkeys(names.values())), frozenset(found["SeriesInstanceUID"]),
                   frozenset(found["ReferencedSOPInstanceUID"]),
                   next((str(place.FrameOfReferenceUID) for place in places if place.get("FrameOfReferenceUID")), ""),
                   str(header.get("StudyInstanceUID") or ""))


def _collect(items: Any, found: dict[str, set[str]], depth: int) -> None:
    """Add the values of the attributes named in `found`, wherever they stand in these items."""
    for item in items:
        for element in item:
            if element.keyword in found and element.value:
                found[element.keyword].add(str(element.value))
            elif element.VR == "SQ" and depth:
                _collect(element.value, found, depth - 1)
