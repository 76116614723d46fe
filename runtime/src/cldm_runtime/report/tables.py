"""The tables and key figures of the report, as HTML. Every text is escaped; an undefined number is a dash."""

import math
from collections.abc import Sequence
from html import escape

from ..evaluation.summary import ALL, Comparison, Detection, Samples, Summary
from ..metrics.agreement import Estimate
from ..metrics.overlap import Spread
from ..metrics.uncertainty import AttributeSpread, PixelCalibration

DASH = "–"


def as_title(name: str) -> str:
    """tumour_size -> Tumour size; a first word of at most 3 letters in capitals: ct_value -> CT value."""
    first, *rest = name.split("_")
    return " ".join([first.upper() if len(first) <= 3 else first.capitalize(), *rest])


def shown_scale(unit: str) -> float:
    """Fractions are shown as percentages."""
    return 100.0 if unit == "fraction" else 1.0


def shown_unit(unit: str) -> str:
    return "%" if unit == "fraction" else unit


def key_figures(samples: Samples, summary: Summary) -> list[tuple[str, str, str]]:
    """(label, value, detail) of each tile at the top of the page."""
    tiles = [(f"Dice, {as_title(region.region)}", number(region.dice.mean, 2),
              f"median {number(region.dice.median, 2)}, n = {region.dice.n}") for region in summary.regions]
    detection = summary.detection
    if detection is not None and detection.n_without:
        where = "samples without it" if detection.reference == "mask" else "samples where none was requested"
        tiles.append((f"False {as_title(detection.region).lower()}", percent(detection.false_rate.value),
                      f"{detection.n_false} of {detection.n_without} {where}"))
    for attribute in samples.domain.attributes:
        compared = [c for c in summary.comparisons
                    if c.attribute == attribute.name and c.measured == "segmentation"]
        reference = "mask" if any(c.reference == "mask" for c in compared) else "requested"
        chosen = {c.samples: c.agreement for c in compared if c.reference == reference}
        if ALL in chosen and math.isfinite(chosen[ALL].r2.value):
            detail = "; ".join(f"{name} {number(result.r2.value, 2)}" for name, result in chosen.items() if name != ALL)
            tiles.append((f"r², {as_title(attribute.name).lower()}", number(chosen[ALL].r2.value, 2),
                          detail or f"against {reference}"))
    return tiles


def region_table(summary: Summary) -> str:
    """Dice, distances and counts of each region."""
    head = ["Region", "Dice", "Dice with absence", "HD (mm)", "HD95 (mm)", "ASSD (mm)", "n", "Reference<br>without",
            "Segmentation<br>without", "Missed", "False"]
    rows = [[escape(as_title(region.region)), _spread(region.dice, 3), _spread(region.dice_with_absence, 3),
             _spread(region.hd_mm, 1), _spread(region.hd95_mm, 1), _spread(region.assd_mm, 2), str(region.n),
             str(region.n_empty_reference), str(region.n_empty_prediction), str(region.n_missed),
             counted(region.n_false, summary.false_detections[region.region])] for region in summary.regions]
    return table(head, rows)


def agreement_table(comparisons: Sequence[Comparison]) -> str:
    """One line for each attribute and set of samples, with intervals under the figures."""
    head = ["Attribute", "n", "Excluded<br>ref. + seg.", "Range of<br>reference", "r²", "Slope", "Intercept", "Bias",
            "Limits of agreement", "ICC(2,1)", "MAE"]
    rows, classes, last = [], [], ""
    for comparison in comparisons:
        figures, scale, unit = comparison.agreement, shown_scale(comparison.unit), shown_unit(comparison.unit)
        first = comparison.attribute != last
        name = f"{as_title(comparison.attribute)} ({unit})" if first else comparison.samples
        last = comparison.attribute
        classes.append("" if first else "second")
        rows.append([
            escape(name), str(figures.n), f"{figures.n_reference_undefined} + {figures.n_measured_undefined}",
            f"{number(figures.reference_low * scale, 1)} to {number(figures.reference_high * scale, 1)}",
            estimate(figures.r2, 1, 2), estimate(figures.slope, 1, 2), estimate(figures.intercept, scale, 1),
            estimate(figures.bias, scale, 1, signed=True),
            f"{number(figures.limit_low.value * scale, 1, True)} to {number(figures.limit_high.value * scale, 1, True)}"
            f"<small>{_interval(figures.limit_low, scale, 1)}, {_interval(figures.limit_high, scale, 1)}</small>",
            estimate(figures.icc, 1, 2), estimate(figures.mae, scale, 1)])
    return table(head, rows, classes)


