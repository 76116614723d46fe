"""`cldm-train judge`: how sure is a panel of judges that nobody trained against that images are synthetic?

A cohort that the phantom drew is judged on fresh patients of it, which no training and no choice has seen; the control
is the same label maps rendered again by the phantom. Any other cohort is judged on its test slices; the control is one
half of its test patients against the other.
"""

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cldm_runtime.bundle.nature import cohort_noun
from cldm_runtime.evaluation.features import open_extractor
from cldm_runtime.files.records import without_nan
from cldm_runtime.generation.generator import Generator
from cldm_runtime.scans.phantom_slices import PhantomSource
from cldm_runtime.scans.settings import ScanSettings
from cldm_runtime.store import open_dataset
from cldm_runtime.version import __version__ as runtime_version

from ..config import Config
from ..training.batches import require_cohort
from . import pictures
from .comparisons import halves
from .fresh_phantoms import fresh_sets, phantom_pairs
from .images import ImageRows, levelled, rows_of_subsets
from .judges.features import FeatureJudge
from .judges.judge import Judge, Judged
from .judges.networks import high_pass_judge, pooling_judge
from .judges.panel import JudgeResult, PanelOptions, TwoClasses, best, judge_all
from .judges.spectrum import SpectrumJudge
from .judges.texture import TextureJudge
from .judges.zones import ZoneJudge
from .judging_page import judging_page
from .sets import NOBODY, CohortSets, SyntheticImages, cohort_sets, generated_samples, given_samples

Json = dict[str, Any]
Say = Callable[[str], None]
NAME = "judges"


@dataclass(frozen=True)
class JudgingOptions:
    """pairs: reference and synthetic images of the same label maps, at most. steps: of each network. levelled: both
    sides go through the percentiles of `prepare` first, for the share of black and white pixels alone would distinguish
    an image that was not made by it."""

    pairs: int = 600
    steps: int = 300
    levelled: bool = True
    panel: PanelOptions = field(default_factory=PanelOptions)


@dataclass(frozen=True)
class Tested:
    """The sets that are judged, and how they are described. `control` has the label maps of the compared slices, row by
    row; None: halves of the compared slices are the control."""

    sets: CohortSets
    control: ImageRows | None


