"""Charts as inline SVG: scatter with regression line, Bland-Altman plot, histogram, calibration, shares of bins.

Text is escaped.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..metrics.agreement import Agreement, Estimate

Values = NDArray[np.float64]
WIDTH, HEIGHT = 380, 320
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 14, 48
MOST_POINTS = 1500  # more are thinned evenly, which keeps the file small and hardly changes the chart


@dataclass(frozen=True)
class Axes:
    """Maps data to the plotting area. `x` and `y` are (low, high)."""

    x: tuple[float, float]
    y: tuple[float, float]

    def px(self, value: float) -> float:
        return LEFT + (value - self.x[0]) / (self.x[1] - self.x[0]) * (WIDTH - LEFT - RIGHT)

    def py(self, value: float) -> float:
        return HEIGHT - BOTTOM - (value - self.y[0]) / (self.y[1] - self.y[0]) * (HEIGHT - TOP - BOTTOM)


@dataclass(frozen=True)
class CalibrationPoint:
    """A predicted error, the actual one, and the interval of the actual one (NaN if there is none)."""

    predicted: float
    actual: float
    low: float = math.nan
    high: float = math.nan


def scatter(x: Values, y: Values, marked: NDArray[np.bool_], fitted: Agreement, labels: tuple[str, str],
            scale: float = 1.0) -> str:
    """Measured y against reference x, (N,) each; `marked` points are highlighted. `scale` converts to shown units."""
    x, y, marked = _complete(x * scale, y * scale, marked)
    axes = Axes(span := _padded(np.concatenate([x, y])), span)
    parts = [_line(axes, (span[0], span[0]), (span[1], span[1]), "identity"), _points(axes, x, y, marked)]
    slope, intercept = fitted.slope.value, fitted.intercept.value * scale
    if math.isfinite(slope):
        ends = np.array([x.min(), x.max()])
        parts.append(_line(axes, (ends[0], slope * ends[0] + intercept), (ends[1], slope * ends[1] + intercept), "fit"))
    return _frame(axes, labels, parts, f"{labels[1]} against {labels[0]}, {len(x)} points")


def bland_altman(x: Values, y: Values, marked: NDArray[np.bool_], fitted: Agreement, unit: str,
                 scale: float = 1.0) -> str:
    """Difference y - x against the mean of both, with bias and limits of agreement and their intervals as bands."""
    x, y, marked = _complete(x * scale, y * scale, marked)
    middle, difference = (x + y) / 2, y - x
    lines = [(fitted.limit_low, "limit"), (fitted.bias, "bias"), (fitted.limit_high, "limit")]
    levels = [value * scale for estimate, _ in lines for value in (estimate.value, estimate.low, estimate.high)]
    axes = Axes(_padded(middle), _padded(np.array([*difference, *(v for v in levels if math.isfinite(v)), 0.0])))
    parts = [_band(axes, estimate, scale) for estimate, _ in lines]
    parts.append(_line(axes, (axes.x[0], 0.0), (axes.x[1], 0.0), "identity"))
    parts.append(_points(axes, middle, difference, marked))
    for estimate, kind in lines:
        level = estimate.value * scale
        if math.isfinite(level):
            parts.append(_line(axes, (axes.x[0], level), (axes.x[1], level), kind))
            parts.append(f'<text class="value" x="{WIDTH - RIGHT - 4}" y="{axes.py(level) - 4:.1f}" '
                         f'text-anchor="end">{_text(level, "+.1f")}</text>')
    labels = (f"mean of both ({unit})", f"difference ({unit})")
    return _frame(axes, labels, parts, f"Bland-Altman plot, {len(x)} points")


def calibration(points: Sequence[CalibrationPoint], labels: tuple[str, str], title: str,
                predicted: Values | None = None, actual: Values | None = None) -> str:
    """Actual against predicted error, both 0 or more, as joined points; single cases (N,) are dots behind them.

    The dashed line is where both are equal.
    """
    x = np.array([point.predicted for point in points])
    y = np.array([value for point in points for value in (point.actual, point.high) if math.isfinite(value)])
    dots = (np.zeros(0), np.zeros(0)) if predicted is None or actual is None else (predicted, actual)
    right, top = (1.05 * max([*values.tolist(), 1e-9]) for values in (np.append(x, dots[0]), np.append(y, dots[1])))
    axes, end = Axes((0.0, right), (0.0, top)), min(right, top)
    parts = [_line(axes, (0.0, 0.0), (end, end), "identity"), _points(axes, *dots, np.zeros(len(dots[0]), dtype=bool))]
    for one, other in pairwise(points):
        parts.append(_line(axes, (one.predicted, one.actual), (other.predicted, other.actual), "fit"))
    for point in points:
        if math.isfinite(point.low) and math.isfinite(point.high):
            parts.append(_line(axes, (point.predicted, point.low), (point.predicted, point.high), "whisker"))
        parts.append(f'<circle class="bin" cx="{axes.px(point.predicted):.1f}" cy="{axes.py(point.actual):.1f}" '
                     'r="4.5"/>')
    return _frame(axes, labels, parts, f"Calibration of {title}, {len(points)} points")


def histogram(values: Values, label: str, bins: int = 20) -> str:
    """Counts of values in 0..1, with the median marked."""
    finite = values[np.isfinite(values)]
    counts, edges = np.histogram(finite, bins=bins, range=(0.0, 1.0))
    axes = Axes((0.0, 1.0), (0.0, max(1.0, float(counts.max()) * 1.08)))
    base = axes.py(0.0)
    bars = [f'<rect class="bar" x="{axes.px(low) + 0.75:.1f}" y="{axes.py(count):.1f}" '
            f'width="{axes.px(high) - axes.px(low) - 1.5:.1f}" height="{base - axes.py(count):.1f}"/>'
            for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True) if count]
    if finite.size:
        median = float(np.median(finite))
        bars.append(_line(axes, (median, 0.0), (median, axes.y[1]), "bias"))
        left = median > 0.5
        bars.append(f'<text class="value" x="{axes.px(median) + (-5 if left else 5):.1f}" y="{TOP + 11}" '
                    f'text-anchor="{"end" if left else "start"}">median {median:.2f}</text>')
    return _frame(axes, (label, "samples"), bars, f"Histogram of {label}, {finite.size} samples")


def shares(bins: Sequence[tuple[float, float]], rates: Sequence[Estimate], labels: tuple[str, str]) -> str:
    """A bar for the share of each bin, from its low to its high edge, with its interval; no bar where it is NaN."""
    low, high = min(edges[0] for edges in bins), max(edges[1] for edges in bins)
    axes = Axes((low, high) if high > low else _padded(np.array([low])), (0.0, 1.0))
    parts = []
    for (first, last), rate in zip(bins, rates, strict=True):
        if not math.isfinite(rate.value):
            continue
        left, right, top = axes.px(first) + 0.75, axes.px(last) - 0.75, axes.py(rate.value)
        parts += [f'<rect class="bar" x="{left:.1f}" y="{top:.1f}" width="{max(right - left, 1.0):.1f}" '
                  f'height="{axes.py(0.0) - top:.1f}"/>',
                  _line(axes, ((first + last) / 2, rate.low), ((first + last) / 2, rate.high), "bias")]
    return _frame(axes, labels, parts, f"{labels[1]} by {labels[0]}")


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers within the range, about `count` of them."""
    raw = (high - low) / count
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _text(value: float, form: str = "g") -> str:
    return format(value, form).replace("-", "−")


