"""The report's section on repeated conditions: figures, calibration charts, and maps of some conditions."""

import math
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from ..domains.labels import LabelMap
from ..evaluation.repeated_conditions import ConditionImages, Positions, read_condition, repeated_conditions, spread_of
from ..evaluation.summary import ALL, Samples
from ..metrics.uncertainty import PixelCalibration, Uncertainty, disagreement, image_spread
from ..store import Dataset
from .charts import CalibrationPoint, calibration
from .contours import contours, enlarged_box
from .heat_maps import Panel, grey, heat, panel_row
from .planes import shown_plane, what_is_shown
from .tables import as_title, number, pixel_table, shown_scale, shown_unit, spread_table

DISPUTED_WHITE = 0.5  # disagreement that maps show in the lightest colour
HOW_TO = ("The file holds one image of each condition. cldm-gen --per-condition 8 makes eight, which differ only in "
          "their noise, and the report then has a section on uncertainty.")


def uncertainty_section(dataset: Dataset, name: str, samples: Samples, result: Uncertainty) -> str:
    """The section as HTML."""
    groups = repeated_conditions(samples)
    images = (f"{result.images_low}" if result.images_low == result.images_high
              else f"{result.images_low} to {result.images_high}")
    alone = f" Left out, as the only image of their condition: {result.n_alone}." if result.n_alone else ""
    return (f"<h2>Uncertainty</h2><p>{images} images of each of {result.n_conditions} conditions (the same label map "
            "and request), which differ only in their noise. Where they and their segmentations differ, the condition "
            f"does not determine the result.{alone}</p>{_attributes(samples, groups, result)}{_pixels(result.pixels)}"
            f"{_pictures(dataset, name, samples, groups, result)}")


def _attributes(samples: Samples, groups: dict[int, Positions], result: Uncertainty) -> str:
    if not result.attributes:
        return "<p>The file holds neither masks nor requested attributes that errors could be measured against.</p>"
    reference = "mask" if result.attributes[0].reference == "mask" else "request"
    return (f"<h3>Measured attributes: spread over the images against error from the {reference}</h3>"
            f"{spread_table(result.attributes)}"
            '<p class="note">Root mean squares over the conditions. Spread: standard deviation over the images of a '
            f"condition. Error of the mean: their mean minus the {reference}. Predicted error of k images of spread s: "
            "s √(1 + 1/k). Error / predicted is 1 where that is right, above 1 where the images agree more than they "
            "are right. ρ: rank correlation of predicted and actual error.</p>"
            f'<div class="charts">{_attribute_charts(samples, groups, result)}</div>')


def _attribute_charts(samples: Samples, groups: dict[int, Positions], result: Uncertainty) -> str:
    positions, charts = np.concatenate(list(groups.values())), []
    for item in result.attributes:
        if item.samples != ALL or not item.n:
            continue
        column = samples.domain.attribute_names.index(item.attribute)
        scale, unit = shown_scale(item.unit), shown_unit(item.unit)
        spread = spread_of(samples, positions, column)
        points = [CalibrationPoint(each.rms_predicted * scale, each.rms_error.value * scale, each.rms_error.low * scale,
                                   each.rms_error.high * scale) for each in item.bins]
        title = as_title(item.attribute)
        bins = f", {len(points)} bins" if len(points) > 1 else ""
        charts.append(f"<figure><figcaption>{escape(title)}: {item.n} conditions{bins}</figcaption>" +
                      calibration(points, (f"predicted error ({unit})", f"error of the mean ({unit})"), title,
                                  spread.predicted * scale, np.abs(spread.error) * scale) + "</figure>")
    return "".join(charts)


def _pixels(pixels: PixelCalibration | None) -> str:
    if pixels is None:
        return ""
    points = [CalibrationPoint(each.disagreement, each.error_rate.value, each.error_rate.low, each.error_rate.high)
              for each in pixels.bins]
    chart = calibration(points, ("disagreement of the segmentations", "pixels that are wrong"), "Pixels")
    unseen, gap = pixels.unanimous_wrong, pixels.calibration_error
    return ("<h3>Pixels: disagreement against actual errors</h3><p>Disagreement: the share of a condition's "
            "segmentations that differ from the most frequent label. Wrong: that label is not the mask's. "
            f"{_share(unseen.value)} of the wrong pixels are disputed by no image ({_share(unseen.low)} to "
            f"{_share(unseen.high)}); mean gap between disagreement and error rate {number(100 * gap.value, 2)} %.</p>"
            f'<div class="charts"><figure>{chart}</figure><div>{pixel_table(pixels)}</div></div>')


