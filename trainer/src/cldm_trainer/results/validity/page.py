"""The section on validity, written from validity.json alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from cldm_runtime.bundle.nature import cohort_adjective, cohort_noun

from ...config.validity import READER, TRUTH
from ...tables import NOTHING, estimate, number, table
from ..lesion_size import sized_phrase

Json = Mapping[str, Any]
FEWEST = 12  # segmenters; with fewer, tau moves in large steps

_INTRODUCTION = """\
{count} segmenters were run on {reference} slices of {reference_patients} patients, and on images that each generator
made for the label maps of {other} slices of {other_patients} other patients. tau is Kendall's rank correlation of a
figure over the segmenters: 1 where synthetic images put them in the same order as the {adjective} slices, 0 where the
order is no better than chance. The gap is the figure on synthetic images minus that on {adjective} slices: its mean
over the segmenters (above 0: the figure comes out larger on synthetic images), the mean of its absolute value, and the
largest one. "On the same label maps" is the mean gap to the {adjective} slices that have the very label maps of the
images, without the difference between patients.

"{ceiling}" are those slices in place of synthetic ones: no generator can be expected to do better. Brackets are 95 %
intervals of a bootstrap of patients; the segmenters are not drawn."""


_SCORED = {
    TRUTH: """\
Images of both kinds are scored against the true label maps, from which synthetic images are made, and not against the
contours that the phantom's reader drew.""",
    READER: """\
Images of both kinds are scored against the contours of the phantom's reader; synthetic images against those of the
slices from whose true label maps they are made.""",
    "": "Images of both kinds are scored against the cohort's label maps.",
}


def validity_section(figures: Json) -> str:
    """Heading, first table, scatter plot, segmenters one by one, strata."""
    made, nature = figures["made"], figures.get("nature", "")
    scored = _SCORED[figures["scored_against"] if figures.get("has_reader") else ""]
    parts = ["## Does testing on synthetic images predict testing on the reference?",
             _INTRODUCTION.format(count=len(figures["segmenters"]), adjective=cohort_adjective(nature),
                                  ceiling=_shown(figures["ceiling"], nature), **made["sizes"]),
             scored, prediction_table(figures), _best_text(figures), *_warnings(figures),
             "![each segmenter on synthetic and on reference images](figures/validity.svg)",
             "### The segmenters", segmenter_table(figures), *_same_maps(figures),
             "### By attribute", _STRATA, strata_table(figures),
             f"Written by `{made['command']}`; every number is also in [validity.json](validity.json).",
             *_versions(made)]
    return "\n\n".join(parts)


def _versions(made: Json) -> list[str]:
    """Which bundles were measured; nothing in figures of before they were recorded."""
    makers = (made.get("bundles") or {}).values()
    parts = [("Generators", makers), ("Bundles of segmenters", (made.get("segmenters") or {}).values())]
    named = [f"{title}: {', '.join(f'`{name}`' for name in dict.fromkeys(names))}." for title, names in parts if names]
    return [" ".join(named)] if named else []


_STRATA = """\
Five bins of each attribute of the label map; edges are quantiles of the reference slices. n: slices with the lesion
(all in a domain without one), of the reference and of the label maps."""


def _shown(name: str, nature: str) -> str:
    return name.replace("reference", cohort_noun(nature), 1) if name.startswith("reference") else name


def prediction_table(figures: Json) -> str:
    """A row for each figure and set."""
    head = ("figure", "images", "tau", "mean gap", "on the same label maps", "mean absolute gap", "largest gap",
            "segmenters")
    nature, lines = figures.get("nature", ""), []
    for name, figure in figures["figures"].items():
        for key in (*figures["generators"], figures["ceiling"]):
            item = figure["sets"][key]
            if not item["n"]:
                continue
            largest = item["largest_gap"]
            lines.append((figure_title(name, figures), _shown(key, nature), estimate(item["tau"]),
                          estimate(item["mean_gap"], 3),
                          estimate(item["paired_gap"], 3) if key in figures["generators"] else NOTHING,
                          estimate(item["absolute_gap"], 3),
                          f"{number(largest['value'], 3)} ({largest['segmenter']})" if largest else NOTHING, item["n"]))
    return table(head, lines)


