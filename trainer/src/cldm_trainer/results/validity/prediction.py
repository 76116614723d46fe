"""Whether testing on synthetic images predicts testing on the reference: order of the segmenters, and gaps.

| symbol | here |
|---|---|
| y_s, x_s | a figure of segmenter s on the synthetic images, on the reference slices |
| tau | Kendall's tau-b of x and y over the segmenters |
| gap | y_s - x_s; "mean" over segmenters: of the gap (does it flatter?), of |gap| |
| paired gap | y_s minus the figure on the cohort's own slices of the same label maps; and its mean over segmenters |
| slice correlation | of Dice of a segmenter on the two, slice by slice |

Intervals are 95 % percentile intervals. A replicate draws the patients of the reference with replacement, and those of
the label maps, each as a whole and the same for all segmenters and generators. The segmenters themselves are not drawn.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cldm_runtime.domains.domain import Domain
from cldm_runtime.metrics.agreement import Estimate
from cldm_runtime.metrics.ranking import kendall_tau
from cldm_runtime.metrics.strata import bin_edges, bins_of

from .outcomes import SliceOutcomes, Truth, figure_names, terms, unit_of, values_of

Values = NDArray[np.float64]
Json = dict[str, Any]
_SEED = 0


@dataclass(frozen=True)
class FigureTerms:
    """One set of slices: table (S, N, F, 2), what each slice adds to each figure of each segmenter; patients (N,);
    attributes (N, A) and held (N,) of the reference."""

    table: Values
    patients: NDArray[np.str_]
    attributes: Values
    held: NDArray[np.bool_]

    @classmethod
    def of(cls, outcomes: Sequence[SliceOutcomes], truth: Truth) -> "FigureTerms":
        table = np.stack([terms(single, truth) for single in outcomes])
        return cls(table, truth.patients, truth.attributes.astype(np.float64), truth.held)

    def replicated(self, replicates: int, seed: int, chosen: NDArray[np.bool_] | None = None) -> Values:
        """(1 + replicates, S, F): the figures, then those of each draw of patients; over the chosen slices (N,)."""
        table = self.table if chosen is None else self.table * chosen[None, :, None, None]
        names, numbers = np.unique(self.patients, return_inverse=True)
        sums = np.zeros((len(names), len(table), *table.shape[2:]))
        np.add.at(sums, numbers, table.swapaxes(0, 1))
        return values_of(np.tensordot(drawn_patients(len(names), replicates, seed), sums, axes=1))


def drawn_patients(count: int, replicates: int, seed: int = 0) -> Values:
    """(1 + replicates, count) how often each patient counts: once, then as each draw with replacement has it."""
    drawn = np.random.default_rng([_SEED, seed]).multinomial(count, [1 / count] * count, replicates)
    return np.concatenate([np.ones((1, count)), drawn])


def predict_validity(reference: FigureTerms, synthetic: Mapping[str, FigureTerms], ceiling: str,
                     segmenters: Sequence[str], domain: Domain, replicates: int = 1000) -> Json:
    """Everything that the page shows, as JSON values that may be NaN.

    synthetic: name -> set. `ceiling` names the one that holds the cohort's own slices of the label maps' patients: what
    a perfect generator would reach.
    """
    names = figure_names(domain)
    x = reference.replicated(replicates, 0)
    y = {name: other.replicated(replicates, 1) for name, other in synthetic.items()}
    generators = [name for name in synthetic if name != ceiling]
    taus = {name: np.stack([kendall_tau(x[..., f], values[..., f]) for f in range(len(names))], axis=-1)
            for name, values in y.items()}
    figures: Json = {name: {"unit": unit_of(name, domain), "reference": _by_segmenter(x[..., f], segmenters),
                            "sets": {key: _compared(x[..., f], y[key][..., f], taus[key][:, f], segmenters)
                                     | _paired(y[key][..., f] - y[ceiling][..., f], segmenters) for key in y}}
                     for f, name in enumerate(names)}
    for name in _overlaps(domain):
        for key in generators:
            correlations = slice_correlations(synthetic[key], synthetic[ceiling], names.index(name), replicates)
            figures[name]["sets"][key]["slice_correlations"] = _by_segmenter(correlations, segmenters)
    gaps = {key: float(_mean(np.abs(y[key][0] - x[0]), None)) for key in generators}
    return {"segmenters": list(segmenters), "generators": generators, "ceiling": ceiling, "lesion": domain.lesion,
            "figures": figures, "best": _best({key: taus[key] for key in generators}, gaps, names),
            "strata": _strata(reference, synthetic, names, domain, replicates)}


def slice_correlations(one: FigureTerms, other: FigureTerms, figure: int, replicates: int) -> Values:
    """(1 + replicates, S) Pearson's correlation over the slices for which both sets, row by row of the same label maps,
    have the figure."""
    names, numbers = np.unique(one.patients, return_inverse=True)
    weights = drawn_patients(len(names), replicates, 1)[:, numbers]
    result = np.full((len(weights), len(one.table)), np.nan)
    for s, (a, b) in enumerate(zip(one.table[:, :, figure], other.table[:, :, figure], strict=True)):
        both = (a[:, 1] > 0) & (b[:, 1] > 0)
        result[:, s] = _correlation(a[both, 0], b[both, 0], weights[:, both])
    return result


def _correlation(a: Values, b: Values, weights: Values) -> Values:
    """(R,) of a and b (N,) with weights (R, N); NaN where one does not vary."""
    total = weights.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_a, mean_b, aa, bb, ab = (weights @ each / total for each in (a, b, a * a, b * b, a * b))
        spread = (aa - mean_a**2) * (bb - mean_b**2)
        return np.asarray(np.where(spread > 1e-12, (ab - mean_a * mean_b) / np.sqrt(spread), np.nan))


def estimate(values: Values) -> Json:
    """The first of (1 + R,) values, with the percentiles of the rest that are defined."""
    drawn = values[1:][np.isfinite(values[1:])]
    low, high = np.percentile(drawn, [2.5, 97.5]) if drawn.size > 1 else (math.nan, math.nan)
    return asdict(Estimate(float(values[0]), float(low), float(high)))


def _by_segmenter(values: Values, segmenters: Sequence[str]) -> Json:
    return {name: estimate(values[:, s]) for s, name in enumerate(segmenters)}


def _compared(x: Values, y: Values, tau: Values, segmenters: Sequence[str]) -> Json:
    """One figure (1 + R, S) on the reference and on another set."""
    gap = y - x
    defined = np.isfinite(gap[0])
    largest = int(np.argmax(np.where(defined, np.abs(gap[0]), -1.0)))
    return {"tau": estimate(tau), "mean_gap": estimate(_mean(gap, -1)),
            "absolute_gap": estimate(_mean(np.abs(gap), -1)),
            "largest_gap": {"segmenter": segmenters[largest], **estimate(gap[:, largest])} if defined.any() else None,
            "values": _by_segmenter(y, segmenters), "gaps": _by_segmenter(gap, segmenters), "n": int(defined.sum())}


def _paired(gap: Values, segmenters: Sequence[str]) -> Json:
    """Differences (1 + R, S) on the same label maps."""
    return {"paired_gap": estimate(_mean(gap, -1)), "paired_gaps": _by_segmenter(gap, segmenters)}


def _mean(values: Values, axis: int | None) -> Values:
    """Mean of what is defined; NaN where nothing is."""
    known = np.isfinite(values)
    count = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def _best(taus: Mapping[str, Values], gaps: Mapping[str, float], names: Sequence[str]) -> Json | None:
    """The generator with the largest mean tau over the figures that are defined for all generators; of equal ones, that
    with the smaller mean |gap|. None without such figures."""
    if not taus:
        return None
    common = np.all([np.isfinite(tau[0]) for tau in taus.values()], axis=0)
    if not common.any():
        return None
    means = {key: _mean(tau[:, common], -1) for key, tau in taus.items()}
    order = sorted(means, key=lambda key: (-means[key][0], gaps[key]))
    ahead = estimate(means[order[0]] - means[order[1]]) if len(order) > 1 else None
    return {"generator": order[0], "figures": [name for name, shared in zip(names, common, strict=True) if shared],
            "mean_tau": {key: estimate(means[key]) for key in order}, "ahead_of_next": ahead}


def _strata(reference: FigureTerms, synthetic: Mapping[str, FigureTerms], names: Sequence[str], domain: Domain,
            replicates: int) -> list[Json]:
    """Five bins of every attribute that the reference defines; edges are those of its slices with the lesion."""
    rows: list[Json] = []
    for column, attribute in enumerate(domain.attributes):
        values = reference.attributes[:, column]
        if not np.isfinite(values).any():
            continue
        edges = bin_edges(values, reference.held)
        looked_at = [name for name in names if name == f"mae_{attribute.name}" or name in _overlaps(domain)]
        for number, (low, high) in enumerate(pairwise(edges)):
            rows += [{"attribute": attribute.name, "low": float(low), "high": float(high), **row}
                     for row in _bin(reference, synthetic, [names.index(name) for name in looked_at], names,
                                     (column, number, edges), replicates)]
    return rows


def _overlaps(domain: Domain) -> list[str]:
    return [f"dice_{region}" for region in ([domain.lesion] if domain.lesion else domain.labels.regions)]


def _bin(reference: FigureTerms, synthetic: Mapping[str, FigureTerms], figures: Sequence[int], names: Sequence[str],
         where: tuple[int, int, Values], replicates: int) -> list[Json]:
    """Every set and figure in one bin: where = (attribute's column, number of the bin, edges)."""
    column, number, edges = where

    def inside(terms_: FigureTerms) -> NDArray[np.bool_]:
        return np.asarray(bins_of(terms_.attributes[:, column], edges) == number)

    x, rows = reference.replicated(replicates, 0, inside(reference)), []
    for key, other in synthetic.items():
        y = other.replicated(replicates, 1, inside(other))
        for f in figures:
            gap = y[..., f] - x[..., f]
            rows.append({"set": key, "figure": names[f], "n_reference": int((inside(reference) & reference.held).sum()),
                         "n_synthetic": int((inside(other) & other.held).sum()),
                         "tau": estimate(kendall_tau(x[..., f], y[..., f])), "mean_gap": estimate(_mean(gap, -1)),
                         "absolute_gap": estimate(_mean(np.abs(gap), -1))})
    return rows
