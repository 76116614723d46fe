"""Frechet and kernel distance between a cohort's and synthetic images, next to that of two halves of the cohort.

| symbol | here |
|---|---|
| n | slices on each side of every comparison, the same for the floor |
| FD, KD | as in `metrics/realism.py` |

FD is biased upwards by an amount that falls about as 1 / n and depends on the set (Chong and Forsyth, "Effectively
unbiased FID and Inception Score", arXiv 1911.07023): compare FD at one n only, and read it next to its floor. No value
is extrapolated to infinite n. KD does not have this bias.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..metrics.realism import frechet_distance, kernel_distance
from .features import Extractor, Features, Images

REPEATS = 10
KERNEL_SUBSET = 1000
_FEWEST = 2
Rows = NDArray[np.int64]
Names = NDArray[np.str_]


@dataclass(frozen=True)
class _Draw:
    """Rows of one comparison: two disjoint parts of the reference set and a part of the synthetic set, n rows each."""

    one: Rows
    other: Rows
    synthetic: Rows


def distances(reference: Images, synthetic: Images, extractor: Extractor, spacing_mm: tuple[float, ...] = (1.0, 1.0), *,
              patients: Names | None = None, repeats: int = REPEATS, seed: int = 0) -> dict[str, float | int]:
    """Distances of images (N, C, H, W) and (M, C, H, W) in 0..1 by an extractor; see `feature_distances`."""
    return feature_distances(extractor(reference, spacing_mm), extractor(synthetic, spacing_mm), patients=patients,
                             repeats=repeats, seed=seed)


def feature_distances(reference: Features, synthetic: Features, *, patients: Names | None = None,
                      repeats: int = REPEATS, seed: int = 0) -> dict[str, float | int]:
    """Distances of features (N, F) of reference and (M, F) of synthetic images, means over `repeats` random splits.

    Each split cuts the reference set into two halves: by patient if `patients` (N,) names them, otherwise by slice. n
    images of one half are compared with n of the other (the floor) and with n synthetic images; n is the largest number
    that every split has. Splits depend only on the seed and the numbers of slices and patients. Returns `frechet`,
    `kernel`, `kernel_sd` (over the splits; NaN for one), `n`, `kernel_n` (at most 1000 of n), `floor_frechet`,
    `floor_kernel`, `floor_kernel_sd`, `repeats`. Raises InputError if n is below 2, and for features that do not fit.
    """
    draws = _draws(len(reference), len(synthetic), patients, repeats, seed)
    n = len(draws[0].one)
    subset = min(n, KERNEL_SUBSET)
    by_name: dict[str, list[float]] = {"frechet": [], "kernel": [], "floor_frechet": [], "floor_kernel": []}
    for draw in draws:
        one = reference[draw.one]
        for prefix, other in (("", synthetic[draw.synthetic]), ("floor_", reference[draw.other])):
            by_name[f"{prefix}frechet"].append(frechet_distance(other, one))
            by_name[f"{prefix}kernel"].append(kernel_distance(other[:subset], one[:subset]))
    means = {name: float(np.mean(values)) for name, values in by_name.items()}
    return means | _deviations(by_name) | {"n": n, "kernel_n": subset, "repeats": repeats}


def _deviations(by_name: Mapping[str, list[float]]) -> dict[str, float]:
    return {f"{name}_sd": float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
            for name, values in by_name.items() if name.endswith("kernel")}


def _draws(reference: int, synthetic: int, patients: Names | None, repeats: int, seed: int) -> list[_Draw]:
    """The random splits, each of n rows in random order."""
    if repeats < 1:
        raise InputError(f"distances: repeats = {repeats}, expected 1 or more.")
    groups = np.arange(reference) if patients is None else np.unique(patients, return_inverse=True)[1]
    if len(groups) != reference:
        raise InputError(f"distances: {len(groups)} patients are named for {reference} slices, expected one a slice.")
    generators = [np.random.Generator(np.random.Philox(key=[seed, repeat])) for repeat in range(repeats)]
    halves = [_halves(groups, generator) for generator in generators]
    n = min([synthetic, *(len(half) for pair in halves for half in pair)])
    if n < _FEWEST:
        raise InputError(f"distances: {reference} slices of {len(np.unique(groups))} patients and {synthetic} "
                         f"synthetic ones leave n = {n} a side, expected at least {_FEWEST}. Give more of both.")
    return [_Draw(one[:n], other[:n], generator.permutation(synthetic)[:n])
            for (one, other), generator in zip(halves, generators, strict=True)]


def _halves(groups: Rows, generator: np.random.Generator) -> tuple[Rows, Rows]:
    """Rows of two disjoint halves in random order."""
    half = halves_by_group(groups, generator)
    rows = generator.permutation(len(groups))
    return rows[half[rows] == 0], rows[half[rows] == 1]


def halves_by_group(groups: Rows, generator: np.random.Generator) -> Rows:
    """(N,) 0 or 1, the half of each row. groups: (N,) numbers from 0 on, such as that of the row's patient. Groups are
    assigned in random order, each whole to the half with fewer rows."""
    counts = np.bincount(groups)
    half, filled = np.zeros(len(counts), dtype=np.int64), [0, 0]
    for group in generator.permutation(len(counts)):
        half[group] = int(filled[1] < filled[0])
        filled[half[group]] += int(counts[group])
    return half[groups]