def detection_table(lesion: Detection) -> str:
    """Counts of samples with the lesion in the reference and in the segmentation, for a file without masks."""
    head = ["Lesion", "Reference<br>with", "Missed", "Reference<br>without", "False"]
    row = [escape(as_title(lesion.region)), str(lesion.n_with), counted(lesion.n_missed, lesion.missed_rate),
           str(lesion.n_without), counted(lesion.n_false, lesion.false_rate)]
    return table(head, [row])


def spread_table(spreads: Sequence[AttributeSpread]) -> str:
    """Spread over the images of a condition, and errors; one line for each attribute and set of conditions."""
    head = ["Attribute", "Conditions", "Excluded<br>ref. + seg.", "Undefined<br>measurements", "Spread",
            "Error of<br>the mean", "Error of<br>one image", "Error /<br>predicted", "ρ"]
    rows, classes, last = [], [], ""
    for item in spreads:
        first, scale = item.attribute != last, shown_scale(item.unit)
        last = item.attribute
        classes.append("" if first else "second")
        rows.append([
            escape(f"{as_title(item.attribute)} ({shown_unit(item.unit)})" if first else item.samples), str(item.n),
            f"{item.n_reference_undefined} + {item.n_too_few}", str(item.n_values_undefined),
            estimate(item.rms_spread, scale, 2), estimate(item.rms_error, scale, 2),
            estimate(item.rms_error_single, scale, 2), estimate(item.ratio, 1, 2), estimate(item.rho, 1, 2)])
    return table(head, rows, classes)


def pixel_table(pixels: PixelCalibration) -> str:
    """Disagreement and error rate, bin by bin."""
    rows = [["0" if point.high == 0 else f"{point.low:g} to {point.high:g}", str(point.n), str(point.n_wrong),
             number(100 * point.disagreement, 1), estimate(point.error_rate, 100, 1)] for point in pixels.bins]
    return table(["Disagreement", "Pixels", "Wrong", "Mean<br>disagreement (%)", "Error rate (%)"], rows)


def comparisons_made(samples: Samples, summary: Summary) -> str:
    """The comparisons of the report, as text."""
    pairs = dict.fromkeys((comparison.measured, comparison.reference) for comparison in summary.comparisons)
    pairs_compared = ["regions of the segmentation with those of the masks"] if samples.scores is not None else []
    whose = {"requested": "requested", "mask": "of the mask"}
    pairs_compared += [f"attributes of the {measured} with those {whose[reference]}" for measured, reference in pairs]
    return "; ".join(pairs_compared) or "nothing, because the file holds neither masks nor requested attributes"


def run_table(summary: Summary) -> str:
    """Dataset, segmenter, settings and versions, one line each."""
    rows = "".join(f"<tr><td>{escape(key.replace('_', ' '))}</td><td>{escape(str(value))}</td></tr>"
                   for key, value in summary.run.items())
    return f'<table class="text">{rows}</table>'


def number(value: float, digits: int, signed: bool = False) -> str:
    if not math.isfinite(value):
        return DASH
    rounded = round(value, digits) + 0.0  # the sum turns -0.0 into 0.0
    text = f"{rounded:+.{digits}f}" if signed else f"{rounded:.{digits}f}"
    return text.replace("-", "−")


def percent(value: float) -> str:
    return f"{100 * value:.0f} %" if math.isfinite(value) else DASH


def _spread(values: Spread, digits: int) -> str:
    if values.n == 0:
        return DASH
    return (f"{number(values.mean, digits)} ± {number(values.sd, digits)}<small>{number(values.median, digits)} "
            f"({number(values.q25, digits)} to {number(values.q75, digits)})</small>")


def estimate(figure: Estimate, scale: float, digits: int, signed: bool = False) -> str:
    """The value with its interval below, as HTML."""
    return f"{number(figure.value * scale, digits, signed)}<small>{_interval(figure, scale, digits)}</small>"


def _interval(estimate: Estimate, scale: float, digits: int) -> str:
    if not math.isfinite(estimate.low):
        return ""
    return f"{number(estimate.low * scale, digits)} to {number(estimate.high * scale, digits)}"


def counted(count: int, rate: Estimate) -> str:
    """The count and its share, with its interval below, as HTML."""
    if not math.isfinite(rate.value):
        return f"{count}"
    return f"{count} ({percent(rate.value)})<small>{percent(rate.low)} to {percent(rate.high)}</small>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], classes: Sequence[str] | None = None) -> str:
    """A table whose cells are HTML. classes: of each row."""
    names = classes or [""] * len(rows)
    first = "".join(f"<th>{cell}</th>" for cell in head)
    lines = []
    for name, row in zip(names, rows, strict=True):
        label = f'<td class="indent">{row[0]}</td>' if name == "second" else f"<td>{row[0]}</td>"
        lines.append(f'<tr class="{name}">{label}{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>')
    return f'<div class="wide"><table><thead><tr>{first}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
