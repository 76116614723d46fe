"""What the audit saw: the images that the classifier is surest of, and the pairs that are nearest to being copies."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from .images import ImageRows, Images, Rows, standardised, turned
from .judges.panel import JudgeResult, TwoClasses
from .memorisation import Verdict
from .nearest import Neighbours
from .two_sample import TwoSample

COLUMNS = 8
PAIRS = 6
_INCH = 1.5


def surest(path: Path, result: TwoSample, zero: Images, one: Images, names: tuple[str, str]) -> None:
    """A row of images for each class: those that the classifier put there with the least doubt, the surest first."""
    sure = {f"{names[0]}, classified most surely": zero[np.argsort(result.probability[: result.images])[:COLUMNS]],
            f"{names[1]}, classified most surely": one[np.argsort(-result.probability[result.images :])[:COLUMNS]]}
    low, high = (float(value) for value in np.percentile(zero, (0.5, 99.5)))
    figure, axes = plt.subplots(2, COLUMNS, figsize=(_INCH * COLUMNS, 2 * _INCH + 0.5), squeeze=False)
    for line, (title, images) in zip(axes, sure.items(), strict=True):
        for axis in line:
            axis.set_axis_off()
        for axis, image in zip(line, images, strict=False):
            axis.imshow(image[0], cmap="gray", vmin=low, vmax=high, interpolation="nearest")
        line[0].set_title(title, loc="left", fontsize=9)
    figure.subplots_adjust(left=0.005, right=0.995, top=0.92, bottom=0.005, wspace=0.02, hspace=0.14)
    _save(figure, path)


def told_apart(path: Path, comparison: TwoClasses, judge: JudgeResult) -> None:
    """A column for each of the pairs that the judge is surest of, and right about: reference above, synthetic below."""
    if judge.probability is None:
        return
    count = len(comparison.zero.images)
    surest_first = np.argsort(judge.probability[:count] - judge.probability[count:], kind="stable")[:COLUMNS]
    figure, axes = plt.subplots(2, COLUMNS, figsize=(_INCH * COLUMNS, 2 * _INCH + 0.5), squeeze=False)
    for line, title, side in zip(axes, ("reference", "synthetic"), (comparison.zero, comparison.one), strict=True):
        for axis in line:
            axis.set_axis_off()
        for axis, number in zip(line, surest_first, strict=False):
            axis.imshow(side.images[number, 0], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        line[0].set_title(f"{title}, by the judge \"{judge.name}\"", loc="left", fontsize=9)
    figure.subplots_adjust(left=0.005, right=0.995, top=0.92, bottom=0.005, wspace=0.02, hspace=0.14)
    _save(figure, path)


def worst_first(verdict: Verdict) -> Rows:
    """Numbers of the `PAIRS` images that are nearest to being copies, or are."""
    order: Rows = np.argsort(verdict.severity, kind="stable")[:PAIRS].astype(np.int64)
    return order


def pairs(path: Path, synthetic: ImageRows, training: ImageRows, neighbours: Neighbours, verdict: Verdict) -> None:
    """The pairs of `worst_first`, a column each: the synthetic image turned as its neighbour lies, the training slice,
    and the difference of both after standardisation (in standard deviations, blue less and red more than training)."""
    worst = worst_first(verdict)
    figure, axes = plt.subplots(3, len(worst), figsize=(_INCH * 1.3 * len(worst), 3 * _INCH * 1.3 + 0.6), squeeze=False)
    for column, number in enumerate(worst.tolist()):
        candidate = turned(synthetic.take(np.array([number])), int(neighbours.symmetry[number]))
        neighbour = training.take(neighbours.position[[number]])
        one, other = (standardised(image)[0, 0] for image in (candidate, neighbour))
        panels: Mapping[int, tuple[NDArray[np.float32], Mapping[str, Any]]] = {
            0: (one, {"cmap": "gray", "vmin": -2, "vmax": 4}), 1: (other, {"cmap": "gray", "vmin": -2, "vmax": 4}),
            2: (one - other, {"cmap": "RdBu_r", "vmin": -2, "vmax": 2})}
        for row, (image, scale) in panels.items():
            axes[row, column].imshow(image, interpolation="nearest", **scale)
            axes[row, column].set_axis_off()
        label = "copy" if verdict.copies[number] else "no copy"
        axes[0, column].set_title(f"{label}\nd {neighbours.distance[number]:.3f}, ratio {neighbours.ratio[number]:.2f}",
                                  fontsize=8)
    figure.subplots_adjust(left=0.005, right=0.995, top=0.92, bottom=0.005, wspace=0.02, hspace=0.02)
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
