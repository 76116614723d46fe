"""`cldm-train utility --augment`: writes augmentation.json and augmentation.md. What takes time is kept in
<run folder>/utility and used again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cldm_runtime.domains.domain import Domain
from cldm_runtime.errors import InputError
from cldm_runtime.files.atomic import write_json, write_text
from cldm_runtime.files.records import plain, without_nan
from cldm_runtime.generation.generator import Generator
from cldm_runtime.generation.quality_filter import QualityFilter
from cldm_runtime.segmentation.segmenter import Segmenter
from cldm_runtime.store import open_dataset

from ...config import Config
from ...config.validity import READER, SegmenterRecipe
from ...training.run_folder import RunFolder
from ..lesion_size import sized_pixels
from ..utility.run import Say, check_segmenter, chosen_rows
from ..utility.training import STAGE, trained_on
from ..validity.lesions import clean
from ..validity.outcomes import compare
from ..validity.prediction import Json
from ..validity.sets import SegmentedSet, cohort_set
from ..validity.training import TrainingPairs
from .figures import TOP_PIXELS, Outcomes, study_figures
from .page import augmentation_page
from .sets import few_rows, generated_sets

NOTHING, USUAL = "nothing", "usual"
AUGMENTATION_FILE = "augmentation.json"
_BATCH = 16


def run(config: Config, command: str, cohort: Path, out: Path, say: Say = lambda text: None) -> Path:
    """Generate, train, segment and write below `out`; returns the page. cohort: the file whose slices are trained and
    tested on. A run that was stopped goes on where it stood.

    Raises InputError for settings that do not fit each other or the cohort, BundleError and DatasetError for files that
    are missing or damaged.
    """
    section, folder = config.utility, RunFolder.of(config)
    settings, domain = section.augmentation, folder.cohort.domain
    check_segmenter(section, settings.seeds, folder)
    if domain.lesion is None or domain.lesion_size is None:
        raise InputError(f"cldm-train utility --augment: domain {domain.name} has no lesion to detect. Use a domain "
                         "with one.")
    if not settings.ratios or min(settings.ratios) < 1:
        raise InputError(f"utility.augmentation.ratios: found {list(settings.ratios)}, expected whole numbers from 1.")
    torch.set_num_threads(config.run.threads)
    generator = Generator.load(section.generator or config.export.generator)
    keep = QualityFilter.of(settings.keep_if, generator, Segmenter.load(settings.judge or config.export.segmenter),
                            settings.tries)
    learned, tested = chosen_rows(cohort, replace(section, most_slices=_every(cohort)))
    rows = few_rows(cohort, learned, settings, config.run.seed)
    made = generated_sets(cohort, rows, generator, keep, settings, folder.own(STAGE) / "images", say)
    with open_dataset(cohort) as dataset:
        real = TrainingPairs.of(NOTHING, dataset, rows, domain, cohort_set(cohort, rows, "").origin)
    test = cohort_set(cohort, tested, "test", against=READER)
    trainings = [(real, replace(section.segmenter, augment=False)), (replace(real, name=USUAL), section.segmenter),
                 *((real.joined(each.pairs, name), section.segmenter) for name, each in made.items())]
    outcomes = {pairs.name: _outcomes(pairs, recipe, test, config, say) for pairs, recipe in trainings}
    figures = study_figures(outcomes, USUAL, test.truth, settings.small, section.replicates)
    counts = {name: {"asked": each.asked, "kept": len(each.pairs.images)} for name, each in made.items()}
    painted = any(each.painted for each in made.values())
    described = _described(figures, config, command, generator, keep, real, test, counts, painted=painted)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / AUGMENTATION_FILE, described)
    write_text(out / "augmentation.md", augmentation_page(described))
    return out / "augmentation.md"


def _every(cohort: Path) -> int:
    with open_dataset(cohort) as dataset:
        return len(dataset)


def _outcomes(pairs: TrainingPairs, recipe: SegmenterRecipe, test: SegmentedSet, config: Config, say: Say) -> Outcomes:
    """Of all trainings on one set."""
    folder, seeds = RunFolder.of(config), config.utility.augmentation.seeds
    domain = folder.cohort.domain
    with open_dataset(test.path) as dataset:
        images = dataset.images(test.rows)
    dice, scores, found = [], [], []
    for number in range(seeds):
        say(f"training on {len(pairs.images)} images, {pairs.name}, {number + 1} of {seeds} ...")
        network = trained_on(pairs, recipe, config.run.seed + number, folder)
        labels, score = segmented(network, images, domain)
        outcome = compare(clean(labels, images, recipe, domain), test.truth)
        dice.append(outcome.dice)
        scores.append(score)
        found.append(outcome.pixels > sized_pixels(test.truth.spacing_mm))
    return Outcomes(np.stack(dice), np.stack(scores), np.stack(found))


@torch.no_grad()
def segmented(network: torch.nn.Module, images: NDArray[np.float32], domain: Domain
              ) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Label maps (N, *spatial) and scores (N,) of images; see `figures.py`."""
    assert domain.lesion is not None
    lesion, labels, scores = list(domain.labels.regions[domain.lesion]), [], []
    for start in range(0, len(images), _BATCH):
        logits = network(torch.from_numpy(np.ascontiguousarray(images[start:start + _BATCH], dtype=np.float32)))
        probability = logits.softmax(dim=1)[:, lesion].sum(dim=1).flatten(1)
        labels.append(logits.argmax(dim=1).to(torch.uint8).numpy())
        scores.append(probability.topk(min(TOP_PIXELS, probability.shape[1]), dim=1).values.mean(dim=1).numpy())
    return np.concatenate(labels), np.concatenate(scores).astype(np.float64)


def _described(figures: Json, config: Config, command: str, generator: Generator, keep: QualityFilter,
               real: TrainingPairs, test: SegmentedSet, counts: dict[str, Any], *, painted: bool) -> Json:
    """The figures with what they are of, without NaN."""
    with open_dataset(test.path) as dataset:
        nature = dataset.nature
    recipe, truth = config.utility.segmenter, test.truth
    described: Json = without_nan({
        "nature": nature, "lesion": truth.domain.lesion, "regions": list(truth.domain.labels.regions), **figures,
        "generated": counts, "painted": painted, "made": {
            "command": command, "generator": generator.bundle.identity, "judge": keep.segmenter.name,
            "rule": keep.rule.text, "tries": keep.tries, "seeds": config.utility.augmentation.seeds,
            "precision": config.run.precision, "axes": truth.domain.axes, "segmenter": plain(recipe),
            "learned": {"slices": len(real.images), "patients": len(np.unique(real.patients))},
            "tested": {"slices": len(truth), "patients": len(np.unique(truth.patients))}}})
    return described
