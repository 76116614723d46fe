"""What this method should reach, and what it reaches: one line for each goal, from the figures alone.

A figure of synthetic images shall be as that of the cohort's slices, neither worse nor better: images that are too easy
flatter the segmenter that is tested on them. Each figure has one goal. `met` is whether the figure lies within the
limits, `sure` whether its whole interval does.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from cldm_runtime.bundle.nature import cohort_noun

Json = dict[str, Any]
CODEC_DICE, CODEC_R2 = 0.03, 0.05
R2, SLOPE, DICE, RATE = 0.05, 0.10, 0.03, 0.05  # by which synthetic images may differ from the cohort's slices
STUDENT_R2 = 0.05  # by which a student may differ from its teacher
GRID_R2, GRID_SLOPE = (0.85, 1.0), (0.95, 1.05)
HIGH_FREQUENCY, SPREAD = (0.8, 1.25), (0.95, 1.05)
ACCURACY = (0.0, 0.9)


def goals(figures: Mapping[str, Any]) -> list[Json]:
    """All goals, met or not. A figure that is missing or undefined does not meet its goal.

    Of a subset that is also shown without a label, the slices without that label have goals.
    """
    rows = {row["set"]: row for row in figures["sets"]}
    lesion, attributes, noun = figures["lesion"], figures["attributes"], cohort_noun(figures.get("nature", ""))
    return [
        *_codec(rows["real, test"], rows["reconstructed, test"], lesion, attributes),
        *(line for name, rows_, outlined in compared_rows(figures)
          for line in _synthetic(name, rows_, outlined, figures)),
        *(line for pair in figures.get("students") or [] for line in _student(pair, attributes)),
        *_texture(figures["texture"], noun),
        *_grid(figures["grid"], rows["real, test"], attributes),
        *_realism(figures.get("realism") or {}, noun),
    ]


def compared_rows(figures: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Json, Json], bool]]:
    """(name, rows of synthetic images and of the cohort's slices, whether overlap means something): of every strategy
    and subset that has images, or of the one generator where no strategies are compared."""
    strategies, without = figures.get("strategies"), figures["without"]
    rows = strategies["rows"] if strategies else {row["set"]: row for row in figures["sets"]}
    for subset in figures["compared"]:
        name = f"{subset} without {without[subset]}" if subset in without else subset
        for key in strategies["keys"] if strategies else ["synthetic"]:
            if f"{key}, {name}" in rows:
                outlined = key in strategies["outlined"] if strategies else True
                yield f"{key}, {name}", (rows[f"{key}, {name}"], rows[f"real, {name}"]), outlined


def _codec(cohort: Json, reconstructed: Json, lesion: str, attributes: list[str]) -> Iterator[Json]:
    yield _as(f"codec: {lesion} Dice on reconstructed test slices", _dice_of(reconstructed, lesion),
              dice(cohort, lesion), CODEC_DICE)
    for name in attributes:
        yield _as(f"codec: r2 of {name}", _figure(reconstructed, name, "r2"), r2(cohort, name, "lesion"), CODEC_R2)


def _synthetic(name: str, rows: tuple[Json, Json], outlined: bool, figures: Mapping[str, Any]) -> Iterator[Json]:
    """As the cohort's slices of the same subset: control of each attribute, and how hard the images are."""
    (row, reference), lesion, tolerances = rows, figures["lesion"], figures.get("tolerances", {})
    for attribute in figures["attributes"]:
        for kind, within in (("r2", R2), ("slope", SLOPE), ("bias", tolerances.get(attribute, math.nan))):
            yield _as(f"{name}: {kind} of {attribute}", _figure(row, attribute, kind),
                      _value(_figure(reference, attribute, kind)), within)
    if outlined:
        for region in row["regions"]:
            yield _as(f"{name}: Dice of {region}", _dice_of(row, region), dice(reference, region), DICE)
    for key, what in (("false_rate", f"false {lesion}, any pixel"), ("false_sized", f"false {lesion} above a size")):
        yield _as(f"{name}: {what}", row.get(key), _value(reference.get(key)), RATE)


def _student(pair: Json, attributes: list[str]) -> Iterator[Json]:
    for name in attributes:
        difference = pair["attributes"].get(name, {}).get("difference", {}).get("r2")
        yield _as(f"{pair['student']}: r2 of {name}, minus that of {pair['teacher']}", difference, 0.0, STUDENT_R2)


def _texture(texture: Json, noun: str) -> Iterator[Json]:
    yield between(f"high-frequency energy, synthetic over {noun}", {"value": texture["high_frequency_ratio"]},
                   HIGH_FREQUENCY)
    yield between(f"spread of latents, synthetic over {noun}", {"value": texture["latent_spread"]}, SPREAD)


def _grid(grid: Json, cohort: Json, attributes: list[str]) -> Iterator[Json]:
    """The slope is over the segmenter's own on the cohort's test slices, which no generator can change."""
    for name in attributes:
        measured = grid["parts"]["request to segmentation"].get(name, {}).get("lesion", {})
        own = _value(_figure(cohort, name, "slope"))
        yield between(f"grid: r2 of requested and measured {name}", measured.get("r2"), GRID_R2)
        yield between(f"grid: slope of {name} over the segmenter's own", _over(measured.get("slope"), own), GRID_SLOPE)


def _over(estimate: Mapping[str, Any] | None, own: float) -> Json | None:
    """An estimate divided by a number above 0."""
    if estimate is None or not own > 0:
        return None
    return {key: None if value is None else value / own for key, value in estimate.items()}


def _realism(figures: Json, noun: str) -> Iterator[Json]:
    for key, item in figures.items():
        yield between(f"{key}: accuracy of distinguishing synthetic from {noun}", item["accuracy"], ACCURACY)


def _as(name: str, estimate: Mapping[str, Any] | None, reference: float, within: float) -> Json:
    """As the reference, to either side."""
    return _goal(name, estimate, (reference - within, reference + within), f"{reference:.3f} ± {within:g}")


def between(name: str, estimate: Mapping[str, Any] | None, limits: tuple[float, float]) -> Json:
    """A goal: the estimate lies within the limits."""
    return _goal(name, estimate, limits, f"{limits[0]:g} to {limits[1]:g}")


def _goal(name: str, estimate: Mapping[str, Any] | None, limits: tuple[float, float], wanted: str) -> Json:
    value, low, high = (_value(estimate, key) for key in ("value", "low", "high"))
    met = limits[0] <= value <= limits[1]
    known = math.isfinite(low) and math.isfinite(high)
    return {"goal": name, "found": value, "low": low, "high": high, "wanted": wanted, "met": met,
            "sure": met and limits[0] <= low and high <= limits[1] if known else None}


def r2(row: Mapping[str, Any], attribute: str, kind: str) -> float:
    """r2 of a table row over "all" slices or those with the "lesion"; NaN where undefined."""
    return _value(row["agreement"].get(attribute, {}).get(kind, {}).get("r2"))


def dice(row: Mapping[str, Any], region: str) -> float:
    """Mean Dice of a region over the slices that hold it; NaN where undefined."""
    return _value(_dice_of(row, region))


def _dice_of(row: Mapping[str, Any], region: str) -> Json:
    """With its interval, in figures that have one."""
    mean = row["regions"].get(region, {}).get("dice", {}).get("mean")
    return dict(row.get("dice", {}).get(region) or {"value": mean})


def _figure(row: Mapping[str, Any], attribute: str, name: str) -> Mapping[str, Any] | None:
    """An estimate over the slices with the lesion, or over all in a domain without one."""
    kinds = row["agreement"].get(attribute, {})
    estimate: Mapping[str, Any] | None = (kinds.get("lesion") or kinds.get("all") or {}).get(name)
    return estimate


def _value(estimate: Mapping[str, Any] | None, key: str = "value") -> float:
    value = None if estimate is None else estimate.get(key)
    return math.nan if value is None else float(value)
