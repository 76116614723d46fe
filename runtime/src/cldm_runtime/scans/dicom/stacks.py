"""Series as volumes: the frames of one kind and one direction, in the order in which they lie.

The order and the distance of slices come from their positions. Instance numbers may run either way, and Slice Thickness
leaves out the gaps between slices.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ..volume_files import MOST_VOXELS, THICKNESS_MM, Array, Geometry
from .files import read_frames
from .frames import DicomFrame

_SAME_PLACE_MM = 0.01
_EVEN = 0.02  # of the distance of slices, how far one may lie from its place
_SAME_DIRECTION = 1e-3
_TO_RIGHT_AND_FRONT = np.diag([-1.0, -1.0, 1.0, 1.0])  # from DICOM's axes to those of NIfTI
_MOST_NAMED = 3


@dataclass(frozen=True)
class DicomStack:
    """The frames of a volume, from the first slice to the last; `distance_mm` between slices."""

    frames: tuple[DicomFrame, ...]
    distance_mm: float

    @property
    def kind(self) -> str:
        return self.frames[0].kind

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys(frame.file for frame in self.frames))

    @property
    def shape(self) -> tuple[int, int, int]:
        return (len(self.frames), *self.frames[0].shape)

    @property
    def matrix(self) -> NDArray[np.float64]:
        """(4, 4) from numbers of column, row and slice to mm in DICOM's axes."""
        first, matrix = self.frames[0], np.eye(4)
        matrix[:3, 0] = np.multiply(first.rows, first.pixel_mm[1])
        matrix[:3, 1] = np.multiply(first.columns, first.pixel_mm[0])
        matrix[:3, 2] = first.normal * self.distance_mm
        matrix[:3, 3] = first.position_mm
        return matrix

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        return (self.distance_mm, *self.frames[0].pixel_mm)

    def same_grid(self, other: "DicomStack") -> bool:
        return self.shape == other.shape and np.allclose(self.matrix, other.matrix, atol=_SAME_PLACE_MM)


@dataclass
class StackOrFault:
    """What a group of frames gives: a stack, or why it gives none. instances: of the files of the frames."""

    frames: list[DicomFrame]
    stack: DicomStack | None = None
    fault: str = ""
    instances: set[str] = field(default_factory=set)


def stacks_of(frames: Sequence[DicomFrame]) -> list[StackOrFault]:
    """The volumes of a series: frames that differ in kind, direction or grid belong to different ones."""
    groups: list[list[DicomFrame]] = []
    for frame in frames:
        group = next((group for group in groups if _belong_together(group[0], frame)), None)
        if group is None:
            groups.append([frame])
        else:
            group.append(frame)
    return [_stack(group) for group in groups]


def _belong_together(first: DicomFrame, frame: DicomFrame) -> bool:
    return (first.kind == frame.kind and first.shape == frame.shape
            and np.allclose((*first.rows, *first.columns), (*frame.rows, *frame.columns), atol=_SAME_DIRECTION)
            and np.allclose(first.pixel_mm, frame.pixel_mm, rtol=1e-3))


def _stack(frames: list[DicomFrame]) -> StackOrFault:
    result = StackOrFault(frames, instances={frame.instance for frame in frames})
    try:
        result.stack = _in_order(frames)
    except InputError as error:
        result.fault = str(error)
    return result


def _in_order(frames: Sequence[DicomFrame]) -> DicomStack:
    """Raises InputError for frames at one place, missing slices, and slices that are shifted against each other."""
    normal = frames[0].normal
    frames = sorted(frames, key=lambda frame: float(normal @ frame.position_mm))
    places = np.array([normal @ frame.position_mm for frame in frames])
    steps = np.diff(places)
    if (steps < _SAME_PLACE_MM).any():
        raise InputError(_repeated(frames, places))
    if len(frames) == 1:
        return DicomStack(tuple(frames), frames[0].thickness_mm or THICKNESS_MM)
    step = _common(steps)
    if (uneven := np.abs(steps - step) > max(_EVEN * step, _SAME_PLACE_MM)).any():
        raise InputError(_gaps(places, steps, step, np.flatnonzero(uneven)))
    positions = np.array([frame.position_mm for frame in frames])
    across = positions - positions[0] - np.outer(places - places[0], normal)
    if (shift := float(np.abs(across).max())) > min(frames[0].pixel_mm) / 2:
        raise InputError(f"its slices are shifted against each other by up to {shift:.3g} mm, so they are no volume. "
                         "Resample it to straight slices")
    if len(frames) * frames[0].shape[0] * frames[0].shape[1] > MOST_VOXELS:
        raise InputError(f"has {len(frames)} slices of {frames[0].shape}, expected at most {MOST_VOXELS} voxels")
    return DicomStack(tuple(frames), float((places[-1] - places[0]) / (len(frames) - 1)))


