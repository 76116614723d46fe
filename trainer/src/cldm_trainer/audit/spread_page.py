"""spread.md, written from spread.json alone."""

from collections.abc import Mapping
from typing import Any

from cldm_runtime.bundle.nature import images_sentence

from ..tables import estimate, number, table

Json = Mapping[str, Any]

_MADE = "Written by `{command}`; every number is also in [spread.json](spread.json). {versions}. {images_are}"
_TRUTH = """\
Each of {maps} label maps, of as many patients, was rendered {images} times by the phantom, with the same labels and all
else drawn anew: that is how such images truly vary. As many images of each map were generated. `ratio` is the spread
within a map, synthetic over true: 1 is right, below 1 the images are too alike. `bias` is the mean difference, in units
of the display range. The floor compares two sets of re-renderings. Brackets are 95 % intervals, a bootstrap of maps."""
_BINS = """\
The true spread for a given label map is not known of this cohort. {slices} slices of {patients} patients are compared
in five bins of each attribute, with one synthetic image of each slice. `ratio` is the spread within a bin, synthetic
over reference: 1 is right, below 1 the images are too alike. A bin holds slices of different patients, so this
comparison is blunter than one of label maps. `bias` is the mean difference, in units of the display range. The floor
compares one half of the patients with the other. Brackets are 95 % intervals, a bootstrap of patients."""


def spread_page(figures: Json) -> str:
    """The whole page."""
    return f"# How much synthetic images vary\n\n{_text(figures)}\n"


def spread_section(figures: Json) -> str:
    """The section of the results page."""
    return f"## How much synthetic images vary\n\n{_text(figures)}"


def _text(figures: Json) -> str:
    """How the spread was measured, and its tables."""
    made = _MADE.format(images_are=images_sentence(figures["nature"]), **figures["made"])
    if figures["held_fixed"] == "label map":
        tables = [f"`{each['generator']}`:\n\n{spread_table(each['figures'], figures['floor'])}"
                  for each in figures["sets"]]
        return "\n\n".join([made, _TRUTH.format(**figures), *tables])
    tables = [f"`{each['generator']}`, in bins of {attribute}:\n\n{spread_table(found, figures['floor'][attribute])}"
              for each in figures["sets"] for attribute, found in each["by_attribute"].items()]
    return "\n\n".join([made, _BINS.format(**figures), *tables])


def spread_table(found: Json, floor: Json) -> str:
    """A line for each figure."""
    rows = [(name, _with_deviation(each, "reference"), _with_deviation(each, "synthetic"), estimate(each["ratio"]),
             estimate(floor[name]["ratio"]), estimate(each["bias"], 4), each["groups"])
            for name, each in found.items()]
    return table(("figure", "reference, mean and deviation", "synthetic", "ratio", "floor's ratio", "bias", "groups"),
                 rows)


def _with_deviation(found: Json, side: str) -> str:
    return f"{number(found[f'{side}_mean']['value'], 4)} ± {number(found[f'{side}_sd']['value'], 4)}"
