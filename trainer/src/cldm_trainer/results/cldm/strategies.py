"""The strategies side by side: images of every bundle for the same slices, and what is measured on them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cldm_runtime.evaluation.distances import feature_distances
from cldm_runtime.evaluation.features import Extractor, Features
from cldm_runtime.evaluation.summary import Samples
from cldm_runtime.generation.generator import Generator
from cldm_runtime.store import open_dataset

from ..figures_of_merit import Json, Measured, measure_set, restrict, without_label
from ..sets import synthetic_set
from ..workshop import Workshop

SEEDS = 1  # of every test slice, in the tables that compare strategies: as many images as the paper has


@dataclass(frozen=True)
class Strategy:
    """A bundle, known by the paper's number of the strategy, and the workshop of its sets."""

    key: str
    shop: Workshop

    @cached_property
    def measured(self) -> Measured:
        """Its images for the slices of the compared subsets, segmented."""
        return measure_set(self.shop, synthetic_set(self.shop))

    @property
    def outlined(self) -> bool:
        """Whether its images follow the outlines of a label map, so that overlap with it means something."""
        return _outlined(self.shop.generator)

    def test(self) -> Samples:
        """Every test slice, `SEEDS` times."""
        samples = self.measured.samples("test")
        slices = len(self.shop.rows("test"))
        return restrict(samples, np.arange(len(samples)) < SEEDS * slices)


def strategies(shop: Workshop) -> list[Strategy]:
    """The bundles that the workshop names, in its order; its own generator keeps its workshop. Those that have not been
    exported are left out, and named.

    Raises BundleError for a bundle that is missing or damaged.
    """
    present = []
    for key, folder in shop.strategies.items():
        if not Path(folder).exists():
            shop.say(f"{folder}: no such bundle, so strategy {key} is left out. Train and export it first.")
            continue
        present.append(strategy_of(shop, key, Path(folder)))
    return present


def strategy_of(shop: Workshop, key: str, folder: Path) -> Strategy:
    """A bundle under a name; the workshop's own generator keeps its workshop."""
    own = folder.resolve() == shop.generator.bundle.path.resolve()
    return Strategy(key, shop if own else _workshop(shop, folder))


def _workshop(shop: Workshop, folder: Path) -> Workshop:
    """A workshop for another bundle; one without outlines makes the test slices alone, since Table 2 leaves it out."""
    generator = Generator.load(folder)
    return replace(shop, folder=shop.folder / folder.name, generator=generator, sizes=replace(shop.sizes, seeds=SEEDS),
                   only=() if _outlined(generator) else ("test",), seconds={})


def _outlined(generator: Generator) -> bool:
    return any(condition.kind == "spatial" for condition in generator.manifest.conditions)


def strategy_figures(shop: Workshop, cohort: Measured, chosen: list[Strategy], extractor: Extractor) -> Json:
    """Both tables: agreement and distances of the cohort's subsets and of every strategy; overlap of outlined ones."""
    rows = {f"real, {name}": cohort.row(f"real, {name}", cohort.samples(name)) for name in shop.subsets}
    for name, label in shop.without.items():
        title = f"real, {name} without {label}"
        rows[title] = cohort.row(title, without_label(cohort, cohort.samples(name), label))
    distances = Distances(shop, cohort, extractor)
    by_set = {"real, test": distances.cohort()}
    for strategy in chosen:
        rows |= {row["set"]: row for row in _rows(strategy)}
        by_set[strategy.key] = distances.synthetic(strategy)
    return {"keys": [strategy.key for strategy in chosen],
            "missing": [key for key in shop.strategies if key not in by_set],
            "outlined": [strategy.key for strategy in chosen if strategy.outlined],
            "seeds": SEEDS,
            "folders": {strategy.key: strategy.shop.generator.bundle.path.name for strategy in chosen},
            "bundles": {strategy.key: strategy.shop.generator.bundle.identity for strategy in chosen},
            "budgets": {strategy.key: _budget(strategy) for strategy in chosen},
            "label_vaes": {strategy.key: stated for strategy in chosen if (stated := _label_vae(strategy))},
            "sampling": {strategy.key: _sampling(strategy) for strategy in chosen},
            "rows": rows, "distances": by_set, "features": extractor.name}


def _rows(strategy: Strategy) -> list[Json]:
    """The strategy's rows: test, and where it is outlined every other compared subset, whole and without its label."""
    shop, measured = strategy.shop, strategy.measured
    rows = [measured.row(f"{strategy.key}, test", strategy.test())]
    if not strategy.outlined:
        return rows
    for name in shop.compared[1:]:
        samples = measured.samples(name)
        rows.append(measured.row(f"{strategy.key}, {name}", samples))
        if name in shop.without:
            title, fewer = f"{name} without {shop.without[name]}", without_label(measured, samples, shop.without[name])
            rows.append(measured.row(f"{strategy.key}, {title}", fewer))
    return rows


def _budget(strategy: Strategy) -> Json:
    """Training steps of every network in the bundle, as its manifest states them."""
    steps = strategy.shop.generator.manifest.provenance.get("steps", {})
    return dict(steps) if isinstance(steps, Mapping) else {}


def _label_vae(strategy: Strategy) -> Json:
    """What the manifest states of its VAE of label maps on validation slices; empty where it has none."""
    stages = strategy.shop.generator.manifest.quality.get("validation", {})
    return dict(stages.get("label-vae", {})) if isinstance(stages, Mapping) else {}


def _sampling(strategy: Strategy) -> str:
    sampling = strategy.shop.generator.sampling
    return f"{sampling.sampler}, {sampling.steps} steps, guidance {sampling.guidance:g}"


class Distances:
    """Distance of the cohort's test slices, and of synthetic ones for the same slices, to training slices:
    `feature_distances`, whose floor is that of training slices of one half of the patients to those of the other."""

    def __init__(self, shop: Workshop, cohort: Measured, extractor: Extractor) -> None:
        self.extractor, self.spacing = extractor, shop.generator.manifest.image.spacing_mm
        self.repeats = shop.sizes.features_repeats
        training, test = cohort.samples("train"), cohort.samples("test")
        self.patients = training.patients
        self.training, self.test = (self._features(cohort.path, samples.rows) for samples in (training, test))

    def _features(self, path: Path, rows: NDArray[np.int64]) -> Features:
        with open_dataset(path) as dataset:
            return self.extractor(dataset.images(rows), self.spacing)

    def cohort(self) -> Json:
        """Of the test slices."""
        return self._against(self.test)

    def synthetic(self, strategy: Strategy) -> Json:
        """Of the strategy's images of the first seed."""
        rows = strategy.test().rows[:len(self.test)]
        return self._against(self._features(strategy.measured.path, rows))

    def _against(self, features: Features) -> Json:
        return dict(feature_distances(self.training, features, patients=self.patients, repeats=self.repeats))