def _common(steps: NDArray[np.float64]) -> float:
    """The distance that most neighbours have; the smaller one of equally frequent ones."""
    rounded, counts = np.unique(np.round(steps, 1), return_counts=True)
    return float(np.median(steps[np.round(steps, 1) == rounded[counts.argmax()]]))


def _repeated(frames: Sequence[DicomFrame], places: NDArray[np.float64]) -> str:
    """Which places are there several times, and what tells the first two frames of one apart."""
    again = np.flatnonzero(np.diff(places) < _SAME_PLACE_MM)
    first, second = frames[again[0]], frames[again[0] + 1]
    one, other = dict(first.telling), dict(second.telling)
    differ = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    plain = [name for name in differ if name != "InstanceNumber"]
    said = f"differ in {', '.join(plain)}" if plain else "do not say how they differ"
    pair = (f"{first.file.name} and {second.file.name}" if first.file != second.file else
            f"frames {first.number + 1} and {second.number + 1} of {first.file.name}")
    return (f"{len(frames)} images lie at {len(frames) - len(again)} places; {pair} lie at one place and {said}. Keep "
            "one image of each place: move the other phase, echo or reconstruction out of the folder")


def _gaps(places: NDArray[np.float64], steps: NDArray[np.float64], step: float, uneven: NDArray[np.int64]) -> str:
    """Which slices do not follow each other evenly, and how many seem to be missing."""
    named = "; ".join(f"from {places[at] - places[0]:.4g} to {places[at + 1] - places[0]:.4g} mm"
                      for at in uneven[:_MOST_NAMED])
    missing = np.rint(steps[uneven] / step) - 1
    whole = np.abs(steps[uneven] - (missing + 1) * step) <= max(_EVEN * step, _SAME_PLACE_MM)
    why = (f"{int(missing.sum())} slice(s) are missing. Export the whole series" if whole.all() else
           "it has no even distance. Export one stack of even slices")
    more = f" and {len(uneven) - _MOST_NAMED} more" if len(uneven) > _MOST_NAMED else ""
    return f"its slices lie {step:.4g} mm apart, but there is a gap {named}{more} (from the first slice): {why}"


def stack_geometry(stack: DicomStack) -> Geometry:
    """The grid in the order (z, y, x), with directions in NIfTI's axes."""
    matrix = _TO_RIGHT_AND_FRONT @ stack.matrix
    directions = (matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)).T[::-1]
    return Geometry(stack.shape, stack.spacing_mm, directions)


def stack_affine(stack: DicomStack) -> NDArray[np.float64]:
    """(4, 4) from numbers of column, row and slice to mm in NIfTI's axes."""
    return np.asarray(_TO_RIGHT_AND_FRONT @ stack.matrix)


def read_stack(stack: DicomStack) -> Array:
    """Rescaled values (z, y, x), spacing in mm in that order, and the affine. Raises InputError."""
    voxels = np.empty(stack.shape, np.float32)
    for file in stack.files:
        stored = read_frames(file)
        for place, frame in enumerate(stack.frames):
            if frame.file != file:
                continue
            if frame.number >= len(stored) or stored[frame.number].shape != frame.shape:
                raise InputError(f"{file}: its pixels are {stored.shape}, its header says otherwise. Export it again.")
            voxels[place] = stored[frame.number].astype(np.float64) * frame.slope + frame.intercept
    return voxels, stack.spacing_mm, stack_affine(stack)
