"""What an anatomy bundle reaches on the validation slices' attributes: whether they are met, at what cost, and how much
its label maps of one request vary, next to slices of the cohort with like attributes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cldm_runtime.bundle.nature import cohort_noun
from cldm_runtime.domains.domain import Domain
from cldm_runtime.domains.generic import components_name, size_name
from cldm_runtime.domains.labels import LabelMap
from cldm_runtime.errors import InputError
from cldm_runtime.generation.learned_anatomy import LearnedAnatomy
from cldm_runtime.noise import Purpose, Stream

Figures = dict[str, float]
AttributeTable = NDArray[np.float32]  # (N, A) attributes, NaN where undefined

_REQUESTS = 64  # at most
_DRAWS = 100  # at most, of one request
_VARIED, _EACH = 16, 4  # requests that are drawn several times, and how often
_SEED = 0


@dataclass(frozen=True)
class MeasuredSlices:
    """Label maps (N, H, W) uint8 and their attributes (N, A), of training and of validation slices."""

    training: LabelMap
    training_attributes: AttributeTable
    validation: LabelMap
    validation_attributes: AttributeTable


def measure_anatomy(anatomy: LearnedAnatomy, slices: MeasuredSlices) -> Figures:
    """Figures for the model card; `slices` gives the requests and the slices to compare with."""
    requested = slices.validation_attributes
    rows = np.unique(np.linspace(0, len(requested) - 1, min(_REQUESTS, len(requested))).astype(int))
    maps: dict[int, LabelMap] = {}
    draws, errors = 0, []
    for row in rows:
        try:
            asked = _request(anatomy, requested[row], int(row))
            drawn = anatomy.attempt(asked, Stream(_SEED, int(row), Purpose.ANATOMY), limit=_DRAWS)
        except InputError:
            draws += _DRAWS
            continue
        draws, maps[int(row)] = draws + drawn.draws, drawn.labels
        error = np.abs(anatomy.domain.measure(drawn.labels[None], anatomy.spacing_mm).values[0] - requested[row])
        errors.append(np.where([name in asked for name in anatomy.domain.attribute_names], error, np.nan))
    figures: Figures = {f"requests ({_asked_words(anatomy.domain)} of validation slices)": float(len(rows)),
                        "requests met": float(len(maps)), "acceptance, share of draws": len(maps) / draws}
    if errors:
        figures |= _mean_errors(anatomy.domain, np.stack(errors))
        figures |= _variety(anatomy, slices, list(maps)[:: max(1, len(maps) // _VARIED)])
    return {name: round(value, 4) for name, value in figures.items() if np.isfinite(value)}


def _request(anatomy: LearnedAnatomy, values: AttributeTable, row: int) -> dict[str, float]:
    """What is asked for: all attributes of a slice (A,) or, in a declared domain, size and number of pieces of the
    regions that it has, one region a slice in turn."""
    domain = anatomy.domain
    known = {name: float(value) for name, value in zip(domain.attribute_names, values, strict=True)
             if value == value and name in anatomy.prior.names}
    if domain.declaration is None:
        return known
    present = [region for region in domain.labels.regions if known.get(size_name(region, domain.axes), 0.0) > 0]
    if not present:
        return {}
    region = present[row % len(present)]
    return {name: known[name] for name in (size_name(region, domain.axes), components_name(region))}


def _asked_words(domain: Domain) -> str:
    return "attributes" if domain.declaration is None else "size and number of pieces of one region in turn,"


def _mean_errors(domain: Domain, errors: AttributeTable) -> Figures:
    finite = {name: column[np.isfinite(column)] for name, column in zip(domain.attribute_names, errors.T, strict=True)}
    return {f"mean absolute error of {name}": float(column.mean()) for name, column in finite.items() if column.size}


def _variety(anatomy: LearnedAnatomy, slices: MeasuredSlices, rows: list[int]) -> Figures:
    """Mean Dice of each region between label maps of one request, and between each of these validation slices and the
    training slice with the nearest attributes. Lower is more varied."""
    domain, requested = anatomy.domain, slices.validation_attributes
    drawn: dict[str, list[float]] = {region: [] for region in domain.labels.regions}
    cohort: dict[str, list[float]] = {region: [] for region in domain.labels.regions}
    for row in rows:
        maps = _draw_several(anatomy, _request(anatomy, requested[row], row), row)
        like = slices.training[_nearest(slices.training_attributes, requested[row])]
        for region in domain.labels.regions:
            drawn[region] += [_dice(domain, region, a, b) for i, a in enumerate(maps) for b in maps[:i]]
            cohort[region].append(_dice(domain, region, slices.validation[row], like))
    noun = cohort_noun(anatomy.bundle.manifest.nature)
    pairs = {"drawn for one request": drawn, f"{noun}, of like attributes": cohort}
    return {f"Dice of {region}, {kind}": float(np.nanmean(values)) for region in domain.labels.regions
            for kind, by_region in pairs.items() for values in [by_region[region]] if np.isfinite(values).any()}


def _draw_several(anatomy: LearnedAnatomy, request: dict[str, float], row: int) -> list[LabelMap]:
    maps = []
    for index in range(_EACH):
        try:
            stream = Stream(_SEED + 1 + index, row, Purpose.ANATOMY)
            maps.append(anatomy.attempt(request, stream, limit=_DRAWS).labels)
        except InputError:
            continue
    return maps


def _nearest(table: AttributeTable, values: AttributeTable) -> int:
    """The row that differs least; an attribute that one of the two lacks counts as 1."""
    return int(np.nan_to_num((table - values) ** 2, nan=1.0).sum(axis=1).argmin())


def _dice(domain: Domain, region: str, a: LabelMap, b: LabelMap) -> float:
    """NaN where both are empty."""
    one, other = domain.labels.region(a, region), domain.labels.region(b, region)
    total = int(one.sum() + other.sum())
    return 2.0 * float((one & other).sum()) / total if total else float("nan")
