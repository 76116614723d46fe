"""Reads the arrays of image files, which are not trusted: the sizes in a header are checked before memory is allocated,
and a header that names another file is refused.

NIfTI is read by nibabel, MetaImage, NRRD, GIPL and pictures by SimpleITK; both come with the extra `scans`. Arrays of
one slice (.npy) are read by numpy, without pickle.
"""

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

NIFTI_ENDINGS = (".nii", ".nii.gz")
PICTURE_ENDINGS = (".png", ".bmp", ".tif", ".tiff")  # one slice, whose pixels are taken to be 1 mm wide
ARRAY_ENDING = ".npy"  # the same
OTHER_ENDINGS = (".mha", ".nrrd", ".gipl", *PICTURE_ENDINGS, ARRAY_ENDING)
INSTALL = "pip install 'cldm-runtime[scans]'"  # the extra of most packages
MOST_VOXELS = 2**26  # 640 x 640 x 163
SPACINGS_MM = (0.01, 1000.0)
THICKNESS_MM = 999.0  # of a single slice; nnU-Net's number for pictures
_SIZE_OF_NIFTI = {348: "Nifti1Image", 540: "Nifti2Image"}  # bytes of the header, its first number
_LARGEST_OFFSET = 2**20  # bytes of header and extensions before the voxels
_SAME_SIZE = 0.01  # relative
_DEFLATE_RATIO = 1100  # no stream of deflate unpacks to more than 1032 times its size
_TEXT_HEADER = 2**16  # bytes in which that of MetaImage or NRRD must end
_OTHER_FILE = re.compile(rb"^\s*(?:ElementDataFile\s*=(?![ \t]*LOCAL[ \t\r]*$)|data ?file\s*:)", re.I | re.M)
_SIZES = re.compile(rb"^\s*(?:DimSize\s*=|sizes\s*:)([ \t\d]*)", re.I | re.M)
_AXES = re.compile(rb"^\s*(?:NDims\s*=|dimension\s*:)\s*(\d+)\s*$", re.I | re.M)
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_LONGEST_LINE = 200  # bytes
_ENDS = {".mha": re.compile(rb"^\s*ElementDataFile\s*=", re.I | re.M), ".nrrd": re.compile(rb"\n\r?\n")}

Array = tuple[NDArray[Any], tuple[float, ...], NDArray[np.float64]]


@dataclass(frozen=True)
class Geometry:
    """The grid of a file in the order (z, y, x): `shape`, `spacing_mm`, and `directions` (3, 3), the unit vectors in
    space along these axes; None where the file does not say."""

    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    directions: NDArray[np.float64] | None


def imported(package: str, extra: str = "scans") -> Any:
    """A package of an extra. Raises InputError with the command that installs it."""
    try:
        return import_module(package)
    except ImportError as error:
        raise InputError(f"{package} is not installed; scans are read and written with it. Run: "
                         f"{INSTALL.replace('scans', extra)}.") from error


