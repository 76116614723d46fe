"""The nearest training slice of every image, over the symmetries of the square, in one of two spaces.

| symbol | here |
|---|---|
| u | vector of unit length of an image: its pixels or its features, standardised |
| d | 1 - u . v, the correlation distance: 0 the same up to brightness and contrast, 1 unrelated, at most 2 |

Distances are matrix products of blocks of vectors: memory does not grow with the number of images, but for the
features of the training slices, which are computed once and kept.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cldm_runtime.errors import InputError

from .images import ImageRows, Images, Names, Rows, standardised, symmetries, turned

QUERY_BLOCK = 64  # images; times 8 symmetries
TRAINING_BLOCK = 256

Vectors = NDArray[np.float32]  # (n, F), of unit length
Values = NDArray[np.float64]
Describe = Callable[[Images], Vectors]  # images (n, C, H, W) -> features (n, F), such as Segmenter.features


class Space(Protocol):
    """Where distances are measured."""

    def embed(self, images: Images) -> Vectors:
        """Unit vectors (n, F) of images (n, C, H, W)."""

    def training(self) -> Iterator[Vectors]:
        """Unit vectors of the training slices, block by block and in order."""


@dataclass(frozen=True)
class PixelSpace:
    """Pixels, each image standardised by itself: d does not see brightness and contrast."""

    slices: ImageRows

    def embed(self, images: Images) -> Vectors:
        return _unit(standardised(images).reshape(len(images), -1))

    def training(self) -> Iterator[Vectors]:
        for _, images in self.slices.blocks(TRAINING_BLOCK):
            yield self.embed(images)


class FeatureSpace:
    """Features of a network, each standardised over the training slices: d is that of their cosine."""

    def __init__(self, slices: ImageRows, extract: Describe) -> None:
        self._extract = extract
        vectors = np.concatenate([extract(images) for _, images in slices.blocks(TRAINING_BLOCK)]).astype(np.float64)
        self._mean, deviation = vectors.mean(axis=0), vectors.std(axis=0)
        self._scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 1e-12)
        self._training = self._unit(vectors)

    def embed(self, images: Images) -> Vectors:
        return self._unit(self._extract(images).astype(np.float64))

    def training(self) -> Iterator[Vectors]:
        for start in range(0, len(self._training), TRAINING_BLOCK):
            yield self._training[start : start + TRAINING_BLOCK]

    def _unit(self, features: Values) -> Vectors:
        return _unit((features - self._mean) * self._scale)


@dataclass(frozen=True)
class Neighbours:
    """Of each of N images: the position of the nearest training slice; the symmetry which turns the image onto it; d;
    and d to the nearest slice of any other patient than that slice's (of any other slice, where no patients are
    known)."""

    position: Rows
    symmetry: Rows
    distance: Values
    other: Values

    def __len__(self) -> int:
        return len(self.position)

    @property
    def ratio(self) -> Values:
        """(N,) distance over the distance to another patient: near 1 for a new image, near 0 for a copy."""
        return np.divide(self.distance, self.other, out=np.ones_like(self.other), where=self.other > 0)


def nearest(space: Space, queries: ImageRows, training: ImageRows) -> Neighbours:
    """Neighbours of every query among the training slices, which `space` was made for.

    Raises InputError where the training slices are of one patient alone.
    """
    names = training.groups("training")
    if len(np.unique(names)) < 2:
        raise InputError(f"{training.path}: the training slices are of one patient, expected two or more.")
    parts = [_nearest_of_block(space, images, names) for _, images in queries.blocks(QUERY_BLOCK)]
    return Neighbours(*(np.concatenate([getattr(part, name) for part in parts])
                        for name in ("position", "symmetry", "distance", "other")))


def _nearest_of_block(space: Space, images: Images, names: Names) -> Neighbours:
    """Neighbours of a few images: every block of training slices may change what the ones before have found."""
    numbers = np.array(symmetries(images.shape), dtype=np.int64)
    copies = np.concatenate([space.embed(np.ascontiguousarray(turned(images, number))) for number in numbers])
    count, start = len(images), 0
    zero, far = np.zeros(count, dtype=np.int64), np.full(count, np.inf)
    best = Neighbours(zero, zero, far, far)
    for vectors in space.training():
        products = (copies @ vectors.T).reshape(len(numbers), count, len(vectors))
        distances = np.maximum(1.0 - products.max(axis=0).astype(np.float64), 0.0)
        in_block = _nearest_in_block(distances, names[start : start + len(vectors)])
        turn = products[:, np.arange(count), in_block.position].argmax(axis=0)
        block = Neighbours(in_block.position + start, numbers[turn], in_block.distance, in_block.other)
        best = _nearer(best, block, names)
        start += len(vectors)
    return best


def _nearest_in_block(distances: Values, names: Names) -> Neighbours:
    """Neighbours from distances (n, T) to training slices of these patients (T,); infinity where there is no other."""
    position = distances.argmin(axis=1)
    others = np.where(names[position][:, None] == names[None], np.inf, distances)
    return Neighbours(position, np.zeros_like(position), distances.min(axis=1), others.min(axis=1))


def _nearer(a: Neighbours, b: Neighbours, names: Names) -> Neighbours:
    """The nearer of two neighbours of each image. The loser is the nearest of another patient, if it is of another."""
    first = a.distance <= b.distance
    same = names[a.position] == names[b.position]
    lost, won_other, lost_other = (np.where(first, x, y) for x, y in (
        (b.distance, a.distance), (a.other, b.other), (b.other, a.other)))
    other = np.minimum(won_other, np.where(same, lost_other, lost))
    return Neighbours(np.where(first, a.position, b.position), np.where(first, a.symmetry, b.symmetry),
                      np.where(first, a.distance, b.distance), other)


def _unit(vectors: NDArray[np.floating]) -> Vectors:
    """Vectors (n, F) scaled to length 1; those of length 0 stay so, at distance 1 from everything."""
    length = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    unit = np.divide(vectors, length, out=np.zeros(vectors.shape, dtype=np.float64), where=length > 1e-12)
    return np.asarray(unit, dtype=np.float32)