def _pictures(dataset: Dataset, name: str, samples: Samples, groups: dict[int, Positions], result: Uncertainty) -> str:
    whole = {number: read_condition(dataset, name, samples, groups[number]) for number in result.examples}
    planes = {number: shown_plane(samples.domain, _outlined(each, samples)) for number, each in whole.items()}
    planar = {number: _in_plane(each, planes[number]) for number, each in whole.items()}
    top = max(float(np.quantile(image_spread(each.images[:, 0])[1], 0.999)) for each in planar.values()) or 1.0
    captions = {number: _caption(samples, groups[number]) + what_is_shown(dataset.shape, dataset.channels, plane)
                for number, plane in planes.items()}
    rows = "".join(f"<figure>{_row(each, samples, top)}<figcaption>{escape(captions[condition])}</figcaption></figure>"
                   for condition, each in planar.items())
    last = ", mean image with the mask's contours" if "masks" in dataset else ""
    return ("<h3>Where the images of a condition differ</h3><p>From the least to the most disagreement. Each row: mean "
            f"image; standard deviation of the intensity (black 0, lightest {top:.2g} or more); one image with its "
            f"segmentation; disagreement of the segmentations (black 0, lightest {DISPUTED_WHITE:g} or more){last}.</p>"
            f'<div class="maps">{rows}</div>')


def _outlined(images: ConditionImages, samples: Samples) -> LabelMap:
    """The mask of a condition or, without one, the most frequent labels."""
    if images.truth is not None and images.truth.any():
        return images.truth
    return disagreement(images.labels, len(samples.domain.labels))[0]


def _in_plane(images: ConditionImages, plane: tuple[int, ...]) -> ConditionImages:
    """One plane of volumes; slices as they are."""
    if not plane:
        return images
    truth = None if images.truth is None else images.truth[plane]
    return ConditionImages(images.images[:, :, plane[0]], images.labels[:, plane[0]], truth)


def _row(images: ConditionImages, samples: Samples, top: float) -> str:
    mean, deviation = image_spread(images.images[:, 0])
    mode, disputed = disagreement(images.labels, len(samples.domain.labels))
    box = enlarged_box(mode if images.truth is None else images.truth, images.labels.max(axis=0))
    low, high = float(images.images.min()), float(images.images.max())
    names = samples.domain.labels
    panels = [Panel("mean image", grey(mean, low, high)), Panel("standard deviation", heat(deviation, top)),
              Panel("one image, segmented", grey(images.images[0, 0], low, high), contours(images.labels[0], names)),
              Panel("disagreement", heat(disputed, DISPUTED_WHITE))]
    if images.truth is not None:
        panels.append(Panel("mean image, mask", grey(mean, low, high), contours(images.truth, names)))
    return panel_row(panels, box)


def _caption(samples: Samples, positions: Positions) -> str:
    """Mean and spread of the measured attributes, and their reference values."""
    reference = samples.mask if samples.mask is not None else samples.requested
    kind = "mask" if samples.mask is not None else "requested"
    parts = []
    for column, attribute in enumerate(samples.domain.attributes):
        values, scale = samples.attributes[positions, column].astype(np.float64), shown_scale(attribute.unit)
        mean, spread = _mean_and_spread(values * scale)
        truth = math.nan if reference is None else float(reference[positions[0], column]) * scale
        if math.isfinite(mean):
            parts.append(f"{as_title(attribute.name).lower()} {number(mean, 1)} ± {number(spread, 1)} "
                         f"{shown_unit(attribute.unit)} ({kind} {number(truth, 1)})")
    rows = samples.rows[positions]
    return f"Rows {rows[0]} to {rows[-1]}, {len(rows)} images: {'; '.join(parts) or 'nothing measured'}."


def _mean_and_spread(values: NDArray[np.float64]) -> tuple[float, float]:
    finite: Sequence[float] = values[np.isfinite(values)].tolist()
    if not finite:
        return math.nan, math.nan
    return float(np.mean(finite)), float(np.std(finite, ddof=1)) if len(finite) > 1 else math.nan


def _share(value: float) -> str:
    return f"{number(100 * value, 0)} %"
