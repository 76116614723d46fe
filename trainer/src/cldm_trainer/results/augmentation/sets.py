"""What is learned from: slices of some patients, and images of the same hearts with other lesions."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cldm_runtime.errors import InputError
from cldm_runtime.generation.generator import Generator
from cldm_runtime.generation.likeness import ENCODER
from cldm_runtime.generation.plan import Plan
from cldm_runtime.generation.quality_filter import QualityFilter
from cldm_runtime.requests.edit_grid import open_edit_grid
from cldm_runtime.requests.edited_maps import EditedMapRequests
from cldm_runtime.requests.given_images import DatasetImages
from cldm_runtime.requests.given_maps import DatasetMasks
from cldm_runtime.requests.painted_images import PaintedImageRequests
from cldm_runtime.requests.sources import RequestSource, mask_requests
from cldm_runtime.store import Dataset, cohort_digest, open_dataset

from ...config.utility import AugmentationConfig
from ..validity.sets import Rows, Say, made_file, patients_of, thinned
from ..validity.training import TrainingPairs

UNFILTERED, FILTERED = "unfiltered", "filtered"


@dataclass(frozen=True)
class GeneratedSet:
    """pairs: what was generated; asked: how many images were to be. painted: whether only the lesion's surroundings
    were, in given images."""

    pairs: TrainingPairs
    asked: int
    painted: bool


def few_rows(cohort: Path, rows: Rows, settings: AugmentationConfig, seed: int) -> Rows:
    """Slices of some patients, drawn by the seed. Raises InputError for none."""
    patients = patients_of(cohort)[rows]
    names = np.unique(patients)
    order = np.random.default_rng([seed, len(names)]).permutation(len(names))
    few = rows[np.isin(patients, names[order[: max(settings.patients, 0)]])]
    if not len(few) or settings.most_slices < 1:
        raise InputError(f"utility.augmentation: found {settings.patients} patients and most_slices = "
                         f"{settings.most_slices}, expected 1 or more of each.")
    return thinned(few, settings.most_slices)


def generated_sets(cohort: Path, rows: Rows, generator: Generator, keep: QualityFilter, settings: AugmentationConfig,
                   folder: Path, say: Say) -> dict[str, GeneratedSet]:
    """For each ratio an unfiltered and a filtered set, by the names of the trainings on them. Larger sets hold the
    smaller ones."""
    sets = {}
    for kind, rule in ((UNFILTERED, None), (FILTERED, keep)):
        parts = [_generated(cohort, rows, generator, rule, turn, folder, say) for turn in range(max(settings.ratios))]
        for ratio in settings.ratios:
            whole = parts[0].pairs
            for part in parts[1:ratio]:
                whole = whole.joined(part.pairs, kind)
            name = f"{kind}-{ratio}"
            sets[name] = GeneratedSet(replace(whole, name=name), sum(part.asked for part in parts[:ratio]),
                                      parts[0].painted)
    return sets


def _generated(cohort: Path, rows: Rows, generator: Generator, keep: QualityFilter | None, turn: int, folder: Path,
               say: Say) -> GeneratedSet:
    """An image of every slice that a lesion can be drawn in; other turns draw other lesions."""
    with open_dataset(cohort) as dataset:
        source, count, painted = _requests(dataset, rows, generator, turn)
        patients = patients_of(cohort)[rows]
        plan = Plan(generator, source, count, turn, generator.settings(), keep)
        path = made_file(plan, folder, say)
    with open_dataset(path) as made:
        every, given = np.arange(len(made), dtype=np.int64), made.given_row
        pairs = TrainingPairs.of("generated", made, every, generator.domain, plan.sha256)
    assert given is not None  # of edited maps
    return GeneratedSet(replace(pairs, patients=patients[given]), count, painted)


def _requests(dataset: Dataset, rows: Rows, generator: Generator, seed: int) -> tuple[RequestSource, int, bool]:
    """The lesions of the slices replaced by others. Images are painted into the given ones where the bundle can."""
    rules, attributes = generator.domain.edit, dataset.mask_attributes
    if rules is None:
        raise InputError(f"cldm-train utility --augment: the domain {generator.domain.name} has no lesions that can be "
                         "drawn in given label maps. Use one that has, such as lge.")
    maps = mask_requests(DatasetMasks(dataset, rows, None if attributes is None else attributes[rows]),
                         generator.canvas, dataset.path.name)
    edited = EditedMapRequests.spread(open_edit_grid(), len(rows), maps, rules, seed, skip=True)
    count = len(edited.choices[0])
    if ENCODER not in generator.manifest.graphs:
        return edited, count, False
    return PaintedImageRequests.of(edited, DatasetImages(dataset, rows), cohort_digest(dataset),
                                   generator.manifest.image.value_range), count, True
