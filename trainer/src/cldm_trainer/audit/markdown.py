"""audit.md, written from audit.json alone."""

from collections.abc import Mapping
from typing import Any

from ..results.markdown import NOTHING, estimate, number, percent, table

Json = Mapping[str, Any]

_INTRODUCTION = """\
# Audit of synthetic images

Written by `{command}`; every number stands in [audit.json](audit.json). {versions}. Audited: {images} synthetic images
({source}), generator `{generator}`. This folder shows slices of the training set: treat it as you treat the scans."""

_TWO_SAMPLE = """\
A small network is trained to tell the two sets apart and asked about images that it has not seen, {folds} folds, no
patient on both sides. 0.5: it cannot; 1: it always can. Brackets are 95 % Wilson intervals. The line real against real
says what the test gives where there is nothing to find; a synthetic set is as good as this test can see once its
interval holds 0.5. What gives it away is in the picture."""

_MEMORISATION = """\
For each image the nearest of {training} training slices over the symmetries of the square; d is 1 minus the
correlation, of pixels or of the features of `{features}`. An image is called a copy if d **and** the ratio of d to the
distance to the nearest slice of another patient are below the {quantile:g} quantile of {held_out} held-out slices
({subsets}), which nobody can have copied. The same rule calls some held-out slices copies: a rate not above theirs is
no sign of memorisation. Copies of a part of an image, and copies that were moved, scaled or turned by other than 90
degrees, are not searched for."""


def audit_page(figures: Json) -> str:
    """The whole page."""
    parts = [
        _INTRODUCTION.format(**figures["made"]),
        "## Can a classifier tell them from real slices?\n\n" + _TWO_SAMPLE.format(**figures["two_sample"]["settings"]),
        two_sample_table(figures["two_sample"]["tests"]),
        "![the images that the classifier is surest of](two-sample.png)",
        "## Are they copies of training slices?\n\n" + _MEMORISATION.format(**figures["memorisation"]["settings"]),
        memorisation_table(figures["memorisation"]["spaces"]),
        *(f"![nearest pairs by {name}](pairs-{name}.png)" for name, space in figures["memorisation"]["spaces"].items()
          if "reason" not in space),
        "The pictures show, from the worst on: the synthetic image, its nearest training slice, the difference.",
    ]
    return "\n\n".join(parts) + "\n"


def two_sample_table(tests: list[Json]) -> str:
    """Accuracy of each comparison."""
    rows = [(test["compared"], test["images"], estimate(test["accuracy"])) for test in tests]
    return table(("compared", "images a side", "accuracy"), rows)


def memorisation_table(spaces: Json) -> str:
    """Thresholds and copy rates in each space; a reason where it was not measured."""
    rows, reasons = [], []
    for name, space in spaces.items():
        if "reason" in space:
            rows.append((name, *[NOTHING] * 6))
            reasons.append(f"{name}: not measured, {space['reason']}")
            continue
        medians = f"{number(space['median_distance'], 3)} ({number(space['held_out_median_distance'], 3)})"
        rows.append((name, space["copies"], percent(space["rate"]), percent(space["held_out_rate"]), medians,
                     number(space["distance_threshold"], 3), number(space["ratio_threshold"], 2)))
    head = ("space", "copies", "copy rate", "held-out slices by the same rule", "median d (held-out)", "d below",
            "and ratio below")
    return "\n\n".join([table(head, rows), *reasons])
