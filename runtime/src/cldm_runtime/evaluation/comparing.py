"""Several segmentations of the same samples beside each other: paired differences, and rows that must come out right.

Two rows need no segmenter: the reference itself, whose Dice is 1, and an empty segmentation, which misses everything.
They are measured by the same code as the segmentations; where they look wrong, no other row can be trusted.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..files.records import without_nan
from ..metrics.agreement import Estimate, clustered_rate, mean_estimate
from ..metrics.overlap import DEFINITION, Scores
from ..metrics.paired import PairedDifference, paired_difference, paired_differences
from ..metrics.strata import FEWEST, bin_edges, bins_of
from ..store import Dataset
from .fresh import refuse_stale
from .scoring import score_labels
from .strata import attribute_columns, looked_at, region_outcomes
from .summary import REPLICATES, Samples, outcome, read_samples
from .value_tables import NOTHING

FORMAT, FORMAT_VERSION = "cldm-comparison", 1
REFERENCE, EMPTY = "the reference itself", "an empty segmentation"
HIGHER_IS_BETTER = ("dice", "dice_by_lesion")
Values = NDArray[np.float64]


@dataclass(frozen=True)
class ComparedRow:
    """One segmentation. dice: over samples whose reference holds the region, a miss counts 0; missed, false: shares of
    the samples whose reference holds the region, or lacks it; error: mean |measured - reference| of each attribute."""

    name: str
    dice: Mapping[str, Estimate]
    missed: Mapping[str, Estimate]
    false: Mapping[str, Estimate]
    error: Mapping[str, Estimate]


@dataclass(frozen=True)
class ComparedFigure:
    """A figure of one segmentation minus that of the other. figure: dice, hd95_mm, missed, false, dice_by_lesion,
    hd95_by_lesion_mm, lesions_false (of a region) or error (of an attribute)."""

    figure: str
    of: str
    unit: str
    lower_is_better: bool
    paired: PairedDifference


@dataclass(frozen=True)
class ComparedBin:
    """Dice of a region (without masks: how often it was found), in one bin of an attribute of the reference."""

    attribute: str
    unit: str
    low: float
    high: float
    region: str
    figure: str
    paired: PairedDifference


@dataclass(frozen=True)
class SegmentationPair:
    """`one` minus `other`. The simultaneous intervals of the bins hold for all bins of a region together."""

    one: str
    other: str
    figures: tuple[ComparedFigure, ...]
    bins: tuple[ComparedBin, ...]


@dataclass(frozen=True)
class SegmentationComparison:
    """The content of comparison.json. unit: what the bootstrap draws: patient, condition or sample."""

    dataset: str
    subset: str
    lesion: str | None
    n_samples: int
    unit: str
    n_units: int
    seed: int
    replicates: int
    content_sha256: Mapping[str, str]
    rows: tuple[ComparedRow, ...]
    pairs: tuple[SegmentationPair, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values, None for NaN."""
        cleaned: dict[str, Any] = without_nan({"format": FORMAT, "format_version": FORMAT_VERSION,
                                               "metric_definition": DEFINITION, **asdict(self)})
        return cleaned


def compare_segmentations(dataset: Dataset, names: Sequence[str], subset: str | None = None, seed: int = 0,
                          replicates: int = REPLICATES) -> SegmentationComparison:
    """Every pair of the named segmentations, and the two rows that need none. Raises InputError for fewer than two
    names, and DatasetError for a segmentation that is missing, not measured or out of date."""
    if len(set(names)) < 2 or len(set(names)) < len(names):
        raise InputError(f"{dataset.path}: found the segmentations {', '.join(names) or 'none'}, expected two or more "
                         "different ones to compare.")
    contents = {name: refuse_stale(dataset, name) for name in names}
    samples = {name: read_samples(dataset, name, subset) for name in names}
    first = samples[names[0]]
    unit, clusters = first.clusters
    settings = _Bootstrapping(clusters, seed, replicates)
    rows = [settings.row(name, each) for name, each in samples.items()]
    rows += [settings.row(name, each) for name, each in known_answers(dataset, first)]
    pairs = tuple(settings.pair(one, other, samples[one], samples[other]) for one, other in combinations(names, 2))
    return SegmentationComparison(
        dataset.path.name, subset or "all", first.domain.lesion, len(first), unit,
        len(first) if clusters is None else len(np.unique(clusters)), seed, replicates, contents, tuple(rows), pairs)


def known_answers(dataset: Dataset, samples: Samples) -> Iterator[tuple[str, Samples]]:
    """The reference itself, in a file that has masks, and an empty segmentation, measured as segmentations are."""
    for name in ((REFERENCE, EMPTY) if "masks" in dataset else (EMPTY,)):
        parts = [_measured(dataset, samples, name, samples.rows[start:start + dataset.rows_at_once])
                 for start in range(0, len(samples), dataset.rows_at_once)]
        scores = None
        if samples.scores is not None:
            scores = Scores(samples.scores.names, samples.scores.units, np.concatenate([part[2] for part in parts]),
                            np.concatenate([part[3] for part in parts]))
        yield name, replace(samples, attributes=np.concatenate([part[0] for part in parts]),
                            reasons=np.concatenate([part[1] for part in parts]), scores=scores,
                            imaging=NOTHING, places=NOTHING)


