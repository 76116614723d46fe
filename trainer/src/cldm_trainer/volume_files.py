"""Reads the arrays of image files, which may come from strangers: what a header claims is checked before any room is
made for it, and a header that names another file is refused.
"""

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import nibabel
import numpy as np
from nibabel.openers import ImageOpener
from numpy.typing import NDArray

from cldm_runtime.errors import InputError

NIFTI_ENDINGS = (".nii", ".nii.gz")
MOST_VOXELS = 2**26  # 640 x 640 x 163
SPACINGS_MM = (0.01, 1000.0)  # nnU-Net gives pictures slices of 999 mm
_KINDS = {348: nibabel.Nifti1Image, 540: nibabel.Nifti2Image}  # by the size of the header, which it begins with
_LARGEST_OFFSET = 2**20  # bytes of header and extensions before the voxels
_DEFLATE_RATIO = 1100  # no stream of deflate unpacks to more than 1032 times its size
_TEXT_HEADER = 2**16  # bytes in which that of MetaImage or NRRD ends
_OTHER_FILE = re.compile(rb"^\s*(?:ElementDataFile\s*=\s*(?!LOCAL\s*$)|data ?file\s*:)", re.I | re.M)
_SIZES = re.compile(rb"^\s*(?:DimSize\s*=|sizes\s*:)([ \t\d]*)", re.I | re.M)

Array = tuple[NDArray[np.floating], tuple[float, ...], NDArray[np.float64]]


def read_array(file: Path) -> Array:
    """Array (z, y, x), spacing in mm in that order, and a matrix to compare geometries by.

    Raises InputError for a file that is damaged, larger than MOST_VOXELS, or not of real numbers on a sound grid.
    """
    with _reading(file):
        array, spacing, matrix = _read_nifti(file) if file.name.endswith(NIFTI_ENDINGS) else _read_other(file)
        if array.dtype.kind not in "iufb":
            raise InputError(f"{file}: the voxels are {array.dtype}, expected numbers.")
        if len(spacing) != 3 or not all(SPACINGS_MM[0] <= value <= SPACINGS_MM[1] for value in spacing):
            raise InputError(f"{file}: the voxels are {spacing} mm wide, expected three numbers from "
                             f"{SPACINGS_MM[0]:g} to {SPACINGS_MM[1]:g}.")
        return array, spacing, matrix


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Readers of other people report a damaged file by whatever error it leads them to; here it becomes one."""
    try:
        yield
    except InputError:
        raise
    except (Exception, RuntimeWarning) as error:
        raise InputError(f"{file}: this file cannot be read, it is damaged or of another kind ({error}).") from error


def _read_nifti(file: Path) -> Array:
    with ImageOpener(file) as stream:
        block = bytes(stream.read(max(_KINDS)))
    size = next((size for size in _KINDS for order in ("little", "big") if int.from_bytes(block[:4], order) == size), 0)
    if not size:
        raise InputError(f"{file}: this file cannot be read as NIfTI, it does not begin with a header.")
    kind = _KINDS[size]
    header = kind.header_class(block[:size], check=False)  # a check would mend it
    shape, offset = header.get_data_shape(), header["vox_offset"]
    _check_claim(file, shape, header.get_data_dtype().itemsize)
    if not 0 <= offset <= _LARGEST_OFFSET:
        raise InputError(f"{file}: the voxels begin at byte {offset}, expected at most {_LARGEST_OFFSET}.")
    if not (np.abs(header["pixdim"][1:4]) > 0).all():  # nibabel would take 1 mm for 0
        raise InputError(f"{file}: the voxels are {header['pixdim'][1:4].tolist()} mm wide.")
    image = kind.from_filename(file)
    spacing = tuple(float(value) for value in reversed(image.header.get_zooms()[:3]))
    return np.asanyarray(image.dataobj).transpose(2, 1, 0), spacing, np.asarray(image.affine, np.float64)


def _check_claim(file: Path, shape: Sequence[int], itemsize: int) -> None:
    """Raise InputError for a volume that is none, is too large, or cannot be in a file of this size."""
    if len(shape) != 3:
        raise InputError(f"{file}: expected a volume of three axes, found {len(shape)}.")
    voxels, held = math.prod(shape), file.stat().st_size
    if min(shape) < 1 or voxels > MOST_VOXELS:
        raise InputError(f"{file}: claims {'x'.join(map(str, shape))} voxels, expected 1 to {MOST_VOXELS}.")
    if voxels * itemsize > held * (_DEFLATE_RATIO if file.name.endswith(".gz") else 1):
        raise InputError(f"{file}: claims {'x'.join(map(str, shape))} voxels, but has only {held} bytes: it is "
                         "truncated or damaged.")


def _read_other(file: Path) -> Array:
    from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_file_ending

    with file.open("rb") as stream:
        head = stream.read(_TEXT_HEADER)
    if file.suffix in (".mha", ".nrrd"):
        if _OTHER_FILE.search(head):
            raise InputError(f"{file}: keeps its voxels in another file. Save it as one file.")
        for sizes in _SIZES.findall(head):
            if math.prod(int(number[:12]) for number in sizes.split()[:16]) > MOST_VOXELS:
                raise InputError(f"{file}: claims {sizes[:100].decode()} voxels, expected at most {MOST_VOXELS}.")
    reader = determine_reader_writer_from_file_ending(file.suffix, None, verbose=False)()
    array, properties = reader.read_images([str(file)])
    spacing = tuple(float(value) for value in properties["spacing"])
    return array[0], spacing, np.diag([*spacing, 1.0])
