"""Given images, and label maps, from files: a dataset, an array, a picture or scan of one image, a folder of these."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..bundle.bundle import Bundle
from ..bundle.manifest import ImageSpec
from ..diffusion.interpolation import nearest_place
from ..diffusion.schedule import StepTable
from ..errors import InputError, checked_number
from ..files.user_files import list_folder
from ..requests.canvas import Canvas
from ..requests.given_images import (
    GivenImageRows,
    ImageGrid,
    LikeRequests,
    Values,
    array_images,
    checked_images,
    dataset_images,
    npy_images,
)
from ..requests.given_maps import ArrayMasks
from ..requests.sources import MaskRequests, RequestSource, mask_requests
from ..scans.volume_files import ARRAY_ENDING, NIFTI_ENDINGS, OTHER_ENDINGS, PICTURE_ENDINGS, read_array
from .likeness import check_encoder

_FILE_ENDINGS = (*NIFTI_ENDINGS, *(ending for ending in OTHER_ENDINGS if ending != ARRAY_ENDING))
_SAME_SPACING = 0.01  # relative
_NAMED = 5  # of the names of files in a message
SHARE = 0.24  # of the training steps: the paper's 240 of 1000
SIMILARITY = 0.5
GivenImages = str | os.PathLike[str] | ArrayLike  # a path, or an array in memory


@dataclass(frozen=True)
class FileImages:
    """One image a file. Rows and columns are taken as they are stored, whatever a header says of space."""

    files: tuple[Path, ...]
    grid: ImageGrid

    def __reduce__(self) -> tuple[object, ...]:
        """Another process may have another current folder."""
        return FileImages, (tuple(file.absolute() for file in self.files), self.grid)

    def __len__(self) -> int:
        return len(self.files)

    def image(self, row: int) -> Values:
        return _in_range(read_one(self.files[row], self.grid.spacing_mm), self.grid.value_range)[None]


def read_one(file: Path, spacing_mm: tuple[float, ...]) -> NDArray[Any]:
    """The only image of a file, with pixels of that size, which pictures do not state. Raises InputError."""
    array: NDArray[Any]
    array, found, _ = read_array(file)
    found, axes = found[-len(spacing_mm):], len(spacing_mm)
    if not (file.name.lower().endswith(PICTURE_ENDINGS) or np.allclose(found, spacing_mm, rtol=_SAME_SPACING)):
        raise InputError(f"{file}: its pixels are {found} mm, the bundle needs {spacing_mm}. Resample it, for example "
                         "with cldm prepare.")
    if axes == 3:
        return array
    if len(array) > 1:
        raise InputError(f"{file}: holds {len(array)} slices, expected one. Save each slice in a file of its own, or "
                         "make a dataset of the scans with cldm prepare.")
    only: NDArray[Any] = array[0]
    return only


def _in_range(values: NDArray[Any], value_range: tuple[float, float]) -> Values:
    """Values of pixels. Integers of 8 and 16 bits without sign, as pictures have, fill the whole value range."""
    if values.dtype not in (np.uint8, np.uint16):
        return values.astype(np.float32)
    low, high = value_range
    return (low + values * ((high - low) / np.iinfo(values.dtype).max)).astype(np.float32)


def image_files(source: Path) -> tuple[Path, ...]:
    """A file, or the files of a folder that can hold an image, by name. Raises InputError for none."""
    if not source.is_dir():
        if not source.is_file():
            raise InputError(f"{source}: there is no such file. Give a dataset (.h5), an array (.npy), a picture, a "
                             "scan of one image, or a folder of these.")
        return (source,)
    files = tuple(file for file in list_folder(source) if file.name.lower().endswith(_FILE_ENDINGS))
    if not files:
        raise InputError(f"{source}: the folder has no file that ends with one of {', '.join(_FILE_ENDINGS)}.")
    return files


def given_images(source: GivenImages, image: ImageSpec, subset: str = "") -> tuple[GivenImageRows, str]:
    """The images of a file, a folder or an array, all of them checked, and their digest. subset: of a dataset. Raises
    InputError for what cannot be read, and for images of another size or range."""
    grid = ImageGrid((image.channels, *image.shape), image.spacing_mm, image.value_range)
    if not isinstance(source, (str, os.PathLike)):
        rows: GivenImageRows = array_images(source, grid.shape, "like")
        return rows, checked_images(rows, grid, ["like"])
    path = Path(source)
    if path.suffix == ".h5":
        rows = dataset_images(path, grid, subset)
    elif path.suffix == ARRAY_ENDING:
        rows = npy_images(path, grid.shape)
    else:
        files = image_files(path)
        if image.channels > 1:
            raise InputError(f"{path}: files of one image have one channel, the bundle needs {image.channels}. Give a "
                             "dataset (.h5).")
        rows = FileImages(files, grid)
        return rows, checked_images(rows, grid, [str(file) for file in files])
    return rows, checked_images(rows, grid, [str(path)])


def is_of_files(source: Path) -> bool:
    """Whether maps or images are in files of one each: the path is a folder, or ends as a picture or a scan does."""
    return source.is_dir() or source.name.lower().endswith(_FILE_ENDINGS)


def maps_of_files(source: Path, canvas: Canvas) -> MaskRequests:
    """Requests for the label maps of a file or of the files of a folder, by name. Raises InputError."""
    files = image_files(source)
    maps = [read_one(file, canvas.spacing_mm) for file in files]
    for file, labels in zip(files, maps, strict=True):
        if labels.shape != canvas.shape:
            raise InputError(f"{file}: the label map has the shape {labels.shape}, the bundle needs {canvas.shape} "
                             f"pixels of {canvas.spacing_mm} mm. Resample it.")
        if not (np.isfinite(labels).all() and (labels == np.rint(labels)).all()):
            raise InputError(f"{file}: label values must be whole numbers. Resample label maps with the nearest "
                             "neighbour.")
        canvas.domain.labels.check(labels.astype(np.int64)[None], str(file))
    return mask_requests(ArrayMasks(np.stack([labels.astype(np.uint8) for labels in maps])), canvas, str(source))


def check_pairs(images: Path, maps: Path) -> None:
    """Raise InputError for two folders whose files do not go by the same names; nnU-Net's _0000 is no part of one."""
    if not (images.is_dir() and maps.is_dir()):
        return
    ours, theirs = ([_case(file.name) for file in image_files(folder)] for folder in (images, maps))
    if ours != theirs:
        lonely = sorted(set(ours) ^ set(theirs))
        raise InputError(f"{images} and {maps}: expected an image and a label map of each name, found only one of "
                         f"{', '.join(lonely[:_NAMED])}{' and others' * (len(lonely) > _NAMED)}. Add the others, or "
                         "move these out of the folders.")


