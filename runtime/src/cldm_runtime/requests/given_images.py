"""Given images by row, and requests for samples that are drawn towards them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DatasetError, InputError, as_array
from ..store import Dataset, open_dataset
from .given_maps import mapped_array
from .like import Like
from .sources import RequestSource, SampleRequest

Values = NDArray[np.floating]
_ROOM = 1e-4  # of the value range: rounding of other programs


class GivenImageRows(Protocol):
    """Images by row: an array in memory, a dataset file, or a folder of pictures."""

    def __len__(self) -> int: ...

    def image(self, row: int) -> Values:
        """(C, *spatial)"""


@dataclass(frozen=True)
class ArrayImages:
    """(M, C, *spatial) images in memory, or memory-mapped from the file `source`."""

    images: NDArray[Any]
    source: Path | None = None

    def __reduce__(self) -> tuple[object, ...]:
        """Another process memory-maps the file itself."""
        return (ArrayImages, (self.images,)) if self.source is None else (
            npy_images, (self.source.absolute(), self.images.shape[1:]))

    def __len__(self) -> int:
        return len(self.images)

    def image(self, row: int) -> Values:
        return np.asarray(self.images[row], np.float32)


@dataclass(frozen=True)
class DatasetImages:
    """Images of a dataset file. chosen: (M,) their rows, ascending."""

    dataset: Dataset
    chosen: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.chosen)

    def image(self, row: int) -> Values:
        return self.dataset.images(int(self.chosen[row]))


@dataclass(frozen=True)
class ImageGrid:
    """What images of a bundle are: the shape (C, *spatial) of one, the width of its pixels, and its values."""

    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    value_range: tuple[float, float]

    @property
    def text(self) -> str:
        sizes, widths = (" x ".join(f"{value:g}" for value in values) for values in (self.shape[1:], self.spacing_mm))
        return f"{self.shape[0]} channel{'s' * (self.shape[0] > 1)} of {sizes} pixels of {widths} mm"


def array_images(images: ArrayLike, shape: tuple[int, ...], where: str) -> ArrayImages:
    """Images in memory: (M, C, *spatial), (C, *spatial) and, for one channel, (M, *spatial) or (*spatial). Raises
    InputError for another number of axes."""
    array = as_array(images, where)
    axes = len(shape)
    if shape[0] == 1 and (array.ndim == axes - 1 or (array.ndim == axes and array.shape[0] != 1)):
        array = np.expand_dims(array, array.ndim - axes + 1)
    if array.ndim not in (axes, axes + 1):
        raise InputError(f"{where}: found an array of shape {array.shape}, expected one image of shape {shape}, or "
                         f"several of shape (M, {', '.join(map(str, shape))}).")
    return ArrayImages(array if array.ndim > axes else array[None])


def npy_images(source: Path, shape: tuple[int, ...]) -> ArrayImages:
    """The images of a numpy file (.npy), as `array_images` takes them. Raises InputError."""
    array = mapped_array(source)
    if array.dtype.kind not in "biuf":
        raise InputError(f"{source}: holds {array.dtype}, expected numbers.")
    return ArrayImages(array_images(array, shape, str(source)).images, source)


def dataset_images(source: Path, grid: ImageGrid, subset: str = "") -> DatasetImages:
    """The images of a dataset file, or of a subset of it. Raises InputError for images of another grid."""
    try:
        dataset = open_dataset(source)
        if len(dataset.spacing_mm) != len(grid.spacing_mm) or not np.allclose(dataset.spacing_mm, grid.spacing_mm,
                                                                              rtol=0.01):
            raise InputError(f"{source}: pixels are {dataset.spacing_mm} mm, the bundle needs {grid.spacing_mm}. "
                             "Resample the images.")
        return DatasetImages(dataset, dataset.rows(subset or None))
    except DatasetError as error:
        raise InputError(f"file of images: {error}") from error


@dataclass(frozen=True)
class LikeRequests:
    """The requests of `source`, each with a given image: sample i is drawn towards image i modulo their number.

    sha256: of all images. step: the training step among the sampling steps that is nearest to `from_step`. At
    similarity 0, samples are those of `source`.
    """

    source: RequestSource
    images: GivenImageRows
    sha256: str
    similarity: float
    from_step: int
    step: int
    value_range: tuple[float, float]

    def request(self, seed: int, index: int) -> SampleRequest:
        request = self.source.request(seed, index)
        if self.similarity == 0:
            return request
        image = np.clip(self.images.image(index % len(self.images)), *self.value_range).astype(np.float32)
        return replace(request, like=Like(image, self.similarity, self.from_step))

    def identity(self) -> Mapping[str, str | int | float]:
        return {**self.source.identity(), "like_sha256": self.sha256, "like_images": len(self.images),
                "similarity": self.similarity, "from_step": self.from_step, "like_step": self.step}

    def notes(self) -> list[str]:
        moved = [f"from step {self.from_step}: images are mixed in at step {self.step}, the nearest sampling step."]
        return [*self.source.notes(), *moved * (self.step != self.from_step)]


def checked_images(rows: GivenImageRows, grid: ImageGrid, names: Sequence[str]) -> str:
    """Check every image, and return the digest of all. names: for messages, of each image or of all. Raises InputError
    for images of another shape or range."""
    if not len(rows):
        raise InputError(f"{names[0]}: holds no images.")
    low, high = grid.value_range
    digest, room = hashlib.sha256(), _ROOM * (high - low)
    for row in range(len(rows)):
        where = names[row] if len(names) > 1 else f"{names[0]}, image {row}" if len(rows) > 1 else names[0]
        image = rows.image(row)
        if image.shape != grid.shape:
            raise InputError(f"{where}: has the shape {image.shape}, expected {grid.shape}: {grid.text}. Resample it.")
        least, most = float(image.min()), float(image.max())
        if not (least >= low - room and most <= high + room):  # NaN fails too
            raise InputError(f"{where}: its values reach from {least:g} to {most:g}, expected {low:g} to {high:g}. "
                             "Scale them as the images that the bundle was trained on (cldm inspect), for example with "
                             "cldm prepare.")
        digest.update(np.ascontiguousarray(image, np.float32).tobytes())
    return digest.hexdigest()
