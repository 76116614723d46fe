"""Opens DICOM files, which are not trusted. No text of a header gets into a message: headers name patients."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ..volume_files import MOST_VOXELS, imported

EXTRA = "dicom"
_MARK_AT, _MARK = 128, b"DICM"
_DEFLATED = "1.2.840.10008.1.2.1.99"
# Programs that were tried on each kind of compression.
_JPEG = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70")
_UNPACK_JPEG = ("Unpack each file with `dcmdjpeg IN OUT` (of dcmtk), or install what unpacks it here: pip install "
                "pylibjpeg pylibjpeg-libjpeg")
_UNPACK = ("Unpack each file with `gdcmconv --raw IN OUT` (of GDCM). Where that fails too, the file is damaged or of a "
           "newer kind: export the series again without compression.")
_LARGEST_HEADER = 2**20  # bytes of one element that is read with the header; longer ones wait until they are used


def package(name: str) -> Any:
    """pydicom, highdicom or a module of theirs. Raises InputError with the command that installs the extra."""
    return imported(name, EXTRA)


def is_dicom(file: Path) -> bool:
    """Whether a file has the mark of DICOM files at byte 128. Files without one (before 2000) are passed over, and
    so is what is no file: a named pipe would wait for ever."""
    try:
        if not file.is_file():
            return False
        with file.open("rb") as stream:
            stream.seek(_MARK_AT)
            return stream.read(len(_MARK)) == _MARK
    except OSError:
        return False


@contextmanager
def opened(file: Path) -> Iterator[None]:
    """Turn any error of pydicom into InputError, without its text, which may quote the header; and be silent about what
    it could repair."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{file}: this DICOM file cannot be read, it is damaged or not as the standard says "
                         f"({type(error).__name__}). Export it again, or check it with dciodvfy.") from None


def read_header(file: Path, tags: Sequence[str] | None = None) -> Any:
    """The data set of a file without its pixels; of `tags` alone where they are given. Raises InputError."""
    with opened(file):
        pydicom = package("pydicom")
        if str(pydicom.filereader.read_file_meta_info(file).get("TransferSyntaxUID", "")) == _DEFLATED:
            raise InputError(f"{file}: its data set is deflated, which is not read. Write it again with dcmconv +te.")
        return pydicom.dcmread(file, stop_before_pixels=True, specific_tags=None if tags is None else list(tags),
                               defer_size=_LARGEST_HEADER)


def read_frames(file: Path) -> NDArray[Any]:
    """(frames, rows, columns) stored values of all frames of a file. Raises InputError."""
    with opened(file):
        data = package("pydicom").dcmread(file)
        shape = tuple(int(data.get(name) or 1) for name in ("NumberOfFrames", "Rows", "Columns"))
        if min(shape) < 1 or int(np.prod(shape, dtype=object)) > MOST_VOXELS:
            raise InputError(f"{file}: claims {'x'.join(map(str, shape))} pixels, expected 1 to {MOST_VOXELS}.")
        if int(data.get("SamplesPerPixel") or 1) != 1 or data.get("PhotometricInterpretation") == "MONOCHROME1":
            raise InputError(f"{file}: is in colour, or shows large values as dark; expected one number a pixel, "
                             "MONOCHROME2. Export the series as it was scanned.")
        syntax = data.file_meta.TransferSyntaxUID
        try:
            pixels = np.asarray(data.pixel_array)
        except (NotImplementedError, RuntimeError) as error:
            if not syntax.is_compressed:
                raise
            raise InputError(f"{file}: its pixels are compressed ({syntax.name}) and cannot be unpacked here. "
                             f"{_UNPACK_JPEG if syntax in _JPEG else _UNPACK}") from error
        return pixels.reshape(shape)
