"""What synthetic images should be like beside the reference, and what they are: one line for each goal, from the
figures of `cldm-train validity`, `judge`, `spread` and `audit` alone.

| found by | goal |
|---|---|
| validity | segmenters in the order of the reference, figures near it; one segmenter on the same label maps |
| judge | the best judge is not much surer than chance; those that look at statistics alone less |
| spread | with the label map fixed, images vary as the reference does; the lesion's contrast has no bias |
| audit | no more copies of training images than the same rule finds among images that nobody can have copied |
"""

from collections.abc import Iterator, Mapping
from typing import Any

from .cldm.goals import between
from .validity.page import figure_title, headline

Json = dict[str, Any]
TAU, GAP, DICE, CORRELATION = (0.85, 1.0), (-0.04, 0.04), (-0.03, 0.03), (0.7, 1.0)
BEST_JUDGE, STATISTICS_JUDGE = (0.0, 0.75), (0.0, 0.65)
STATISTICS = ("power spectrum", "texture", "zones")  # judges that train no network and take none
RATIO, BIAS = (0.85, 1.15), (-0.03, 0.03)


def comparison_goals(found: Mapping[str, Any]) -> list[Json]:
    """found: validity, judges, spread, audit -> its figures, as far as they were measured."""
    return [*(_validity(found["validity"]) if "validity" in found else []),
            *(_judges(found["judges"]) if "judges" in found else []),
            *(_spread(found["spread"]) if "spread" in found else []),
            *(_copies(found["audit"]) if "audit" in found else [])]


def _validity(figures: Mapping[str, Any]) -> Iterator[Json]:
    for key in figures["generators"]:
        chosen = {name: figures["figures"][name]["sets"][key] for name in headline(figures)}
        chosen = {name: item for name, item in chosen.items() if item["n"]}
        for name, item in chosen.items():
            yield between(f"{key}: Kendall's tau of {figure_title(name, figures)}", item["tau"], TAU)
        for name, item in chosen.items():
            if name.startswith(("dice_", "mae_")):
                largest = item["largest_gap"]
                title = f"{figure_title(name, figures)}, of {largest['segmenter']}"
                yield between(f"{key}: largest gap of {title}", largest, GAP)
        for name, item in chosen.items():
            if "slice_correlations" in item:
                yield from _first_segmenter(key, figure_title(name, figures), figures["segmenters"][0], item)


def _first_segmenter(key: str, title: str, segmenter: str, item: Mapping[str, Any]) -> Iterator[Json]:
    yield between(f"{key}: {title} of {segmenter} on the same label maps, minus that on reference images",
                  item["paired_gaps"][segmenter], DICE)
    yield between(f"{key}: correlation of that Dice, slice by slice", item["slice_correlations"][segmenter],
                  CORRELATION)


def _judges(figures: Mapping[str, Any]) -> Iterator[Json]:
    for each in figures["sets"]:
        yield between(f"{each['generator']}: accuracy of the best judge, {each['best']}", each["accuracy"], BEST_JUDGE)
        for judge in each["judges"]:
            if judge["name"] in STATISTICS:
                yield between(f"{each['generator']}: accuracy of the judge of {judge['name']}", judge["accuracy"],
                              STATISTICS_JUDGE)


def _spread(figures: Mapping[str, Any]) -> Iterator[Json]:
    """Where label maps are held fixed; bins of attributes hold less fixed, so they have no goals."""
    if figures["held_fixed"] != "label map":
        return
    for each in figures["sets"]:
        for name, figure in each["figures"].items():
            yield between(f"{each['generator']}: spread of {name} over the reference's", figure["ratio"], RATIO)
        for name, figure in each["figures"].items():
            if " minus " in name:
                yield between(f"{each['generator']}: bias of {name}", figure["bias"], BIAS)


def _copies(figures: Mapping[str, Any]) -> Iterator[Json]:
    for name, space in figures["memorisation"]["spaces"].items():
        if "reason" not in space:
            most = space["held_out_rate"]["value"]
            yield between(f"{figures['made']['generator']}: rate of copies by {name}", space["rate"], (0.0, most))