def run(config: Config, command: str, *, bundles: Sequence[Path] = (), samples: Path | None = None,
        out: Path | None = None, options: JudgingOptions | None = None, say: Say = lambda text: None) -> Path:
    """Judge the images of every bundle (none given: the exported generator), or those of a file; returns the page.

    Raises InputError for images that do not fit the cohort, BundleError or DatasetError for missing or damaged files.
    """
    torch.set_num_threads(config.run.threads)
    how, folder = options or JudgingOptions(), config.run_folder / NAME
    chosen = () if samples else bundles or [Path(config.export.generator)]
    generators = [Generator.load(path) for path in chosen]  # first: one that is missing is found at once
    folder.mkdir(parents=True, exist_ok=True)
    tested = _tested(config, folder, how, say, fresh=samples is None)
    judges, target = _judges(config, how), out or folder
    synthetic = _synthetic(tested, generators, samples, folder, say)
    control = _judged(_control(tested, how), judges, how, say, "control")
    figures: Json = {"made": _made(command, tested, how), "control": _figures(control), "sets": []}
    for name, images in synthetic:
        comparison = _comparison(tested.sets, images, how)
        results = _judged(comparison, judges, how, say, name)
        picture = f"told-apart-{len(figures['sets'])}.png"
        pictures.told_apart(target / picture, comparison, best(results))
        figures["sets"].append({"generator": name, "source": images.origin, "picture": picture,
                                "images": len(comparison.zero.images), **_figures(results)})
    target.mkdir(parents=True, exist_ok=True)
    clean: Json = without_nan(figures)
    (target / "judges.json").write_text(json.dumps(clean, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    (target / "judges.md").write_text(judging_page(clean), encoding="utf-8")
    return target / "judges.md"


def _tested(config: Config, folder: Path, how: JudgingOptions, say: Say, *, fresh: bool) -> Tested:
    """Fresh patients where the cohort is a phantom that can be rendered again, else the cohort's test slices."""
    if fresh and not config.prepare.raw:
        source = PhantomSource.of(ScanSettings(config.cohort, config.prepare))
        if source.rules.rerender is not None:
            pairs = phantom_pairs(source, how.pairs, folder, say)
            return Tested(fresh_sets(pairs, source), rows_of_subsets(pairs.control, (pairs.subset,)))
    require_cohort(config.cohort_file)
    return Tested(cohort_sets(config.cohort_file), None)


def _judges(config: Config, how: JudgingOptions) -> list[Judge]:
    """The panel. The judge of features is left out where there is neither a segmenter nor an ONNX file."""
    fine, whole = high_pass_judge(), pooling_judge()
    networks = [dataclasses.replace(judge, training=dataclasses.replace(judge.training, steps=how.steps))
                for judge in (fine, whole)]
    judges: list[Judge] = [SpectrumJudge(), TextureJudge(), ZoneJudge(), *networks]
    own, segmenter = config.results.features, Path(config.export.segmenter)
    if own or segmenter.exists():
        judges.append(FeatureJudge(open_extractor(Path(own) if own else None, segmenter)))
    return judges


def _synthetic(tested: Tested, generators: Sequence[Generator], samples: Path | None, folder: Path, say: Say
               ) -> list[tuple[str, SyntheticImages]]:
    """Names and images of what is judged."""
    if samples is not None:
        return [(samples.name, given_samples(tested.sets, samples))]
    return [(generator.bundle.identity, generated_samples(tested.sets, generator, folder, 1, say))
            for generator in generators]


def _judged(comparison: TwoClasses, judges: Sequence[Judge], how: JudgingOptions, say: Say, name: str
            ) -> list[JudgeResult]:
    return judge_all(comparison, judges, how.panel, lambda text: say(f"{name}: {text}"))


def _control(tested: Tested, how: JudgingOptions) -> TwoClasses:
    """Nothing is to be found: the phantom against itself, or the cohort against other patients of it."""
    sets = tested.sets
    if tested.control is not None:
        zero, one = _first(sets.compared, how), _first(tested.control, how)
    else:
        zero, one = (_first(half, how) for half in halves(sets.compared, 0))
        count = min(len(zero), len(one))
        zero, one = zero.chosen(np.arange(count)), one.chosen(np.arange(count))
    return TwoClasses(_side(zero, zero, sets, how), _side(one, one, sets, how), zero.groups("one"), one.groups("other"))


def _comparison(sets: CohortSets, samples: SyntheticImages, how: JudgingOptions) -> TwoClasses:
    """Each compared slice against the first image that was made for it; unpaired, without label maps, where nothing
    says what an image was made for."""
    if samples.partners is None:
        count = min(len(sets.compared), len(samples.images), how.pairs)
        zero, one = (rows.chosen(np.arange(count)) for rows in (sets.compared, samples.images))
        return TwoClasses(_side(zero, None, sets, how), _side(one, None, sets, how), zero.groups("cohort"),
                          one.groups("synthetic"))
    partners, first = np.unique(samples.partners, return_index=True)
    kept = np.flatnonzero(partners != NOBODY)[: how.pairs]
    zero, one = sets.compared.chosen(partners[kept]), samples.images.chosen(first[kept].astype(np.int64))
    maps = zero if _show_maps(one) else None
    return TwoClasses(_side(zero, maps, sets, how), _side(one, maps, sets, how), zero.groups("cohort"),
                      zero.groups("cohort"))


def _show_maps(images: ImageRows) -> bool:
    """Whether a file's images were made for label maps: those made from attributes alone hold none."""
    with open_dataset(images.path) as dataset:
        return "masks" in dataset


def _first(rows: ImageRows, how: JudgingOptions) -> ImageRows:
    return rows.chosen(np.arange(min(len(rows), how.pairs)))


def _side(images: ImageRows, maps: ImageRows | None, sets: CohortSets, how: JudgingOptions) -> Judged:
    """Images with the label maps of `maps`, row by row."""
    pixels = images.take(slice(None))
    with open_dataset((maps or sets.compared).path) as dataset:
        labels = None if maps is None else dataset.masks(maps.rows)
        names, spacing = dataset.load_domain().labels.names, dataset.spacing_mm
    return Judged(levelled(pixels, sets.percentiles) if how.levelled else pixels, labels, names, spacing)


def _figures(results: Sequence[JudgeResult]) -> Json:
    leader = best(results)
    judges = [{"name": result.name, "looks_at": result.looks_at,
               "accuracy": None if result.accuracy is None else dataclasses.asdict(result.accuracy)}
              for result in results]
    return {"judges": judges, "best": leader.name,
            "accuracy": dataclasses.asdict(leader.accuracy) if leader.accuracy else None}


def _made(command: str, tested: Tested, how: JudgingOptions) -> Json:
    fresh = tested.control is not None
    with open_dataset(tested.sets.compared.path) as dataset:
        nature = dataset.nature
    noun = cohort_noun(nature)
    return {"command": command, "nature": nature, "noun": noun, "fresh": fresh,
            "versions": f"cldm-trainer {version('cldm-trainer')}, cldm-runtime {runtime_version}",
            "slices": len(tested.sets.compared), "patients": len(np.unique(tested.sets.compared.groups("slice"))),
            "levelled": how.levelled, "steps": how.steps, **dataclasses.asdict(how.panel)}
