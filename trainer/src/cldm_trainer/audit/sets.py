"""What is audited and what it is compared with: synthetic images, training slices and held-out slices."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cldm_runtime.bundle import sha256_of
from cldm_runtime.errors import InputError
from cldm_runtime.generate import Plan, generate_dataset
from cldm_runtime.generator import Generator
from cldm_runtime.grid import read_grid
from cldm_runtime.labels import LabelMap
from cldm_runtime.requests import FreeRequests, GridRequests, MaskRequests, RequestSource
from cldm_runtime.store import Dataset, open_dataset

from .images import ImageRows, Names, Rows, rows_of_subsets

TRAINED_ON = ("train",)
HELD_OUT = ("val", "test")
COMPARED = ("test",)


@dataclass(frozen=True)
class Sets:
    """synthetic: the images that are audited. training: what the generator was trained on. held_out: slices of the same
    population that it was not trained on. compared: the real slices that the classifier meets the synthetic ones with,
    and `synthetic_compared` those synthetic ones. `made` says where the synthetic images come from."""

    synthetic: ImageRows
    training: ImageRows
    held_out: ImageRows
    compared: ImageRows
    synthetic_compared: ImageRows
    made: str


def generated_sets(cohort: Path, generator: Generator, grid: Path, folder: Path, say: Callable[[str], None]) -> Sets:
    """Sets with images of the generator, one for each test slice: made from its label map where the generator takes
    label maps, from the grid where it takes attributes alone, from nothing where it takes nothing.

    They are kept in `folder` and used again. Raises InputError for a cohort that does not fit the generator.
    """
    compared = rows_of_subsets(cohort, COMPARED)
    with open_dataset(cohort) as dataset:
        source, made, patients = _requests(dataset, cohort, generator, grid, compared)
        plan = Plan(generator, source, len(compared), 0, generator.settings())
        path = folder / f"synthetic-{plan.sha256[:12]}.h5"
        if not path.exists():
            say(f"generating {len(compared)} images ...")
        generate_dataset(plan, path, "resume")
    synthetic = ImageRows(path, np.arange(len(compared), dtype=np.int64), patients)
    return _checked(Sets(synthetic, rows_of_subsets(cohort, TRAINED_ON), rows_of_subsets(cohort, HELD_OUT), compared,
                         synthetic, made))


def given_sets(cohort: Path, samples: Path) -> Sets:
    """Sets with the images of a generated file. The classifier compares those that the file says are of test patients,
    or all of them where it does not say. Raises InputError for a file that does not fit the cohort."""
    with open_dataset(samples) as dataset:
        patients, subset, count = dataset.patients, dataset.subset, len(dataset)
    synthetic = ImageRows(samples, np.arange(count, dtype=np.int64), patients)
    of_test = np.zeros(count, dtype=bool) if subset is None else np.isin(subset, COMPARED)
    chosen = synthetic.chosen(np.flatnonzero(of_test)) if of_test.any() else synthetic
    return _checked(Sets(synthetic, rows_of_subsets(cohort, TRAINED_ON), rows_of_subsets(cohort, HELD_OUT),
                         rows_of_subsets(cohort, COMPARED), chosen, f"the images of {samples.name}"))


def equal_numbers(one: ImageRows, other: ImageRows, seed: int) -> tuple[ImageRows, ImageRows]:
    """As many of the one as of the other: the longer is thinned at random, its order is kept."""
    count = min(len(one), len(other))
    return thinned(one, count, seed), thinned(other, count, seed)


def thinned(images: ImageRows, count: int, seed: int) -> ImageRows:
    """`count` of the images, drawn at random."""
    order = np.random.default_rng([seed, len(images)]).permutation(len(images))
    return images.chosen(np.sort(order[:count]).astype(np.int64))


def whole_patients(images: ImageRows, count: int, seed: int) -> ImageRows:
    """At most `count` slices of patients drawn at random, each with all slices but the last: as a test set has them."""
    names = images.groups("slice")
    found = np.random.default_rng([seed, len(images)]).permutation(np.unique(names))
    rank = {name: number for number, name in enumerate(found.tolist())}
    order = np.argsort([rank[name] for name in names.tolist()], kind="stable")
    return images.chosen(np.sort(order[:count]).astype(np.int64))


class _SubsetMasks:
    """Label maps of chosen rows of an open cohort."""

    def __init__(self, dataset: Dataset, rows: Rows) -> None:
        self._dataset, self._rows, self._attributes = dataset, rows, dataset.mask_attributes

    def __len__(self) -> int:
        return len(self._rows)

    def mask(self, row: int) -> LabelMap:
        return self._dataset.masks(int(self._rows[row]))

    def known_attributes(self, row: int) -> NDArray[np.float32] | None:
        return None if self._attributes is None else self._attributes[self._rows[row]]


def _requests(dataset: Dataset, cohort: Path, generator: Generator, grid: Path,
              compared: ImageRows) -> tuple[RequestSource, str, Names | None]:
    """What the generator is asked for, the same in words, and the patients whose label maps are shown."""
    sources = generator.manifest.sources
    if "masks" in sources:
        image = generator.manifest.image
        if dataset.shape != tuple(image.shape):
            raise InputError(f"{cohort}: slices are {dataset.shape}, the generator makes {tuple(image.shape)}. Prepare "
                             "the cohort that it was trained on.")
        digest = hashlib.sha256(sha256_of(cohort).encode() + compared.rows.tobytes()).hexdigest()
        masks = MaskRequests(_SubsetMasks(dataset, compared.rows), digest, generator.canvas)
        return masks, "one image for each label map of the test patients", compared.patients
    if "attributes" in sources:
        rows = read_grid(grid, generator.domain)
        return GridRequests.spread(rows, len(compared), generator.canvas), f"images of the grid {grid.name}", None
    return FreeRequests(generator.domain), "images that nothing was asked of", None


def _checked(sets: Sets) -> Sets:
    """Raises InputError for images of another shape than the cohort's, or patients on both sides of the split."""
    with open_dataset(sets.training.path) as cohort, open_dataset(sets.synthetic.path) as samples:
        found, expected = (samples.channels, *samples.shape), (cohort.channels, *cohort.shape)
    if found != expected:
        raise InputError(f"{sets.synthetic.path}: images are {found}, those of the cohort {expected}. Give images that "
                         "a generator of this cohort made.")
    both = np.intersect1d(sets.training.groups("training"), sets.held_out.groups("held-out"))
    if len(both):
        raise InputError(f"{sets.training.path}: {len(both)} patients are in train and in {' or '.join(HELD_OUT)}; "
                         "nothing can be held out then. Split the cohort by patient.")
    return sets
