"""The section on where a segmentation fails: scores in bins of every attribute."""

import math
from html import escape

from ..metrics.strata import Strata, Stratum
from .tables import as_title, counted, estimate, number, shown_scale, shown_unit, table

_REFERENCES = {"mask": "the reference mask", "requested": "the request"}


def worst_sentence(strata: Strata) -> str:
    """The worst bin in one sentence."""
    stratum = strata.worst
    if stratum is None:
        return (f"Worst: not named, for no bin of an attribute holds {strata.minimum_n} samples with the region "
                "and a figure.")
    place = f"{stratum.attribute.replace('_', ' ')} {bin_text(stratum)}"
    return f"Worst: {place}: {_figures(stratum)}, n = {stratum.n}, {stratum.n_missed} missed."


def strata_section(strata: Strata | None) -> str:
    """A table for every attribute; says so where there is nothing to stratify."""
    if strata is None:
        return ("<h2>Where it fails</h2><p>No reference says which samples hold a region, so there is nothing to sort "
                "them by.</p>")
    reference = _REFERENCES[strata.reference]
    undefined = f" Defined in no reference: {escape(_listed(strata.undefined))}." if strata.undefined else ""
    intro = (f"<h2>Where it fails</h2><p>Samples in {strata.bins} bins of each attribute of {reference}; edges are "
             f"{strata.edges}, and values outside of these join the first or last bin. n: samples whose reference "
             "holds the region; Dice and misses are theirs, false findings those of the others. Bias: attribute of the "
             f"segmentation minus that of {reference}.{undefined}</p>")
    return intro + (_table(strata) if strata.rows else "")


def bin_text(stratum: Stratum) -> str:
    """0.01, 0.05, fraction -> 1.0 to 5.0 %."""
    low, high = (number(value * shown_scale(stratum.unit), 1) for value in (stratum.low, stratum.high))
    return f"{low} to {high} {shown_unit(stratum.unit)}"


def _table(strata: Strata) -> str:
    head = ["Attribute", "Bin", "Region", "n", "Dice", "Missed", "Without<br>region", "False", "Bias"]
    rows, classes, last = [], [], ""
    for stratum in strata.rows:
        first, scale = stratum.attribute != last, shown_scale(stratum.unit)
        last = stratum.attribute
        classes.append("worst" if stratum is strata.worst else "")
        name = f"{as_title(stratum.attribute)} ({shown_unit(stratum.unit)})" if first else ""
        rows.append([
            escape(name), escape(bin_text(stratum).removesuffix(f" {shown_unit(stratum.unit)}")),
            escape(as_title(stratum.region)), str(stratum.n), estimate(stratum.dice, 1, 3),
            counted(stratum.n_missed, stratum.missed_rate), str(stratum.n_without),
            counted(stratum.n_false, stratum.false_rate), estimate(stratum.bias, scale, 1, signed=True)])
    return table(head, rows, classes)


def _figures(stratum: Stratum) -> str:
    if not math.isfinite(stratum.dice.value):
        return f"{stratum.region.replace('_', ' ')} missed in {number(100 * stratum.missed_rate.value, 0)} %"
    interval = ""
    if math.isfinite(stratum.dice.low):
        interval = f" [{number(stratum.dice.low, 2)} to {number(stratum.dice.high, 2)}]"
    return f"Dice {number(stratum.dice.value, 2)}{interval} of {stratum.region.replace('_', ' ')}"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(name.replace("_", " ") for name in names)