def _measured(dataset: Dataset, samples: Samples, name: str, rows: NDArray[np.int64]) -> tuple[Any, Any, Any, Any]:
    reference = dataset.reference(rows) if "masks" in dataset else np.zeros((len(rows), *dataset.shape), np.uint8)
    labels = reference if name == REFERENCE else np.zeros_like(reference)
    measured = samples.domain.measure(labels, dataset.spacing_mm)
    scores = score_labels(labels, reference, samples.domain, dataset.spacing_mm)
    return measured.values, measured.reasons, scores.values, scores.reasons


@dataclass(frozen=True)
class _Bootstrapping:
    """How intervals are drawn, the same way for every figure."""

    clusters: NDArray[np.generic] | None
    seed: int
    replicates: int

    def row(self, name: str, samples: Samples) -> ComparedRow:
        figures: dict[str, dict[str, Estimate]] = {"dice": {}, "missed": {}, "false": {}, "error": {}}
        for figure, of, _, values in _sample_figures(samples):
            known = np.isfinite(values)
            clusters = None if self.clusters is None else self.clusters[known]
            if figure in ("missed", "false"):
                figures[figure][of] = clustered_rate(values[known], clusters, self.replicates, self.seed)
            elif figure in figures:
                figures[figure][of] = mean_estimate(values[known], clusters, self.replicates, self.seed)
        return ComparedRow(name, **figures)

    def pair(self, one: str, other: str, first: Samples, second: Samples) -> SegmentationPair:
        ours, theirs = list(_sample_figures(first)), list(_sample_figures(second))
        figures = tuple(
            ComparedFigure(figure, of, unit, figure not in HIGHER_IS_BETTER, paired_difference(
                a, b, self.clusters, lower_is_better=figure not in HIGHER_IS_BETTER, replicates=self.replicates,
                seed=self.seed))
            for (figure, of, unit, a), (_, _, _, b) in zip(ours, theirs, strict=True))
        return SegmentationPair(one, other, figures, tuple(self._bins(first, second)))

    def _bins(self, first: Samples, second: Samples) -> Iterator[ComparedBin]:
        table = first.requested if first.mask is None else first.mask
        if table is None:
            return
        ours, theirs = region_outcomes(first), {each.region: each for each in region_outcomes(second)}
        for each in ours:
            figure = "dice" if first.scores is not None else "found"
            a, b = ((one.dice if figure == "dice" else one.segmented.astype(np.float64))
                    for one in (each, theirs[each.region]))
            places, masks = list[tuple[str, str, float, float]](), list[NDArray[np.bool_]]()
            for attribute, reference, _ in attribute_columns(first, table):
                held = each.held & np.isfinite(reference)
                if not held.any() or each not in looked_at(attribute.name, ours):
                    continue
                edges = bin_edges(reference, each.held)
                for number, (low, high) in enumerate(pairwise(edges)):
                    places.append((attribute.name, attribute.unit, float(low), float(high)))
                    masks.append(held & (bins_of(reference, edges) == number))
            if masks:
                found = paired_differences(a, b, masks, self.clusters, fewest=FEWEST, replicates=self.replicates,
                                           seed=self.seed)
                yield from (ComparedBin(*place, each.region, figure, paired)
                            for place, paired in zip(places, found, strict=True))


def _lesion_figures(scores: Scores, region: str) -> Iterator[tuple[str, str, str, Values]]:
    """As `_sample_figures`, by lesion, where the scores have it: every sample counts."""
    for figure, unit in (("dice_by_lesion", ""), ("hd95_by_lesion_mm", "mm"), ("lesions_false", "count")):
        if f"{region}_{figure}" in scores.names:
            yield figure, region, unit, scores[f"{region}_{figure}"].astype(np.float64)


def _sample_figures(samples: Samples) -> Iterator[tuple[str, str, str, Values]]:
    """(figure, region or attribute, unit, (N,) values) of one segmentation; NaN where a sample has none."""
    for region in samples.domain.labels.regions:
        words = np.array(outcome(samples, region))
        if not words.size:
            continue
        held, without = np.isin(words, ("found", "missed")), np.isin(words, ("false", "absent"))
        if samples.scores is not None:
            yield "dice", region, "", np.where(held, samples.scores[f"{region}_dice"], np.nan).astype(np.float64)
            yield "hd95_mm", region, "mm", samples.scores[f"{region}_hd95_mm"].astype(np.float64)
            yield from _lesion_figures(samples.scores, region)
        yield "missed", region, "fraction", np.where(held, words == "missed", np.nan)
        yield "false", region, "fraction", np.where(without, words == "false", np.nan)
    table = samples.requested if samples.mask is None else samples.mask
    if table is not None:
        for column, attribute in enumerate(samples.domain.attributes):
            yield ("error", attribute.name, attribute.unit,
                   np.abs(samples.attributes[:, column] - table[:, column]).astype(np.float64))
