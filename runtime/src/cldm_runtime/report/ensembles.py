"""The report's section on the label maps that an ensemble drew."""

from collections.abc import Sequence
from html import escape

from ..metrics.energy import RegionEnsemble
from .tables import as_title, estimate, number, table


def ensemble_section(ensemble: Sequence[RegionEnsemble]) -> str:
    """Dice by the number of draws, and the distance from annotations, as HTML; empty where no draws are kept."""
    return "" if not ensemble else _sizes(ensemble) + _distances(ensemble)


def _sizes(ensemble: Sequence[RegionEnsemble]) -> str:
    if not ensemble[0].sizes:
        return ""
    head = ["Region", *(f"{each.draws} drawn" for each in ensemble[0].sizes)]
    rows = [[escape(as_title(each.region)), *(estimate(size.dice, 1, 3) for size in each.sizes)] for each in ensemble]
    return ("<h2>How many draws</h2><p>Mean Dice of the majority of the first label maps that were drawn, by their "
            f"number. Time grows with the number of draws.</p>{table(head, rows)}")


def _distances(ensemble: Sequence[RegionEnsemble]) -> str:
    rows = [[escape(as_title(each.region)), estimate(each.distance, 1, 3),
             *(number(value, 3) for value in (each.between, each.drawn, each.annotated) if value is not None)]
            for each in ensemble if each.distance is not None]
    if not rows:
        return ""
    head = ["Region", "Energy<br>distance", "Drawn from<br>annotation", "Two drawn", "Two<br>annotations"]
    return ("<h2>Draws and annotations</h2><p>Generalised energy distance, 0 where the drawn label maps differ as the "
            "annotations do; and the mean distance, 1 minus the intersection over the union, that it is made of."
            f"</p>{table(head, rows)}")
