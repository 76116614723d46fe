"""audit.md and the section of the results page, written from audit.json alone."""

from collections.abc import Mapping
from typing import Any

from cldm_runtime.bundle.nature import cohort_adjective, cohort_noun, images_sentence

from ..tables import NOTHING, estimate, number, percent, table

Json = Mapping[str, Any]

_INTRODUCTION = """\
# Audit of synthetic images

Written by `{command}`; every number is also in [audit.json](audit.json). {versions}. Audited: {images} synthetic images
({source}), generator `{generator}`. {images_are} This folder shows slices of the training set: treat it as you treat
the scans."""

_SECTION = """\
Written by `{command}`; every number is also in [audit.json](audit.json). {versions}. Audited: {images} synthetic images
({source}), generator `{generator}`."""

_TWO_SAMPLE = """\
A small network is trained to distinguish the two sets ({steps} steps of {batch} images) and tested on images that it
has not seen, {folds} folds, no patient on both sides; {pairs}. 0.5: it cannot distinguish them; 1: it always can.
Brackets are 95 % intervals, a bootstrap of patients. The line "{noun} against {noun}" is the result where there is
nothing to find; a synthetic set is as good as this test can see once its interval includes 0.5. The accuracy is a lower
limit: another network, or a longer training, may distinguish more. The picture shows what gives the images away."""

_LEVELLED = """\
Before the test both sets were levelled: {how}. Otherwise the share of black and white pixels alone would distinguish
them. As stored, the median {adjective} image has {real_black} black and {real_white} white pixels, the median synthetic
image {synthetic_black} and {synthetic_white}."""

_MEMORISATION = """\
For each of {searched} images the nearest of {training} training slices over the symmetries of the square; d is 1 minus
the correlation, of pixels or of the features of `{features}`. An image is called a copy if d **and** the ratio of d to
the distance to the nearest slice of another patient are below the {quantile:g} quantile of {held_out} held-out slices
({subsets}), which nobody can have copied. The same rule calls some held-out slices copies: a rate not above theirs is
no sign of memorisation. Copies of a part of an image, and copies that were moved, scaled or turned by other than 90
degrees, are not searched for."""


def audit_page(figures: Json) -> str:
    """The whole page."""
    tests, copies, nature = figures["two_sample"], figures["memorisation"], figures["made"]["nature"]
    parts = [
        _INTRODUCTION.format(images_are=images_sentence(nature), **figures["made"]),
        f"## Can a classifier distinguish them from {cohort_adjective(nature)} slices?\n\n"
        + _two_sample_text(tests["settings"], cohort_noun(nature)),
        two_sample_table(tests["tests"]),
        _levelled_text(tests, cohort_adjective(nature)),
        "![the images that the classifier is surest of](two-sample.png)",
        "## Are they copies of training slices?\n\n" + _MEMORISATION.format(**copies["settings"]),
        memorisation_table(copies["spaces"]),
        *(f"![nearest pairs by {name}](pairs-{name}.png)" for name, space in copies["spaces"].items()
          if "reason" not in space),
        "The pictures show, from the worst on: the synthetic image, its nearest training slice, the difference.",
    ]
    return "\n\n".join(parts) + "\n"


def audit_section(figures: Json) -> str:
    """The section of the results page."""
    tests, copies, made = figures["two_sample"], figures["memorisation"], figures["made"]
    return "\n\n".join([
        "## Copies of training images", _SECTION.format(**made), _MEMORISATION.format(**copies["settings"]),
        memorisation_table(copies["spaces"]), _two_sample_text(tests["settings"], cohort_noun(made["nature"])),
        two_sample_table(tests["tests"])])


def two_sample_table(tests: list[Json]) -> str:
    """Accuracy of each comparison."""
    rows = [(test["compared"], test["images"], f"{test['trained_on'][0]:.0f} and {test['trained_on'][1]:.0f}",
             estimate(test["accuracy"])) for test in tests]
    return table(("compared", "asked a side", "trained on in a fold", "accuracy"), rows)


def memorisation_table(spaces: Json) -> str:
    """Thresholds and copy rates in each space; a reason where it was not measured."""
    rows, reasons = [], []
    for name, space in spaces.items():
        if "reason" in space:
            rows.append((name, *[NOTHING] * 6))
            reasons.append(f"{name}: not measured, {space['reason']}")
            continue
        medians = f"{number(space['median_distance'], 3)} ({number(space['held_out_median_distance'], 3)})"
        rows.append((name, space["copies"], percent(space["rate"], 1), percent(space["held_out_rate"], 1), medians,
                     number(space["distance_threshold"], 3), number(space["ratio_threshold"], 2)))
    head = ("space", "copies", "copy rate", "held-out slices by the same rule", "median d (held-out)", "d below",
            "and ratio below")
    return "\n\n".join([table(head, rows), *reasons])


def _two_sample_text(settings: Json, noun: str) -> str:
    pairs = ("both sides show the same label maps or attributes" if settings["paired"]
             else "nothing says what an image was made for, so the two sides may show different things")
    return _TWO_SAMPLE.format(pairs=pairs, noun=noun, **settings)


def _levelled_text(tests: Json, adjective: str) -> str:
    ends = tests["settings"]["percentiles"]
    how = "clipped and rounded to 16 bits" if ends is None else (
        f"percentiles {ends[0]:g} and {ends[1]:g} of each image to 0 and 1, clipped, rounded to 16 bits, as `prepare` "
        "does")
    shares = {f"{name}_{end}": f"{100 * share:.2f} %" for name, by_end in tests["saturated"].items()
              for end, share in by_end.items()}
    return _LEVELLED.format(how=how, adjective=adjective, **shares)
