"""`cldm-train utility`: writes utility.json and utility.md. What takes time is kept in <run folder>/utility and used
again."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from cldm_runtime.errors import InputError
from cldm_runtime.files.atomic import write_json, write_text
from cldm_runtime.files.records import without_nan
from cldm_runtime.generation.generator import Generator
from cldm_runtime.store import open_dataset

from ...config import Config
from ...config.utility import UtilityConfig
from ...config.validity import READER
from ...training.run_folder import RunFolder
from ..validity.lesions import check_lesion, clean
from ..validity.networks import check_networks
from ..validity.outcomes import compare
from ..validity.sets import Rows, SegmentedSet, cohort_set, separate_rows, synthetic_slices, thinned
from ..validity.training import TrainingPairs, predict
from .figures import BOTH, GENERATED, REFERENCE, Json, Values, utility_figures
from .page import utility_page
from .training import STAGE, trained_on

Say = Callable[[str], None]
UTILITY_FILE = "utility.json"


def run(config: Config, command: str, cohort: Path, out: Path, say: Say = lambda text: None) -> Path:
    """Generate, train, segment and write below `out`; returns the page. cohort: the file whose slices are trained and
    tested on. A run that was stopped goes on where it stood.

    Raises InputError for settings that do not fit each other or the cohort, BundleError and DatasetError for files that
    are missing or damaged.
    """
    section, folder = config.utility, RunFolder.of(config)
    check_segmenter(section, section.seeds, folder)
    torch.set_num_threads(config.run.threads)
    learned, tested = chosen_rows(cohort, section)
    generator = Generator.load(section.generator or config.export.generator)
    if "masks" not in generator.manifest.sources:
        raise InputError(f"{generator.bundle.path}: takes no label maps, so its images have none to learn. Name a "
                         "generator that does as utility.generator.")
    made = synthetic_slices(cohort, learned, generator, folder.own(STAGE) / "images", say)
    domain = folder.cohort.domain
    with open_dataset(cohort) as dataset:
        reference = TrainingPairs.of(REFERENCE, dataset, learned, domain, cohort_set(cohort, learned, "").origin)
    with open_dataset(made.path) as dataset:
        generated = replace(TrainingPairs.of(GENERATED, dataset, made.rows, domain, made.origin),
                            attributes=made.truth.attributes, patients=made.truth.patients)
    test = cohort_set(cohort, tested, "test", against=READER)
    dice = {pairs.name: _trainings(pairs, test, config, say)
            for pairs in (reference, generated, reference.joined(generated, BOTH))}
    regions = utility_figures(dice, test.truth.patients, section.replicates)
    return _write(config, command, regions, generator, learned, test, out)


def check_segmenter(section: UtilityConfig, seeds: int, folder: RunFolder) -> None:
    """Raises InputError for a segmenter that cannot be trained, and for too few trainings."""
    if seeds < 1 or section.segmenter.bundle:
        raise InputError(f"utility: found {seeds} seeds and the segmenter {section.segmenter.bundle!r}, expected 1 or "
                         "more, and no bundle: the command trains its segmenter.")
    check_networks({"utility.segmenter": section.segmenter}, folder.cohort.shape)
    check_lesion(section.segmenter, folder.cohort.domain)


def chosen_rows(cohort: Path, section: UtilityConfig) -> tuple[Rows, Rows]:
    """Rows to train and to test on. Raises InputError as `separate_rows`."""
    learned, tested = separate_rows(cohort, "utility", section.train, section.test)
    return thinned(learned, section.most_slices), thinned(tested, section.most_test_slices)


def _trainings(pairs: TrainingPairs, test: SegmentedSet, config: Config, say: Say) -> dict[str, Values]:
    """Region -> Dice (seeds, N) on the tested slices."""
    section, folder, rows = config.utility, RunFolder.of(config), []
    with open_dataset(test.path) as dataset:
        images = dataset.images(test.rows)
    for number in range(section.seeds):
        say(f"training on {pairs.name} images, {number + 1} of {section.seeds} ...")
        network = trained_on(pairs, section.segmenter, config.run.seed + number, folder)
        found = clean(predict(network, images), images, section.segmenter, folder.cohort.domain)
        rows.append(compare(found, test.truth).dice)
    dice = np.stack(rows)
    return {region: dice[..., column] for column, region in enumerate(folder.cohort.domain.labels.regions)}


def _write(config: Config, command: str, regions: Json, generator: Generator, learned: Rows, test: SegmentedSet,
           out: Path) -> Path:
    with open_dataset(test.path) as dataset:
        nature = dataset.nature
    recipe = config.utility.segmenter
    made = {"command": command, "bundle": generator.bundle.identity,
            "sizes": {"train": len(learned), "test": len(test.rows), "seeds": config.utility.seeds,
                      "patients": len(np.unique(test.truth.patients)), "generator": generator.bundle.identity},
            "segmenter": {"network": recipe.network, "steps": recipe.steps, "batch_size": recipe.batch_size}}
    figures: Json = without_nan({"nature": nature, "regions": regions, "made": made})
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / UTILITY_FILE, figures)
    write_text(out / "utility.md", utility_page(figures))
    return out / "utility.md"