def read_array(file: Path) -> Array:
    """Array (z, y, x), spacing in mm in that order, and a matrix to compare geometries by.

    Raises InputError for a file that is damaged, larger than MOST_VOXELS, or not of real numbers on a sound grid.
    """
    with _reading(file):
        array, spacing, matrix = (_read_nifti(file) if file.name.endswith(NIFTI_ENDINGS) else
                                  _read_slice(file) if file.suffix == ARRAY_ENDING else _read_other(file))
        if array.dtype.kind not in "iufb":
            raise InputError(f"{file}: the voxels are {array.dtype}, expected numbers.")
        if len(spacing) != 3 or not all(SPACINGS_MM[0] <= value <= SPACINGS_MM[1] for value in spacing):
            raise InputError(f"{file}: the voxels are {spacing} mm wide, expected three numbers from "
                             f"{SPACINGS_MM[0]:g} to {SPACINGS_MM[1]:g}.")
        return array, spacing, matrix


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Turn any error of a third-party reader, which may raise any type for a damaged file, into InputError."""
    try:
        yield
    except InputError:
        raise
    except (Exception, RuntimeWarning) as error:
        reason = " ".join(str(error).split())[-300:]  # ITK's messages are pages long and end with the reason
        raise InputError(f"{file}: this file cannot be read, it is damaged or of another kind ({reason}).") from error


def read_geometry(file: Path) -> Geometry:
    """The grid of a file, without its voxels. Raises InputError as `read_array` does."""
    with _reading(file):
        if file.name.endswith(NIFTI_ENDINGS):
            return _nifti_geometry(file, _open_nifti(file))
        if file.suffix == ARRAY_ENDING:
            array, spacing, matrix = _read_slice(file)
            return Geometry(array.shape, spacing, _directions(matrix))
        _check_text_header(file)
        reader = imported("SimpleITK").ImageFileReader()
        reader.SetFileName(str(file))
        reader.ReadImageInformation()
        shape, spacing = tuple(reversed(reader.GetSize())), tuple(reversed(reader.GetSpacing()))
        if file.suffix.lower() in PICTURE_ENDINGS:
            shape, spacing, matrix = (1, *shape[-2:]), (THICKNESS_MM, 1.0, 1.0), np.eye(3)
        else:
            matrix = _matrix(reader)
        if len(shape) == 2:
            shape, spacing = (1, *shape), (THICKNESS_MM, *spacing)
        return Geometry(shape, spacing, _directions(matrix))


def _read_nifti(file: Path) -> Array:
    image = _open_nifti(file)
    geometry = _nifti_geometry(file, image)
    voxels = np.asanyarray(image.dataobj)
    return (voxels.transpose(range(voxels.ndim)[::-1]).reshape(geometry.shape), geometry.spacing_mm,
            np.asarray(image.affine, np.float64))


def _read_slice(file: Path) -> Array:
    """A .npy file of one slice (H, W), whose voxels stay on disk until they are used."""
    array = np.load(file, mmap_mode="r", allow_pickle=False)
    _check_claim(file, array.shape, array.dtype.itemsize, packed=False, axes=(2,))
    return array[None], (THICKNESS_MM, 1.0, 1.0), np.eye(3)


def _open_nifti(file: Path) -> Any:
    """The image, of which only the header is read yet and checked."""
    nibabel = imported("nibabel")
    with imported("nibabel.openers").ImageOpener(file) as stream:
        block = bytes(stream.read(max(_SIZE_OF_NIFTI)))
    size = next((size for size in _SIZE_OF_NIFTI for order in ("little", "big")
                 if int.from_bytes(block[:4], order) == size), 0)
    if not size:
        raise InputError(f"{file}: this file cannot be read as NIfTI, it does not begin with a header.")
    kind = getattr(nibabel, _SIZE_OF_NIFTI[size])
    header = kind.header_class(block[:size], check=False)  # a check would repair it
    shape, offset = header.get_data_shape(), header["vox_offset"]
    used = shape[:next((axis for axis in range(2, len(shape)) if all(size == 1 for size in shape[axis:])), len(shape))]
    _check_claim(file, used, header.get_data_dtype().itemsize, file.name.endswith(".gz"), axes=(2, 3))
    if not 0 <= offset <= _LARGEST_OFFSET:
        raise InputError(f"{file}: the voxels begin at byte {offset}, expected at most {_LARGEST_OFFSET}.")
    if not (np.abs(header["pixdim"][1:1 + min(len(shape), 3)]) > 0).all():  # nibabel would take 1 mm for 0
        raise InputError(f"{file}: the voxels are {header['pixdim'][1:4].tolist()} mm wide.")
    return kind.from_filename(file)


def _nifti_geometry(file: Path, image: Any) -> Geometry:
    """A slice of two axes becomes a stack of one; axes of length 1 beyond the third are left out."""
    spacing = [float(value) for value in image.header.get_zooms()[:3]]
    shape = [*image.shape[:3], *[1] * (3 - len(image.shape))]
    if len(spacing) == 2:
        spacing.append(THICKNESS_MM)
    _check_sizes(file, spacing[:len(image.shape)], np.asarray(image.affine, np.float64))
    known = int(image.header["qform_code"]) or int(image.header["sform_code"])
    directions = _directions(np.asarray(image.affine, np.float64)) if known else None
    return Geometry(tuple(reversed(shape)), tuple(reversed(spacing)), directions)


def _check_sizes(file: Path, spacing: Sequence[float], affine: NDArray[np.float64]) -> None:
    """Raise InputError where the two places of a header that say how wide a voxel is disagree."""
    widths = np.linalg.norm(affine[:3, :len(spacing)], axis=0)
    if not np.allclose(widths, spacing, rtol=_SAME_SIZE):
        pixdim, sform = (" x ".join(f"{value:g}" for value in sizes) for sizes in (spacing, widths))
        raise InputError(f"{file}: its header says twice how wide a voxel is: {pixdim} mm (x, y, z) in pixdim, {sform} "
                         "mm in the affine (sform). Save it with one size: nibabel writes both from the affine of "
                         "Nifti1Image(voxels, affine).")


def _directions(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 3): the unit vectors in space along the axes (z, y, x) of an array; `matrix` is `read_array`'s. Where one has
    no length, those of the array."""
    rank = len(matrix) - 1
    columns = np.eye(3)
    columns[:rank, :rank] = matrix[:rank, :rank]
    lengths = np.linalg.norm(columns, axis=0)
    return (columns / lengths).T[::-1] if np.isfinite(lengths).all() and (lengths > 0).all() else np.eye(3)[::-1]