def _case(name: str) -> str:
    ending = next(ending for ending in sorted(_FILE_ENDINGS, key=len, reverse=True) if name.lower().endswith(ending))
    return name[:-len(ending)].removesuffix("_0000")


def drawn_towards(requests: RequestSource, bundle: Bundle, table: StepTable, source: GivenImages, *,
                  similarity: float = SIMILARITY, from_step: int | None = None, subset: str = "") -> LikeRequests:
    """The requests, each with a given image towards which its sample is drawn.

    source: a dataset, an array, a file of one image, a folder of those, or an array in memory; sample i takes image i
    modulo their number. table: the sampling steps. similarity: 0, free generation, to 1. from_step: the training step
    at which images are mixed in, None for 24 % of them. Raises InputError for images, numbers and bundles that do not
    fit.
    """
    check_encoder(bundle)
    assert bundle.manifest.schedule is not None  # the manifest was checked, and every generator has it
    image, steps = bundle.manifest.image, bundle.manifest.schedule.train_timesteps
    if not 0 <= checked_number("similarity", similarity) <= 1:
        raise InputError(f"similarity = {similarity:g}: expected 0 (free) to 1 (as the given image).")
    start = round(SHARE * steps) if from_step is None else from_step
    step = int(table.timesteps[nearest_place(table, start, steps)])
    images, digest = given_images(source, image, subset)
    return LikeRequests(requests, images, digest, float(similarity), start, step, image.value_range)
