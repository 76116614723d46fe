"""What is audited and what it is compared with: synthetic images, training slices and held-out slices."""

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cldm_runtime.cli.progress import show_progress
from cldm_runtime.engines.processor import default_workers
from cldm_runtime.errors import InputError
from cldm_runtime.files.digest import sha256_of
from cldm_runtime.generation.generator import Generator
from cldm_runtime.generation.run import Plan, generate_dataset
from cldm_runtime.requests.given_maps import DatasetMasks
from cldm_runtime.requests.sources import FreeRequests, MaskRequests, RequestSource
from cldm_runtime.store import Dataset, open_dataset, read_content

from .images import ImageRows, Names, Rows, rows_of_subsets

TRAINED_ON = ("train",)
HELD_OUT = ("val", "test")
COMPARED = ("test",)
NOBODY = -1  # the partner of an image that was made for no compared slice


@dataclass(frozen=True)
class CohortSets:
    """training: what generators were trained on. held_out: slices of the same population that they were not trained on.
    compared: the held-out slices that synthetic ones are compared with. percentiles: those of each slice that black and
    white stand for, None where the cohort does not say. nature: what the slices are, "" where it does not say."""

    training: ImageRows
    held_out: ImageRows
    compared: ImageRows
    percentiles: tuple[float, float] | None
    nature: str = ""


@dataclass(frozen=True)
class SyntheticImages:
    """Synthetic images. partners: (M,) for each the position in `CohortSets.compared` of the slice whose label map or
    attributes it was made for, or NOBODY; None where nothing says so. `origin` says where the images come from."""

    images: ImageRows
    partners: Rows | None
    origin: str


def cohort_sets(cohort: Path) -> CohortSets:
    """The sets of a cohort file. Raises InputError for volumes, and where a subset is missing or a patient is on both
    sides."""
    with open_dataset(cohort) as dataset:
        if len(dataset.shape) != 2:
            raise InputError(f"{cohort}: samples have {len(dataset.shape)} axes, but only slices can be audited. "
                             "Prepare the cohort as slices for an audit.")
    training, held_out = rows_of_subsets(cohort, TRAINED_ON), rows_of_subsets(cohort, HELD_OUT)
    both = np.intersect1d(training.groups("training"), held_out.groups("held-out"))
    if len(both):
        raise InputError(f"{cohort}: {len(both)} patients are in train and in {' or '.join(HELD_OUT)}; nothing can be "
                         "held out then. Split the cohort by patient.")
    with open_dataset(cohort) as dataset:
        nature, limits = dataset.nature, [dataset.metadata.get(f"percentile_{end}") for end in ("low", "high")]
    percentiles = None if None in limits else (float(limits[0] or 0.0), float(limits[1] or 0.0))
    return CohortSets(training, held_out, rows_of_subsets(cohort, COMPARED), percentiles, nature)


def generated_samples(sets: CohortSets, generator: Generator, folder: Path, seeds: int,
                      say: Callable[[str], None]) -> SyntheticImages:
    """Images of the generator, `seeds` for each compared slice: from its label map or its attributes, whichever the
    generator takes, or from nothing. They are kept in `folder` and used again.

    Raises InputError for a cohort that does not fit the generator.
    """
    compared, count = sets.compared, len(sets.compared) * seeds
    with open_dataset(compared.path) as dataset:
        source = _requests(dataset, generator, compared)
        plan = Plan(generator, source, count, 0, generator.settings())
        path = folder / f"synthetic-{plan.sha256[:12]}.h5"
        remove_if_changed(path)
        if not path.exists():
            say(f"generating {count} images ...")
        with show_progress("generating", count, sys.stderr, brief=True) as progress:
            generate_dataset(plan, path, "resume", progress, default_workers(generator.provider))
    conditioned = bool(generator.manifest.sources)
    partners = np.arange(count) % len(compared) if conditioned else None
    origin = f"{seeds} for each of {len(compared)} test slices" if conditioned else "made from nothing"
    return _checked(SyntheticImages(_of_partners(path, partners, compared), partners, origin), sets)


def remove_if_changed(path: Path) -> None:
    """Remove a generated file whose samples are others than were written, so that it is made again."""
    if path.exists():
        with open_dataset(path) as dataset:
            changed = read_content(dataset).is_as_generated is False
        if changed:
            path.unlink()


def given_samples(sets: CohortSets, path: Path) -> SyntheticImages:
    """The images of a file. The columns patients, slices and subset, where it has them, say which slice each was made
    for; images for slices of other subsets have no partner. Raises InputError for a file that does not fit."""
    with open_dataset(path) as dataset, open_dataset(sets.compared.path) as cohort:
        named, slices = _keys(dataset), _keys(cohort)
    partners: Rows | None = None
    if named is not None and slices is not None:
        position = {slices[row]: number for number, row in enumerate(sets.compared.rows.tolist())}
        partners = np.array([position.get(key, NOBODY) for key in named], dtype=np.int64)
        if (partners == NOBODY).all():
            raise InputError(f"{path}: none of its images was made for a {' or '.join(COMPARED)} slice of "
                             f"{sets.compared.path}. Give images for those slices, or a file without patients.")
    images = _of_partners(path, partners, sets.compared)
    return _checked(SyntheticImages(images, partners, f"those of {path.name}"), sets)


def thinned(images: ImageRows, count: int, seed: int) -> ImageRows:
    """`count` of the images at most, drawn at random; their order is kept."""
    order = np.random.default_rng([seed, len(images)]).permutation(len(images))
    return images.chosen(np.sort(order[:count]).astype(np.int64))


def _keys(dataset: Dataset) -> list[tuple[str, str, int]] | None:
    """(subset, patient, slice) of every image; None where one of them is not known."""
    subset, patients, slices = dataset.subset, dataset.patients, dataset.slices
    if subset is None or patients is None or slices is None:
        return None
    return list(zip(subset.tolist(), patients.tolist(), slices.tolist(), strict=True))


def _of_partners(path: Path, partners: Rows | None, compared: ImageRows) -> ImageRows:
    """Every image of a file, under the patient of its partner."""
    with open_dataset(path) as dataset:
        rows = np.arange(len(dataset), dtype=np.int64)
    names: Names | None = None
    if partners is not None:
        names = np.where(partners == NOBODY, "nobody", compared.groups("test slice")[partners])
    return ImageRows(path, rows, names)


def _requests(dataset: Dataset, generator: Generator, compared: ImageRows) -> RequestSource:
    """What the generator is asked for: what the compared slices show."""
    if not generator.manifest.sources:
        return FreeRequests(generator.domain)
    image = generator.manifest.image
    if dataset.shape != tuple(image.shape):
        raise InputError(f"{compared.path}: slices are {dataset.shape}, the generator makes {tuple(image.shape)}. "
                         "Prepare the cohort that it was trained on.")
    digest = hashlib.sha256(sha256_of(compared.path).encode() + compared.rows.tobytes()).hexdigest()
    attributes = dataset.mask_attributes
    masks = DatasetMasks(dataset, compared.rows, None if attributes is None else attributes[compared.rows])
    return MaskRequests(masks, digest, generator.canvas)


def _checked(samples: SyntheticImages, sets: CohortSets) -> SyntheticImages:
    """Raises InputError for images of another shape than the cohort's."""
    with open_dataset(sets.training.path) as cohort, open_dataset(samples.images.path) as file:
        shape, expected = (file.channels, *file.shape), (cohort.channels, *cohort.shape)
    if shape != expected:
        raise InputError(f"{samples.images.path}: images are {shape}, those of the cohort {expected}. Give images that "
                         "a generator of this cohort made.")
    return samples
