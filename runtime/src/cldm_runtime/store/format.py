"""Names, types and meaning of everything in a dataset file."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import h5py
import numpy as np
from numpy.typing import NDArray

from ..domains.domain import Domain
from ..errors import DatasetError, checked_kind

FORMAT = "cldm-dataset"
FORMAT_VERSION = 1
TEXT_BYTES = 32  # of /patients and /subset, UTF-8
TEXT = h5py.string_dtype("utf-8", TEXT_BYTES)
STORED_MAX = 65535  # images are stored as uint16
CHUNK_BYTES = 256 * 1024
_CHUNK_ROWS = 1024  # at most
DERIVED_FROM = "derived_from"  # attribute: the text of a `Derivation`, of a cohort or of a segmentation
RESERVED = ("format", "format_version", "complete", "domain", "declared_domain")

MetadataValue = str | int | float


@dataclass(frozen=True)
class Column:
    """One dataset in the file. All datasets have N rows; `trailing` is the kind of each row."""

    path: str
    dtype: str
    # "image", "mask", "maps", "region", "channels", "attributes", "imaging", "place", "scores"; "": one number
    trailing: str
    compress: bool = True


COLUMNS = {
    "images": Column("images", "u2", "image", compress=False),
    "masks": Column("masks", "u1", "mask"),
    "annotations": Column("annotations", "u1", "mask"),
    "requested": Column("attributes/requested", "f4", "attributes"),
    "mask_attributes": Column("attributes/mask", "f4", "attributes"),
    "mask_reasons": Column("attributes/mask_reasons", "u1", "attributes"),
    "image_requested": Column("attributes/image_requested", "f4", "imaging"),
    "image_attributes": Column("attributes/image", "f4", "imaging"),
    "image_reasons": Column("attributes/image_reasons", "u1", "imaging"),
    "place_requested": Column("attributes/place_requested", "f4", "place"),
    "place": Column("attributes/place", "f4", "place"),
    "place_reasons": Column("attributes/place_reasons", "u1", "place"),
    "grid_row": Column("grid_row", "i8", ""),
    "sample_index": Column("sample_index", "i8", ""),
    "condition": Column("condition", "i8", ""),
    "draws": Column("draws", "i4", ""),
    "tries": Column("tries", "i4", ""),
    "pair": Column("pair", "i8", ""),
    "given_row": Column("given_row", "i8", ""),
    "painted": Column("painted", "u1", "region"),
    "checksum": Column("checksum", "u4", ""),
    "patients": Column("patients", f"S{TEXT_BYTES}", ""),
    "slices": Column("slices", "i4", ""),
    "subset": Column("subset", f"S{TEXT_BYTES}", ""),
}
SEGMENTATION_COLUMNS = {
    "masks": Column("masks", "u1", "mask"),
    "attributes": Column("attributes", "f4", "attributes"),
    "attribute_reasons": Column("attribute_reasons", "u1", "attributes"),
    "image_attributes": Column("image_attributes", "f4", "imaging"),
    "image_attribute_reasons": Column("image_attribute_reasons", "u1", "imaging"),
    "place": Column("place", "f4", "place"),
    "place_reasons": Column("place_reasons", "u1", "place"),
    "scores": Column("scores", "f4", "scores"),
    "score_reasons": Column("score_reasons", "u1", "scores"),
    "variance": Column("variance", "f2", "channels"),
    "sample_dice": Column("sample_dice", "f4", "scores"),
    "samples": Column("samples", "u1", "maps"),
}


@dataclass(frozen=True)
class DatasetSpec:
    """The properties that all samples of a file share.

    shape: (height, width), or (depth, height, width). spacing_mm: mm between pixels, one for each axis of `shape`.
    intensity_range: least and greatest intensity that can be stored; 65536 even steps lie between them.
    metadata: further root attributes (text or numbers). checksums: write one for each sample, see `check.py`; images,
    label maps and sample indices are then appended together. compress_images: for images that are no scans, such as
    channels of label maps; noise does not compress.
    """

    domain: Domain
    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    channels: int = 1
    intensity_range: tuple[float, float] = (0.0, 1.0)
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)
    checksums: bool = False
    compress_images: bool = False

    def __post_init__(self) -> None:
        check_metadata(self.metadata, RESERVED)
        checked_kind(self.domain, Domain, "DatasetSpec: domain")
        if len(self.shape) != len(self.spacing_mm):
            raise DatasetError(f"shape {self.shape} needs one spacing_mm for each axis, found {self.spacing_mm}.")
        if not all(isinstance(size, int | np.integer) and size > 0 for size in (*self.shape, self.channels)):
            raise DatasetError(f"shape {self.shape}, channels {self.channels}: expected integers of 1 or more.")
        if not all(0 < length < math.inf for length in self.spacing_mm):
            raise DatasetError(f"spacing_mm {self.spacing_mm}: expected numbers above 0.")
        low, high = self.intensity_range
        if not -math.inf < low < high < math.inf:
            raise DatasetError(f"intensity_range {self.intensity_range}: expected the least and greatest intensity.")


def check_metadata(metadata: Mapping[str, object], reserved: Sequence[str] = ()) -> None:
    """Raise DatasetError for names that are reserved or empty, and for values other than text and numbers."""
    clash = sorted(set(metadata) & set(reserved))
    if clash:
        raise DatasetError(f"metadata must not set {', '.join(clash)}: the format defines them.")
    for name, value in metadata.items():
        if not isinstance(name, str) or not name or "\0" in name or not _is_storable(value):
            raise DatasetError(f"metadata: {name!r} is {str(value)[:80]!r} ({type(value).__name__}). Expected a name, "
                               "and a text, a number or an integer of 64 bits; write lists and objects as JSON.")


def _is_storable(value: object) -> bool:
    if isinstance(value, str):
        return "\0" not in value and value.encode(errors="replace").decode() == value
    if isinstance(value, int | np.integer):
        return -2**63 <= int(value) < 2**63
    return isinstance(value, float | np.floating | np.bool_)


def chunk_rows(row_bytes: int) -> int:
    """Rows in one chunk of a column whose rows have `row_bytes` bytes."""
    return min(_CHUNK_ROWS, max(1, CHUNK_BYTES // max(1, row_bytes)))


def chunk_shape(column: Column, trailing: tuple[int, ...]) -> tuple[int, ...]:
    """Of a column whose rows have the shape `trailing`: some rows, or one of the maps of a row."""
    if column.trailing == "maps":
        return (1, 1, *trailing[1:])
    return (chunk_rows(math.prod(trailing) * np.dtype(column.dtype).itemsize), *trailing)


def encode_images(images: NDArray[np.floating], low: float, high: float) -> NDArray[np.uint16]:
    """Intensities in [low, high] to stored integers. Raises DatasetError for NaN or a value outside."""
    values = np.asarray(images, dtype=np.float64)
    tolerance = 1e-6 * (high - low)
    if values.size and not (values.min() >= low - tolerance and values.max() <= high + tolerance):  # NaN fails too
        raise DatasetError(f"image intensities reach from {values.min()} to {values.max()}, the file stores {low} to "
                           f"{high}. Normalise the images first.")
    scaled = np.rint((values - low) * (STORED_MAX / (high - low)))
    return np.clip(scaled, 0, STORED_MAX).astype(np.uint16)


def stored_values(images: NDArray[np.floating], low: float, high: float) -> NDArray[np.float32]:
    """Intensities as a file gives them back: rounded to one of the steps between low and high."""
    steps = encode_images(images, low, high).astype(np.float64)
    return (steps * ((high - low) / STORED_MAX) + low).astype(np.float32)


def encode_text(values: NDArray[np.generic] | list[str], name: str) -> NDArray[np.bytes_]:
    """Strings to fixed-length UTF-8. Raises DatasetError if one does not fit or would not read back the same."""
    try:
        encoded = [value if isinstance(value, bytes) else str(value).encode() for value in values]
        bad = sorted({value.decode() for value in encoded if len(value) > TEXT_BYTES or b"\0" in value})
    except UnicodeError as error:
        raise DatasetError(f"/{name}: cannot be stored as UTF-8 ({error}).") from error
    if None in list(values):
        raise DatasetError(f"/{name}: holds None, expected a text for each row.")
    if bad:
        raise DatasetError(f"/{name}: {bad[:5]} cannot be stored: at most {TEXT_BYTES} bytes of UTF-8 without NUL.")
    return np.array(encoded, dtype=TEXT)
