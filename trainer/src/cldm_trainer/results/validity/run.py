"""`cldm-train validity`: does testing segmenters on synthetic images predict testing them on the reference?

Writes validity.json, validity.md and figures/validity.svg. Everything that takes time is kept in <run folder>/validity
and used again.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from cldm_runtime.errors import InputError
from cldm_runtime.files.atomic import write_json, write_text
from cldm_runtime.files.records import plain, without_nan
from cldm_runtime.generation.generator import Generator
from cldm_runtime.store import ANNOTATIONS, open_dataset

from ...config import Config
from ...training.run_folder import RunFolder
from ..page_file import VALIDITY_FILE
from .networks import check_networks
from .page import validity_section
from .picture import scatter
from .prediction import FigureTerms, Json, predict_validity
from .segmenters import ComparedSegmenter, compared_segmenters
from .sets import (
    Rows,
    Say,
    SegmentedSet,
    cohort_set,
    outcomes_of,
    split_patients,
    synthetic_plan,
    synthetic_slices,
)
from .training import STAGE

FEWEST = 3  # segmenters: the order of two is right by chance every second time
CEILING = "reference, other patients"


def run(config: Config, command: str, cohort: Path, out: Path, say: Say = lambda text: None) -> Path:
    """Segment, measure and write below `out`; returns the page. cohort: the file whose patients are tested; networks
    are trained on that of the configuration. A run that was stopped goes on where it stood.

    Raises InputError for settings that do not fit each other or the cohort, BundleError and DatasetError for files that
    are missing or damaged.
    """
    section, folder = config.validity, RunFolder.of(config)
    if len(section.segmenters) < FEWEST:
        raise InputError(f"validity.segmenters: found {len(section.segmenters)}, expected at least {FEWEST}, better 12 "
                         "of varied quality. trainer/configs/phantom-cpu-validity.toml has a list to copy.")
    check_networks({f"validity.segmenters.{name}": recipe for name, recipe in section.segmenters.items()},
                   folder.cohort.shape)
    torch.set_num_threads(config.run.threads)
    segmenters = compared_segmenters(section.segmenters, folder)
    rows, other = split_patients(cohort, section)
    generators = _generators(section.generators or (config.export.generator,), cohort, other)
    kept = folder.own(STAGE)

    def terms_of(chosen: SegmentedSet) -> FigureTerms:
        return FigureTerms.of(outcomes_of(segmenters, chosen, kept / "outcomes", say), chosen.truth)

    # The cohort's slices first: training and outcomes on them are of use again when a generator is replaced.
    reference, ceiling = (cohort_set(cohort, chosen, name, section.scored_against)
                          for chosen, name in ((rows, "reference"), (other, CEILING)))
    by_reference, by_ceiling = terms_of(reference), terms_of(ceiling)
    generated = [synthetic_slices(cohort, other, generator, kept / "images", say, against=section.scored_against)
                 for generator in generators]
    tables = {**{chosen.name: terms_of(chosen) for chosen in generated}, CEILING: by_ceiling}
    figures = predict_validity(by_reference, tables, CEILING, list(section.segmenters), folder.cohort.domain,
                               section.replicates)
    return write(_described(figures, config, command, cohort, [reference, *generated, ceiling], segmenters), out)


def _generators(folders: Sequence[str], cohort: Path, rows: Rows) -> list[Generator]:
    """Opened and checked before anything is trained. Raises InputError where two have the same folder name or one does
    not fit the cohort, BundleError for one that is missing or damaged."""
    names = [Path(folder).name for folder in folders]
    if len(set(names)) < len(names):
        raise InputError(f"validity.generators: found the names {', '.join(names)}, expected a different one for each. "
                         "Rename a folder.")
    generators = [Generator.load(folder) for folder in folders]
    with open_dataset(cohort) as dataset:
        for generator in generators:
            synthetic_plan(dataset, rows, generator)
    return generators


def _described(figures: Json, config: Config, command: str, cohort: Path, sets: Sequence[SegmentedSet],
               segmenters: Sequence[ComparedSegmenter]) -> Json:
    """The figures with what they are of, without NaN."""
    with open_dataset(cohort) as dataset:
        nature, has_reader = dataset.nature, ANNOTATIONS in dataset
    one, other = sets[0].truth, sets[-1].truth
    sizes = {"reference": len(one), "reference_patients": len(set(one.patients.tolist())), "other": len(other),
             "other_patients": len(set(other.patients.tolist()))}
    makers = {"bundles": {chosen.name: chosen.maker for chosen in sets if chosen.maker},
              "segmenters": {segmenter.name: segmenter.bundle for segmenter in segmenters if segmenter.bundle}}
    described: Json = without_nan({"nature": nature, "axes": one.domain.axes,
                                    "scored_against": config.validity.scored_against, "has_reader": has_reader,
                                    **figures, "made": {
        "command": command, "sizes": sizes, **makers, "settings": plain(config.validity)}})
    return described


def write(figures: Json, out: Path) -> Path:
    """validity.json, its page and picture."""
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / VALIDITY_FILE, figures)
    scatter(out / "figures" / "validity.svg", figures)
    page = out / "validity.md"
    write_text(page, f"{validity_section(figures)}\n")
    return page
