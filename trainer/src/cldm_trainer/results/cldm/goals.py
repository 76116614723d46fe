"""What this method should reach, and what it reaches: one line for each goal, from the figures alone."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from cldm_runtime.bundle.nature import cohort_noun

Json = dict[str, Any]
CODEC_DICE, CODEC_R2, SYNTHETIC_R2, FALSE_RATE, GRID_R2 = 0.03, 0.05, 0.05, 0.05, 0.85
HIGH_FREQUENCY, SPREAD = (0.8, 1.25), (0.95, 1.05)
CONTROL_R2, ACCURACY = 0.15, 0.9


def goals(figures: Mapping[str, Any]) -> list[Json]:
    """All goals, met or not. A figure that is missing or undefined does not meet its goal.

    Of a subset that is also shown without a label, the slices without that label have goals.
    """
    rows = {row["set"]: row for row in figures["sets"]}
    lesion, attributes, noun = figures["lesion"], figures["attributes"], cohort_noun(figures.get("nature", ""))
    without = figures["without"]
    sets = [f"{name} without {without[name]}" if name in without else name for name in figures["compared"]]
    return [
        *_codec(rows["real, test"], rows["reconstructed, test"], lesion, attributes),
        *(
            line
            for name in sets
            for line in _synthetic(
                rows["real, test"], rows[f"real, {name}"], rows[f"synthetic, {name}"], attributes, lesion
            )
        ),
        *_texture(figures["texture"], noun),
        *_grid(figures["grid"], attributes),
        *(_strategies(figures["strategies"], attributes) if figures.get("strategies") else ()),
        *_realism(figures.get("realism") or {}, noun),
    ]


def _codec(cohort: Json, reconstructed: Json, lesion: str, attributes: list[str]) -> Iterator[Json]:
    drop = dice(cohort, lesion) - dice(reconstructed, lesion)
    yield _at_most(f"codec: loss of {lesion} Dice on reconstructed test slices", drop, CODEC_DICE)
    for name in attributes:
        loss = r2(cohort, name, "lesion") - r2(reconstructed, name, "lesion")
        yield _at_most(f"codec: loss of r2 of {name}, {lesion} slices", loss, CODEC_R2)


def _synthetic(baseline: Json, cohort: Json, row: Json, attributes: list[str], lesion: str) -> Iterator[Json]:
    """r2 against the cohort's test slices; false detections against its slices of the same subset."""
    for kind, samples in (("all", "all slices"), ("lesion", f"{lesion} slices")):
        for name in attributes:
            limit = r2(baseline, name, kind) - SYNTHETIC_R2
            yield _at_least(f"{row['set']}: r2 of {name}, {samples}", r2(row, name, kind), limit)
    yield _at_most(f"{row['set']}: false {lesion} rate", rate(row), rate(cohort) + FALSE_RATE)


def _texture(texture: Json, noun: str) -> Iterator[Json]:
    yield _between(f"high-frequency energy, synthetic over {noun}", texture["high_frequency_ratio"], HIGH_FREQUENCY)
    yield _between(f"spread of latents, synthetic over {noun}", texture["latent_spread"], SPREAD)


def _grid(grid: Json, attributes: list[str]) -> Iterator[Json]:
    for kind, samples in (("all", "all images"), ("lesion", "images with the lesion")):
        for name in attributes:
            value = _value(grid["parts"]["request to segmentation"].get(name, {}).get(kind, {}).get("r2"))
            yield _at_least(f"grid: r2 of requested and measured {name}, {samples}", value, GRID_R2)


def _strategies(compared: Json, attributes: list[str]) -> Iterator[Json]:
    """Tokens with an identity against bare numbers; the outlined strategies against the cohort's slices."""
    rows, keys = compared["rows"], compared["keys"]
    for name in attributes:
        if {"1.1", "1.1 as released"} <= set(keys):
            limit = r2(rows["1.1 as released, test"], name, "lesion")
            yield _at_least(f"1.1: r2 of {name}, above that as released", r2(rows["1.1, test"], name, "lesion"), limit)
        for key, loss in (("2", CONTROL_R2), ("3", SYNTHETIC_R2)):
            if key in keys:
                limit = r2(rows["real, test"], name, "lesion") - loss
                yield _at_least(f"{key}: r2 of {name}, test, a seed each", r2(rows[f"{key}, test"], name, "lesion"),
                                limit)


def _realism(figures: Json, noun: str) -> Iterator[Json]:
    for key, item in figures.items():
        yield _at_most(f"{key}: accuracy of distinguishing synthetic from {noun}", _value(item["accuracy"]), ACCURACY)


def _at_most(name: str, value: float, limit: float) -> Json:
    return {"goal": name, "found": value, "wanted": f"at most {limit:.3f}", "met": value <= limit}


def _at_least(name: str, value: float, limit: float) -> Json:
    return {"goal": name, "found": value, "wanted": f"at least {limit:.3f}", "met": value >= limit}


def _between(name: str, value: float, limits: tuple[float, float]) -> Json:
    low, high = limits
    return {"goal": name, "found": value, "wanted": f"{low:g} to {high:g}", "met": low <= value <= high}


def r2(row: Mapping[str, Any], attribute: str, kind: str) -> float:
    """r2 of a table row over "all" slices or those with the "lesion"; NaN where undefined."""
    return _value(row["agreement"].get(attribute, {}).get(kind, {}).get("r2"))


def dice(row: Mapping[str, Any], region: str) -> float:
    """Mean Dice of a region over the slices that hold it; NaN where undefined."""
    mean = row["regions"].get(region, {}).get("dice", {}).get("mean")
    return math.nan if mean is None else float(mean)


def rate(row: Mapping[str, Any]) -> float:
    """Share of slices without the lesion on which it is found; NaN where undefined."""
    return _value(row["false_rate"])


def _value(estimate: Mapping[str, Any] | None) -> float:
    value = None if estimate is None else estimate.get("value")
    return math.nan if value is None else float(value)
