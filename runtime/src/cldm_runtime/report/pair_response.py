"""The section on pairs: what the segmentation makes of the same image without its lesion, and with it."""

from html import escape
from math import isfinite

from ..metrics.pair_response import PairResponse
from .charts import CalibrationPoint, calibration
from .places import place_row
from .tables import as_title, counted, estimate, number, shown_scale, shown_unit, table


def pair_section(response: PairResponse | None, lesion: str) -> str:
    """Rates, the agreement of the change, and the curve of measured against painted size; "" without pairs."""
    if response is None:
        return ""
    scale, unit = shown_scale(response.unit), shown_unit(response.unit)
    name, title = escape(as_title(lesion).lower()), escape(as_title(response.attribute))
    intro = (f"<h2>Pairs</h2><p>{response.n} pairs: the same image without {name} or as it was given, and with it. "
             "Everything else is equal, so differences within a pair are the segmentation's answer to the "
             f"{name} alone.</p>")
    rates = table(["Figure", "Pairs", "Count, share"], [
        [f"{name.capitalize()} segmented before there was one", str(response.without_before),
         counted(response.n_false_before, response.false_before)],
        [f"{name.capitalize()} found after it was painted", str(response.with_after),
         counted(response.n_found_after, response.found_after)],
        [f"{name.capitalize()} segmented after it was removed", str(response.healed),
         counted(response.n_false_healed, response.false_healed)]])
    places = [place_row(figure) for figure in response.places]
    rates += table(["Place", "Pairs", "Figure"], places) if places else ""
    if isfinite(response.seam.value):
        rates += ("<p>Squared gradient along the border of what was painted, over that of the first image: "
                  f"{estimate(response.seam, 1, 2)} (1: no seam).</p>")
    change = response.change
    within = (f"<p>Change of {title.lower()} within pairs, segmented against painted: slope "
              f"{estimate(change.slope, 1, 2)}, r² {estimate(change.r2, 1, 2)}, bias "
              f"{estimate(change.bias, scale, 1, signed=True)} {unit}.</p>")
    return intro + rates + within + _doses(response, scale, unit, title)


def _doses(response: PairResponse, scale: float, unit: str, title: str) -> str:
    points = [CalibrationPoint(scale * dose.painted, scale * dose.measured.value, scale * dose.measured.low,
                               scale * dose.measured.high) for dose in response.doses]
    curve = calibration(points, (f"painted ({unit})", f"segmented ({unit})"), f"{title} in pairs")
    rows = [[number(scale * dose.painted, 1), str(dose.n), estimate(dose.measured, scale, 1),
             estimate(dose.before, scale, 1)] for dose in response.doses]
    listed = table([f"Painted ({unit})", "Pairs", "Segmented after", "Segmented before"], rows)
    return (f'<h3>{title}: segmented against painted</h3>{listed}<div class="charts"><figure>{curve}</figure></div>')
