"""The scatter plot: every segmenter on synthetic against reference images."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from cldm_runtime.bundle.nature import cohort_noun

from .page import figure_title, headline


def scatter(path: Path, figures: Mapping[str, Any]) -> None:
    """A row for each generator, a column for each figure of the segmenters' table; one numbered point a segmenter, with
    its intervals. The same figures give the same bytes."""
    names, keys = headline(figures), figures["generators"]
    size = 2.8 * len(names), 2.8 * len(keys) + 0.5
    picture, axes = plt.subplots(len(keys), len(names), figsize=size, squeeze=False)
    for row, key in enumerate(keys):
        for column, name in enumerate(names):
            figure = figures["figures"][name]
            axes[row, column].set_title(f"{key}: {figure_title(name, figures)}" if column == 0 else
                                        figure_title(name, figures), fontsize=7)
            _panel(axes[row, column], figure["reference"], figure["sets"][key]["values"], figures["segmenters"])
    listed = "   ".join(f"{number} {name}" for number, name in enumerate(figures["segmenters"], 1))
    picture.supxlabel(f"on {cohort_noun(figures.get('nature', ''))} slices\n{listed}", fontsize=6, wrap=True)
    picture.supylabel("on synthetic images", fontsize=8)
    picture.tight_layout(rect=(0.01, 0.0, 1.0, 1.0))
    path.parent.mkdir(parents=True, exist_ok=True)
    with plt.rc_context({"svg.hashsalt": "validity"}):
        picture.savefig(path, format="svg", metadata={"Date": None})
    plt.close(picture)


def _panel(axis: Any, reference: Mapping[str, Any], synthetic: Mapping[str, Any], segmenters: list[str]) -> None:
    """Points with crosses of intervals, and the line where both are equal."""
    ends = []
    for number, name in enumerate(segmenters, 1):
        x, y = (_numbers(of[name]) for of in (reference, synthetic))
        if not np.isfinite([x[0], y[0]]).all():
            continue
        axis.plot([x[1], x[2]], [y[0]] * 2, color="0.8", linewidth=0.8)
        axis.plot([x[0]] * 2, [y[1], y[2]], color="0.8", linewidth=0.8)
        axis.plot(x[0], y[0], "o", color="C0", markersize=3)
        axis.annotate(str(number), (x[0], y[0]), fontsize=5, xytext=(2, 2), textcoords="offset points")
        ends += [x[0], y[0]]
    axis.tick_params(labelsize=6)
    if ends:
        axis.axline((min(ends), min(ends)), slope=1.0, color="0.6", linewidth=0.8, zorder=0)
    else:
        axis.text(0.5, 0.5, "not defined", ha="center", fontsize=7)


def _numbers(value: Mapping[str, Any]) -> list[float]:
    return [float("nan") if value[key] is None else float(value[key]) for key in ("value", "low", "high")]