def figure_title(name: str, figures: Json) -> str:
    """A figure's name for people."""
    kind, _, rest = name.partition("_")
    lesion = figures["lesion"]
    titles = {"missed": f"missed {lesion}", "false": f"false {lesion}, any pixel",
              "false_sized": f"false {lesion} {sized_phrase(figures['axes'])}"}
    kinds = {"dice": f"Dice {rest}", "bias": f"bias of {rest}", "mae": f"mean absolute error of {rest}"}
    return titles.get(name) or kinds[kind]


def _best_text(figures: Json) -> str:
    best = figures["best"]
    if best is None:
        return "No figure is defined for every generator, so they cannot be compared."
    means = ", ".join(f"{name} {estimate(value)}" for name, value in best["mean_tau"].items())
    text = f"Mean tau over the {len(best['figures'])} figures that every generator has: {means}."
    ahead = best["ahead_of_next"]
    if ahead is None or ahead["value"] is None:
        return text
    sure = ahead["low"] is not None and ahead["low"] > 0
    return (f"{text} {best['generator']} predicts best, by {estimate(ahead)}"
            + (", beyond chance." if sure else "; the interval holds 0, so the order of the two is not certain."))


def _warnings(figures: Json) -> list[str]:
    count = len(figures["segmenters"])
    return [] if count >= FEWEST else [f"Only {count} segmenters: {FEWEST} or more, of varied quality, make tau "
                                       "reliable."]


def segmenter_table(figures: Json) -> str:
    """Each segmenter's figures: reference, then each generator's images."""
    chosen = headline(figures)
    keys = figures["generators"]
    head = ["segmenter", *(f"{figure_title(name, figures)}: reference / {' / '.join(keys)}" for name in chosen)]
    lines = []
    for segmenter in figures["segmenters"]:
        cells = []
        for name in chosen:
            figure = figures["figures"][name]
            values = [figure["reference"], *(figure["sets"][key]["values"] for key in keys)]
            cells.append(" / ".join(_value(of[segmenter]) for of in values))
        lines.append([segmenter, *cells])
    return table(head, lines)


_SAME_MAPS = """\
Synthetic images beside the {adjective} slices that have the very label maps: the difference of the figure, synthetic
minus {noun}, and the correlation of a segmenter's Dice on the two, slice by slice."""


def _same_maps(figures: Json) -> list[str]:
    """A row for each generator and segmenter; nothing in figures of before it was measured."""
    nature, ceiling = figures.get("nature", ""), figures["ceiling"]
    overlaps = [name for name in headline(figures) if name.startswith("dice_")]
    rows = []
    for name in overlaps:
        of = figures["figures"][name]["sets"]
        rows += [(figure_title(name, figures), key, segmenter, _value(of[ceiling]["values"][segmenter]),
                  _value(of[key]["values"][segmenter]), estimate(of[key]["paired_gaps"][segmenter], 3),
                  estimate(correlation))
                 for key in figures["generators"]
                 for segmenter, correlation in of[key].get("slice_correlations", {}).items() if of[key]["n"]]
    if not rows:
        return []
    noun = cohort_noun(nature)
    return ["### On the same label maps", _SAME_MAPS.format(adjective=cohort_adjective(nature), noun=noun),
            table(("figure", "images", "segmenter", noun, "synthetic", "difference", "correlation"), rows)]


def _value(value: Json) -> str:
    return number(value["value"], 3)


def headline(figures: Json) -> Sequence[str]:
    """Figures of the segmenters' table and of the scatter plot: overlap, errors of the attributes, failures; bias is in
    the file."""
    overlap = f"dice_{figures['lesion']}"
    return [name for name in figures["figures"]
            if name == overlap or (name.startswith("dice_") and overlap not in figures["figures"])
            or name.startswith("mae_") or name in ("missed", "false_sized")]


def strata_table(figures: Json) -> str:
    """A row for each bin, figure and generator."""
    head = ("attribute", "from", "to", "figure", "images", "n", "tau", "mean gap")
    nature = figures.get("nature", "")
    lines = [(row["attribute"], number(row["low"], 3), number(row["high"], 3), figure_title(row["figure"], figures),
              _shown(row["set"], nature), f"{row['n_reference']}, {row['n_synthetic']}", estimate(row["tau"]),
              estimate(row["mean_gap"], 3))
             for row in figures["strata"] if row["mean_gap"]["value"] is not None]
    return table(head, lines)
