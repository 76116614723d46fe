"""The section on the quality filter of the reported images: what it kept, where, and so what is missing."""

from html import escape

from ..metrics.agreement import rate_estimate
from ..store import FilterBin, FilterRecord
from .charts import shares
from .tables import as_title, counted, number, shown_scale, shown_unit, table


def filter_sentence(record: FilterRecord) -> str:
    """What a reader of any figure must know first."""
    return (f"Only images that meet a rule on what the segmenter {record.segmenter} finds were kept "
            f"({record.accepted} of {record.asked} samples): figures of that segmenter, and of any like it, are better "
            "than on all images.")


def filter_section(record: FilterRecord) -> str:
    """Counts of the whole run, and a table for every attribute."""
    means = ", ".join(f"{as_title(name)} {number(mean, 3)}" for name, mean in record.means.items())
    intro = (f"<h2>The quality filter</h2><p>Kept if <code>{escape(record.rule)}</code>, judged by "
             f"{escape(record.segmenter)} on up to {record.tries} candidates of each sample. {record.accepted} of "
             f"{record.asked} samples were kept, {record.rejected} candidates rejected, {len(record.given_up)} samples "
             f"given up. Means over all candidates: {escape(means) or 'none is defined'}.</p>")
    if not record.bins:
        return intro
    head = ["Attribute", "Bin", "Asked", "Kept", "Given up", "Candidates<br>rejected"]
    return (f"{intro}<p>Samples in bins of each attribute of the label map, or of the request where there is none. A "
            "bin with a low share kept is rarer in this file than it was asked for.</p>"
            f"{table(head, _rows(record.bins))}<div class=\"charts\">{_charts(record.bins)}</div>")


def _charts(bins: tuple[FilterBin, ...]) -> str:
    """The share kept in the bins of each attribute, for bins of some width."""
    figures = []
    for name in dict.fromkeys(each.attribute for each in bins):
        own = [each for each in bins if each.attribute == name and each.high > each.low]
        if own:
            scale, unit = shown_scale(own[0].unit), shown_unit(own[0].unit)
            chart = shares([(each.low * scale, each.high * scale) for each in own],
                           [rate_estimate(each.accepted, each.asked) for each in own],
                           (f"{as_title(name)} ({unit})", "share kept"))
            figures.append(f"<figure>{chart}</figure>")
    return "".join(figures)


def _rows(bins: tuple[FilterBin, ...]) -> list[list[str]]:
    rows, last = [], ""
    for each in bins:
        scale, unit = shown_scale(each.unit), shown_unit(each.unit)
        name = "" if each.attribute == last else f"{as_title(each.attribute)} ({unit})"
        last = each.attribute
        rows.append([escape(name), f"{number(each.low * scale, 1)} to {number(each.high * scale, 1)}", str(each.asked),
                     counted(each.accepted, rate_estimate(each.accepted, each.asked)), str(each.given_up),
                     str(each.rejected)])
    return rows
