"""Where an array of a case comes from: one file, or the DICOM files of a series or of what was drawn on it."""

from pathlib import Path

from . import volume_files
from .dicom.masks import DicomMask, read_mask
from .dicom.stacks import DicomStack, read_stack, stack_geometry
from .volume_files import Array, Geometry

ArraySource = Path | DicomStack | DicomMask


def files_of(source: ArraySource) -> tuple[Path, ...]:
    return (source,) if isinstance(source, Path) else source.files


def read_array(source: ArraySource) -> Array:
    """Array (z, y, x), spacing in mm in that order, and a matrix to compare geometries by. Raises InputError."""
    if isinstance(source, Path):
        return volume_files.read_array(source)
    return read_mask(source) if isinstance(source, DicomMask) else read_stack(source)


def read_geometry(source: ArraySource) -> Geometry:
    """The grid of a source, without its voxels. Raises InputError."""
    if isinstance(source, Path):
        return volume_files.read_geometry(source)
    return stack_geometry(source.stack if isinstance(source, DicomMask) else source)
