"""The pictures of the report: which samples are shown, and each as an image with contours and figures."""

from html import escape

import numpy as np
from numpy.typing import NDArray

from ..evaluation.summary import Samples
from ..store import Dataset
from .contours import case_picture
from .planes import ACROSS, lesion_planes, planes_shown, what_is_shown
from .tables import as_title, number, shown_scale, shown_unit

CASES = 4  # pictures in each of the three groups


def gallery(dataset: Dataset, name: str, samples: Samples) -> str:
    """The section as HTML; empty for no samples. It shows three planes of a volume, through its largest lesion, and the
    first of several channels."""
    groups = choose_cases(samples)
    if not any(groups.values()):
        return ""
    colours = zip(samples.domain.labels.names[1:], samples.domain.labels.colours[1:], strict=True)
    legend = "&emsp;".join(f'<span class="key square" style="background:rgb{colour}"></span>{escape(as_title(label))}'
                           for label, colour in colours)
    views = "the reference mask, and with those of the segmentation" if "masks" in dataset else "the segmentation"
    planes = "" if samples.domain.axes == 2 else "Three planes through the largest lesion, across z, y and x. "
    parts = [f"<h2>Pictures</h2><p>{planes}Each row: the slice, then enlarged with the contours of {views}. "
             f'{_order(samples)}</p><p class="note">{legend}</p>']
    for group, positions in groups.items():
        cases = "".join(_case(dataset, name, samples, position) for position in positions)
        parts.append(f'<h3>{group}</h3><div class="gallery">{cases}</div>')
    return "".join(parts)


def choose_cases(samples: Samples, count: int = CASES) -> dict[str, list[int]]:
    """Positions of typical, best and worst samples, each sample once; evenly spaced samples of the file if fewer than
    three are ranked."""
    rank = ranking(samples)
    order = [] if rank is None else [int(row) for row in np.argsort(rank, kind="stable") if np.isfinite(rank[row])]
    if len(order) < 3:
        spread = np.linspace(0, len(samples) - 1, min(3 * count, len(samples))).round().astype(int)
        return {"Examples": spread.tolist()}
    count = min(count, len(order) // 3)
    worst, best = order[:count], order[::-1][:count]
    middle = (len(order) - count) // 2
    return {"Typical": order[middle:middle + count], "Best": best, "Worst": worst}


def ranking(samples: Samples) -> NDArray[np.float64] | None:
    """(N,) quality of each sample, NaN if unknown: the mean Dice; without masks, the mean of -|difference| / range
    between measured and requested attributes; None without either."""
    if samples.scores is not None:
        columns = [index for index, name in enumerate(samples.scores.names) if name.endswith("_dice")]
        return _mean(samples.scores.values[:, columns])
    if samples.requested is None:
        return None
    ranges = np.array([attribute.high - attribute.low for attribute in samples.domain.attributes])
    return _mean(-np.abs(samples.attributes - samples.requested) / ranges)


def _mean(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """(N,) mean of the finite numbers of each row; NaN if it has none."""
    counted = np.isfinite(values).sum(axis=1)
    return np.where(counted > 0, np.nansum(values, axis=1) / np.maximum(counted, 1), np.nan)


def _order(samples: Samples) -> str:
    if samples.scores is not None:
        return "Ranked by mean Dice over the regions."
    if samples.requested is not None:
        return "Ranked by the mean difference between measured and requested attributes, each as a share of its range."
    return "Evenly spaced in the file."


def _case(dataset: Dataset, name: str, samples: Samples, position: int) -> str:
    row = int(samples.rows[position])
    labels, mask = dataset.segmentation(name).masks(row), dataset.reference(row) if "masks" in dataset else None
    image = dataset.images(row)[0]
    low, high = float(image.min()), float(image.max())
    intensity = (low, high if high > low else low + 1.0)
    if labels.ndim == 2:
        pictures = case_picture(f"case{row}", image, mask, labels, samples.domain.labels, intensity)
        place = what_is_shown(dataset.shape, dataset.channels, ())
    else:
        planes = lesion_planes(samples.domain, labels if mask is None or not mask.any() else mask)
        spacing = dataset.spacing_mm
        pictures = "".join(
            case_picture(f"case{row}{ACROSS[plane.axis]}", plane.of(image, spacing),
                         None if mask is None else plane.of(mask, spacing), plane.of(labels, spacing),
                         samples.domain.labels, intensity) for plane in planes)
        place = planes_shown(dataset.shape, dataset.channels, planes)
    figures = _attributes(samples, position) if samples.scores is None else _dice(samples, position)
    return f"<figure>{pictures}<figcaption>Row {row}{place}. {escape(figures)}</figcaption></figure>"


def _dice(samples: Samples, position: int) -> str:
    assert samples.scores is not None
    dice = {region: samples.scores[f"{region}_dice"][position] for region in samples.domain.labels.regions}
    figures = [f"{as_title(region)} {value:.2f}" for region, value in dice.items() if np.isfinite(value)]
    return f"Dice: {', '.join(figures)}"


def _attributes(samples: Samples, position: int) -> str:
    """Measured and requested values of each attribute; one that has neither is left out."""
    texts = []
    for column, attribute in enumerate(samples.domain.attributes):
        measured = float(samples.attributes[position, column])
        requested = float("nan") if samples.requested is None else float(samples.requested[position, column])
        if np.isfinite([measured, requested]).any():
            scale, unit = shown_scale(attribute.unit), shown_unit(attribute.unit)
            request = "" if samples.requested is None else f" ({number(requested * scale, 0)} requested)"
            texts.append(f"{as_title(attribute.name)} {number(measured * scale, 0)}{request} {unit}")
    return "; ".join(texts)
