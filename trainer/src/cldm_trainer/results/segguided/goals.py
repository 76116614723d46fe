"""What the paper's method should reach here, and what it reaches: one line for each goal, from the figures alone."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

Json = dict[str, Any]
SHARE = 0.97  # of the segmenter's Dice on reference images, each class
UTILITY = 0.95  # of the Dice of training on reference images
LOSS = 0.05  # at most, of the mean Dice, by training with free classes
KEPT = 0.03  # at most, of the kept classes' Dice, where one class is free
SPREAD = 0.8  # of the reference spread of a free class's area
SPEED = 10.0  # images a second of the fastest generator


def goals(figures: Mapping[str, Any]) -> list[Json]:
    """All goals. A figure that is missing or undefined does not meet its goal."""
    return list(_goals(figures))


def _goals(figures: Mapping[str, Any]) -> Iterator[Json]:
    generators = figures["generators"]
    for name in figures["judged"]:
        for kind, what in (("to_mask", "the input mask"), ("to_original", "the segmenter's mask of the original")):
            for region, found in generators[name]["faithfulness"]["regions"].items():
                yield _at_least(f"{name}: Dice of {region} to {what}, share of that on reference images",
                                found[f"{kind}_share"], SHARE)
        for free, found in generators[name]["freed"].items():
            yield _at_least(f"{name}: kept classes' Dice where {free} is free, minus that with every class",
                            found["kept"], -KEPT)
            yield _at_least(f"{name}: spread of {free} where it is free, over that of the reference", found["spread"],
                            SPREAD)
    for pair in (pair for pair in figures["compared"] if pair["name"] in figures["judged"]):
        yield _at_least(f"{pair['name']}: mean Dice minus that of {pair['other']}", pair["mean"], -LOSS)
    for region, kinds in (figures["utility"] or {}).get("regions", {}).items():
        yield _at_least(f"trained on synthetic images alone: Dice of {region}, share of that of training on the "
                        "reference", kinds["generated"]["share"], UTILITY)
    speeds = [found["cost"]["images_per_second"] for found in generators.values()]
    yield _at_least("images a second, the fastest generator", {"value": max(speeds)}, SPEED)


def _at_least(name: str, estimate: Mapping[str, Any], least: float) -> Json:
    value, low = (_number(estimate.get(key)) for key in ("value", "low"))
    met = value >= least
    return {"goal": name, "found": estimate.get("value"), "low": estimate.get("low"), "high": estimate.get("high"),
            "wanted": f"{least:g} or more", "met": met, "sure": met and low >= least if math.isfinite(low) else None}


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
