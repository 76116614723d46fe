"""DICOM Segmentation (SEG): binary, fractional (a voxel belongs to a segment from one half on) and label map."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .files import opened, read_frames
from .frames import parts_of, place_of
from .stacks import DicomStack

_PARALLEL = 1e-3
_IN_PLANE = 0.1  # of the distance of slices: how far from a slice's plane a frame may lie
_SINGLE_MM = 0.5  # the same for a volume of one slice
_SAME_DISTANCE = 0.05  # relative
_HALF = 0.5  # of the largest value of a fractional segmentation


def plain_name(text: str) -> str:
    """A region's name in small letters, digits and underscores: "LV Cavity" -> lv_cavity."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "unnamed"


def segment_names(header: Any) -> dict[int, str]:
    """Number of each segment -> its name, the background of a label map apart."""
    return {int(item.SegmentNumber): plain_name(str(item.get("SegmentLabel") or item.SegmentNumber))
            for item in header.get("SegmentSequence") or () if int(item.SegmentNumber)}


def segment_regions(file: Path, header: Any, stack: DicomStack) -> dict[str, NDArray[np.bool_]]:
    """Name -> (z, y, x) where that segment is on the grid of the stack; of equal names, where one of them is.

    Raises InputError for frames that lie between the slices of the stack, or across them.
    """
    with opened(file):
        names = segment_names(header)
        regions = {name: np.zeros(stack.shape, np.bool_) for name in names.values()}
        stored = read_frames(file)
        kind = str(header.SegmentationType)
        half = _HALF * int(header.get("MaximumFractionalValue") or 1) if kind == "FRACTIONAL" else _HALF
        shared = (header.get("SharedFunctionalGroupsSequence") or [{}])[0]
        for own, frame in zip(header.PerFrameFunctionalGroupsSequence, stored, strict=True):
            parts = list(parts_of(shared, own))
            number = next((int(part.ReferencedSegmentNumber) for part in parts if "ReferencedSegmentNumber" in part), 0)
            shown = [(names[value], frame == value) for value in names] if kind == "LABELMAP" else [
                (names[number], frame >= half)]
            if not (frame if kind == "LABELMAP" else shown[0][1]).any():
                continue
            place, where = _on_stack(file, parts, frame.shape, stack)
            for name, inside in shown:
                regions[name][place] |= inside[where] & (where[0] >= 0) & (where[1] >= 0)
        return regions


def _on_stack(file: Path, parts: list[Any], shape: tuple[int, ...], stack: DicomStack
              ) -> tuple[int, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """The slice that a frame lies in, and for each pixel of the slice the nearest row and column of the frame; -1
    beyond its border."""
    def value(name: str) -> Any:
        return next((part.get(name) for part in parts if part.get(name) not in (None, "")), None)

    position, rows, columns, (between_rows, between_columns) = place_of(file, value)
    number = slice_of(file, np.asarray([position]), np.cross(rows, columns), stack)
    distance = float(value("SpacingBetweenSlices") or 0)
    if len(stack.frames) > 1 and distance and abs(distance / stack.distance_mm - 1) > _SAME_DISTANCE:
        raise InputError(f"{file}: its slices lie {distance:.4g} mm apart, those of its images {stack.distance_mm:.4g}"
                         ". Resample it to the grid of the images")
    matrix = stack.matrix
    y, x = np.indices(stack.shape[1:])
    points = np.stack([x, y, np.full_like(x, number), np.ones_like(x)], -1) @ matrix[:3].T - position
    found = []
    for direction, width, size in ((columns, between_rows, shape[0]), (rows, between_columns, shape[1])):
        index = np.rint(points @ np.asarray(direction) / width).astype(np.int64)
        found.append(np.where((index >= 0) & (index < size), index, -1))
    if not ((found[0] >= 0) & (found[1] >= 0)).any():
        raise InputError(f"{file}: what is drawn lies beside its images. Export it on their grid")
    return number, (found[0], found[1])


def slice_of(file: Path, points: NDArray[np.float64], normal: NDArray[np.float64], stack: DicomStack) -> int:
    """The slice of a stack in whose plane all points (n, 3) lie. Raises InputError for none."""
    axis = stack.frames[0].normal
    if abs(abs(float(axis @ normal)) - 1) > _PARALLEL:
        raise InputError(f"{file}: what is drawn lies across the slices of its images. Resample it to their grid")
    places = (points - stack.frames[0].position_mm) @ axis / stack.distance_mm
    number = round(float(places.mean()))
    allowed = min(_IN_PLANE, _SINGLE_MM / stack.distance_mm) if len(stack.frames) == 1 else _IN_PLANE
    if np.abs(places - number).max() > allowed:
        raise InputError(f"{file}: what is drawn lies between two slices of its images, {places.mean():.3f} slices "
                         "from the first. Resample it to their grid")
    if not 0 <= number < len(stack.frames):
        raise InputError(f"{file}: what is drawn lies {places.mean():.3g} slices from the first of its images, which "
                         f"are {len(stack.frames)}. Export the whole series")
    return number