def _complete(x: Values, y: Values, marked: NDArray[np.bool_]) -> tuple[Values, Values, NDArray[np.bool_]]:
    complete = np.isfinite(x) & np.isfinite(y)
    return x[complete], y[complete], marked[complete]


def _padded(values: Values) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def _points(axes: Axes, x: Values, y: Values, marked: NDArray[np.bool_]) -> str:
    """Plain points first, so that the marked ones lie on top."""
    step = max(1, math.ceil(len(x) / MOST_POINTS))
    circles = []
    for kind, chosen in (("plain", ~marked), ("marked", marked)):
        for row in np.flatnonzero(chosen)[::step]:
            circles.append(f'<circle class="{kind}" cx="{axes.px(x[row]):.1f}" cy="{axes.py(y[row]):.1f}" r="2.6"/>')
    return "".join(circles)


def _line(axes: Axes, start: tuple[float, float], end: tuple[float, float], kind: str) -> str:
    return (f'<line class="{kind}" x1="{axes.px(start[0]):.1f}" y1="{axes.py(start[1]):.1f}" '
            f'x2="{axes.px(end[0]):.1f}" y2="{axes.py(end[1]):.1f}"/>')


def _band(axes: Axes, estimate: Estimate, scale: float) -> str:
    if not (math.isfinite(estimate.low) and math.isfinite(estimate.high)):
        return ""
    top, bottom = axes.py(estimate.high * scale), axes.py(estimate.low * scale)
    return (f'<rect class="band" x="{LEFT}" y="{top:.1f}" width="{WIDTH - LEFT - RIGHT}" '
            f'height="{max(bottom - top, 0.5):.1f}"/>')


def _frame(axes: Axes, labels: tuple[str, str], parts: Sequence[str], title: str) -> str:
    """The chart: grid, axes, labels and the plotted parts."""
    grid = []
    for value in ticks(*axes.x):
        at = axes.px(value)
        grid.append(f'<line class="grid" x1="{at:.1f}" y1="{TOP}" x2="{at:.1f}" y2="{HEIGHT - BOTTOM}"/>'
                    f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{_text(value)}</text>')
    for value in ticks(*axes.y):
        at = axes.py(value)
        grid.append(f'<line class="grid" x1="{LEFT}" y1="{at:.1f}" x2="{WIDTH - RIGHT}" y2="{at:.1f}"/>'
                    f'<text x="{LEFT - 7}" y="{at + 4:.1f}" text-anchor="end">{_text(value)}</text>')
    middle_x, middle_y = (LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2
    names = (f'<text class="label" x="{middle_x}" y="{HEIGHT - 10}" text-anchor="middle">{escape(labels[0])}</text>'
             f'<text class="label" transform="translate(15 {middle_y}) rotate(-90)" text-anchor="middle">'
             f"{escape(labels[1])}</text>")
    return (f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
            f'{"".join(grid)}{"".join(parts)}{names}</svg>')
