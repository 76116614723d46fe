"""`cldm-train faithfulness`: writes segguided/<run>.json and the page of all of them. What takes time is kept in
<run folder>/faithfulness and used again."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cldm_runtime.bundle.sources import CLASSES
from cldm_runtime.domains.free_classes import kept_classes
from cldm_runtime.errors import InputError
from cldm_runtime.evaluation.distances import feature_distances
from cldm_runtime.files.atomic import write_json
from cldm_runtime.files.records import without_nan
from cldm_runtime.generation.generator import Generator
from cldm_runtime.segmentation.segmenter import Segmenter
from cldm_runtime.store import open_dataset

from ...audit.two_sample import ClassifierTraining, Side, two_sample
from ...config import Config, FaithfulnessConfig
from ...training.run_folder import RunFolder
from ..utility.run import UTILITY_FILE
from ..validity.sets import Rows, Say, cohort_set, synthetic_slices, thinned
from .cost import cost
from .figures import Json, compared, faithfulness
from .freed import freed_figures, kept_names
from .goals import goals
from .page import FIGURES, write_page
from .pictures import write_pictures
from .segmented import SegmentedSlices, segmented

STAGE = "faithfulness"


@dataclass(frozen=True)
class _Studio:
    """What sets are made from, and where they are kept."""

    cohort: Path
    segmenter: Segmenter
    folder: Path
    say: Say

    def original(self, rows: Rows) -> SegmentedSlices:
        return segmented(cohort_set(self.cohort, rows, "reference"), self.segmenter, self.folder / "found", self.say)

    def made(self, generator: Generator, rows: Rows, free: str = "") -> SegmentedSlices:
        """Images for the label maps of these rows, with a class that is left free."""
        kept = kept_names(generator.domain.labels.names, free) if free else None
        drawn = synthetic_slices(self.cohort, rows, generator, self.folder / "images", self.say, kept)
        return segmented(drawn, self.segmenter, self.folder / "found", self.say)


def run(config: Config, command: str, cohort: Path, out: Path, say: Say = lambda text: None) -> Path:
    """Generate, segment and write below `out`; returns the page. A run that was stopped goes on where it stood.

    Raises InputError for settings that do not fit each other or the cohort, BundleError and DatasetError for files that
    are missing or damaged.
    """
    section, folder = config.faithfulness, RunFolder.of(config)
    torch.set_num_threads(config.run.threads)
    segmenter = Segmenter.load(section.segmenter or config.export.segmenter)
    generators = _generators(section, config.export.generator, say)
    with open_dataset(cohort) as dataset:
        segmenter.check_fit(dataset)
        if dataset.patients is None or dataset.mask_attributes is None:
            raise InputError(f"{cohort}: does not say whose slices it holds, or their attributes. Prepare it with "
                             "`cldm prepare`.")
        rows, nature = thinned(dataset.rows(section.subset), section.most_slices), dataset.nature
    kept_classes(section.free, segmenter.domain.labels)  # an unknown class is found before anything is made
    studio = _Studio(cohort, segmenter, folder.own(STAGE), say)
    original = studio.original(rows)
    made = {name: studio.made(generator, rows) for name, generator in generators.items()}
    figures = {name: {"faithfulness": faithfulness(made[name], original, section.replicates),
                      "likeness": _likeness(made[name], original, segmenter, section, say),
                      "freed": _freed(studio, generator, original, made[name], section),
                      "cost": cost(generator, Path(config.run.folder)), "bundle": generator.bundle.identity}
               for name, generator in generators.items()}
    pairs = [{"name": name, "other": other, **compared(made[name], made[other], section.replicates)}
             for name, other in section.against.items() if {name, other} <= made.keys()]
    judged = [name for name in generators if name in section.judged or not section.judged]
    described = {"run": config.run.name, "nature": nature, "domain": segmenter.domain.name,
                 "slices": len(rows), "patients": len(np.unique(original.truth.patients)), "subset": section.subset,
                 "segmenter": segmenter.bundle.identity, "command": command,
                 "judged": judged, "generators": figures, "compared": pairs, "utility": _utility(folder),
                 "pictures": {name: write_pictures(out, cohort, rows, generators[name]) for name in judged}}
    return _write(described, out)


def _generators(section: FaithfulnessConfig, default: str, say: Say) -> dict[str, Generator]:
    """Those that have been exported; the others are named. Raises InputError for a name that nothing has, where none is
    left, and for a bundle that takes no label maps."""
    folders = section.generators or {Path(default).name: default}
    named = {*section.judged, *section.against, *section.against.values()}
    if unknown := sorted(named - folders.keys()):
        raise InputError(f"faithfulness: found {', '.join(map(repr, unknown))} in judged or against, expected names of "
                         f"faithfulness.generators: {', '.join(folders)}.")
    for name, folder in folders.items():
        if not Path(folder).exists():
            say(f"{folder}: no such bundle, so {name} is left out. Train and export it first.")
    generators = {name: Generator.load(folder) for name, folder in folders.items() if Path(folder).exists()}
    if not generators:
        raise InputError(f"faithfulness: none of the bundles {', '.join(folders.values())} exists. Train and export "
                         "one first.")
    for name, generator in generators.items():
        if not any(condition.kind == "spatial" for condition in generator.manifest.conditions):
            raise InputError(f"faithfulness.generators.{name}: {generator.bundle.path} follows no outlines, so there "
                             "is no label map to be faithful to. Name generators that take label maps.")
    return generators


def _likeness(made: SegmentedSlices, original: SegmentedSlices, segmenter: Segmenter, section: FaithfulnessConfig,
              say: Say) -> Json:
    """How like the cohort's slices the images are: Frechet distance in features of the segmenter with its floor, and
    the accuracy of a classifier, None where none is asked for."""
    images, originals, patients = made.images(), original.images(), made.truth.patients
    distances = feature_distances(segmenter.features(originals), segmenter.features(images), patients=patients)
    accuracy = None
    if section.judge_steps:
        say(f"{made.slices.name}: two-sample test ...")
        with torch.random.fork_rng(devices=[]):
            reference, synthetic = (Side(each, patients, len(each)) for each in (originals, images))
            how = ClassifierTraining(steps=section.judge_steps)
            accuracy = asdict(two_sample(reference, synthetic, how).accuracy)
    return {"frechet": distances["frechet"], "floor_frechet": distances["floor_frechet"], "accuracy": accuracy}


def _freed(studio: _Studio, generator: Generator, original: SegmentedSlices, whole: SegmentedSlices,
           section: FaithfulnessConfig) -> Json:
    """class -> figures of images in which it is free; empty for a bundle that leaves no class free."""
    if CLASSES.name not in generator.manifest.sources:
        return {}
    chosen = thinned(np.arange(len(original.found), dtype=np.int64), section.most_free_slices)
    fewer, one = (_some(slices, chosen) for slices in (original, whole))
    return {free: freed_figures(studio.made(generator, original.slices.rows[chosen], free), one, fewer, free,
                                section.replicates)
            for free in section.free or generator.domain.labels.names[1:]}


def _some(chosen: SegmentedSlices, rows: Rows) -> SegmentedSlices:
    """Some rows of a set."""
    truth, masks = chosen.truth, chosen.masks[rows]
    fewer = replace(truth, attributes=truth.attributes[rows], masks=masks, held=truth.held[rows],
                    patients=truth.patients[rows])
    return SegmentedSlices(replace(chosen.slices, rows=chosen.slices.rows[rows], truth=fewer), chosen.found[rows])


def _utility(folder: RunFolder) -> Json | None:
    """What `cldm-train utility` wrote into the run's folder; None before it did."""
    file = folder.own("utility") / UTILITY_FILE
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None


def _write(figures: Mapping[str, Any], out: Path) -> Path:
    clean = without_nan({**figures, "goals": goals(without_nan(dict(figures)))})
    (out / FIGURES).mkdir(parents=True, exist_ok=True)
    write_json(out / FIGURES / f"{figures['run']}.json", clean)
    return write_page(out)