def _check_claim(file: Path, shape: Sequence[int], itemsize: int, packed: bool, axes: tuple[int, ...] = (3,)) -> None:
    """Raise InputError for a wrong number of axes, too many voxels, and more voxels than the file can hold."""
    if len(shape) not in axes:
        raise InputError(f"{file}: expected {' or '.join(map(str, axes))} axes, found {len(shape)}.")
    voxels, file_bytes = math.prod(shape), file.stat().st_size
    if min(shape) < 1 or voxels > MOST_VOXELS:
        raise InputError(f"{file}: claims {'x'.join(map(str, shape))} voxels, expected 1 to {MOST_VOXELS}.")
    if voxels * itemsize > file_bytes * (_DEFLATE_RATIO if packed else 1):
        raise InputError(f"{file}: claims {'x'.join(map(str, shape))} voxels, but has only {file_bytes} bytes: it is "
                         "truncated or damaged.")


def _read_other(file: Path) -> Array:
    """A file that SimpleITK reads. A picture, or an image of two axes, becomes a stack of one slice."""
    ending = file.suffix.lower()
    if ending not in OTHER_ENDINGS:
        raise InputError(f"{file}: files that end with {ending} are not read. Save it as .nii.gz or as one of "
                         f"{', '.join(OTHER_ENDINGS)}.")
    _check_text_header(file)
    itk = imported("SimpleITK")
    reader = itk.ImageFileReader()
    reader.SetFileName(str(file))
    reader.ReadImageInformation()
    _check_claim(file, reader.GetSize(), 1, packed=True, axes=(2,) if ending in PICTURE_ENDINGS else (2, 3))
    image = reader.Execute()
    array = _one_channel(file, itk.GetArrayFromImage(image), reader.GetNumberOfComponents())
    if ending in PICTURE_ENDINGS:
        return array[None], (THICKNESS_MM, 1.0, 1.0), np.eye(3)
    spacing, matrix = tuple(reversed(image.GetSpacing())), _matrix(image)
    return (array, spacing, matrix) if array.ndim == 3 else (array[None], (THICKNESS_MM, *spacing), matrix)


def _one_channel(file: Path, array: NDArray[Any], components: int) -> NDArray[Any]:
    """The array without its axis of colours, which must be equal: readers turn palettes into colours. Raises
    InputError."""
    if components == 1:
        return array
    if not (array[..., :3] == array[..., :1]).all():
        raise InputError(f"{file}: is in colour, expected one number a pixel. Save each channel as a grey picture.")
    return array[..., 0]


def _check_text_header(file: Path) -> None:
    """Raise InputError for a MetaImage or NRRD that keeps its voxels in another file, claims too many voxels, or has a
    header that no program writes: some of those crash ITK, and the process with it.
    """
    ending = file.suffix.lower()
    if ending not in _ENDS:
        return
    with file.open("rb") as stream:
        end = _ENDS[ending].search(head := stream.read(_TEXT_HEADER))
    lines = head[:end.end()].split(b"\n") if end else []
    if not lines or any(len(line) > _LONGEST_LINE or _CONTROL.search(line) for line in lines):
        raise InputError(f"{file}: does not begin with a header of short lines of text. It is damaged or of another "
                         "kind.")
    if _OTHER_FILE.search(head):
        raise InputError(f"{file}: keeps its voxels in another file. Save it as one file.")
    if [int(number[:9]) for number in _AXES.findall(head)] not in ([2], [3]):
        raise InputError(f"{file}: expected one line that says 2 or 3 axes.")
    for sizes in _SIZES.findall(head):
        if math.prod(int(number[:12]) for number in sizes.split()[:16]) > MOST_VOXELS:
            raise InputError(f"{file}: claims {sizes[:100].decode()} voxels, expected at most {MOST_VOXELS}.")


def _matrix(image: Any) -> NDArray[np.float64]:
    """(rank + 1, rank + 1) from voxel numbers (x, y, z) to mm."""
    rank = image.GetDimension()
    matrix = np.eye(rank + 1)
    matrix[:rank, :rank] = np.reshape(image.GetDirection(), (rank, rank)) * np.asarray(image.GetSpacing())
    matrix[:rank, rank] = image.GetOrigin()
    return matrix

