"""docs/montage.png and the scatter plots."""

from pathlib import Path
from typing import Any, NamedTuple, Self

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from cldm_runtime.bundle.nature import cohort_noun
from cldm_runtime.evaluation.summary import Samples
from cldm_runtime.generation.generator import Generator
from cldm_runtime.store import open_dataset

from .cldm.goals import r2
from .cldm.paper import TITLES
from .figures_of_merit import Json, Measured

COLUMNS = 10
_CROP = 16  # pixels of each side that the montage leaves out


def montage(path: Path, cohort: Measured, generator: Generator, subsets: tuple[str, ...], nature: str = "") -> None:
    """Label map, slice of the cohort, two samples for the label map: a column for each mask, small lesions to large."""
    masks, images = (np.concatenate(parts) for parts in zip(*(_spread(cohort, name) for name in subsets), strict=True))
    samples = [generator.sample(masks=masks, seed=seed)[0][:, 0] for seed in (0, 1)]
    colours = np.array(generator.domain.labels.colours, dtype=np.uint8)
    rows = {"label map": colours[masks], cohort_noun(nature): images, "synthetic": samples[0],
            "another seed": samples[1]}
    figure, axes = plt.subplots(len(rows), len(masks), figsize=(1.5 * len(masks), 6.3), squeeze=False)
    for line, (title, pictures) in zip(axes, rows.items(), strict=True):
        for axis, picture in zip(line, pictures, strict=True):
            axis.imshow(_crop(picture), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axis.set_axis_off()
        line[0].set_title(title, loc="left", fontsize=10)
    figure.subplots_adjust(left=0.005, right=0.995, top=0.96, bottom=0.005, wspace=0.02, hspace=0.14)
    _save(figure, path)


def _spread(cohort: Measured, subset: str) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Masks (n, H, W) of a subset, spread over the range of the first attribute, and their images (n, H, W)."""
    with open_dataset(cohort.path) as dataset:
        assert dataset.mask_attributes is not None  # the segmenter's measurement writes it
        rows = dataset.rows(subset)
        order = rows[np.argsort(np.nan_to_num(dataset.mask_attributes[rows, 0]), kind="stable")]
        chosen = order[np.linspace(0.15 * len(order), len(order) - 1, COLUMNS // 2).astype(int)]
        return dataset.masks(chosen), dataset.images(chosen)[:, 0]


def _crop(image: NDArray[Any]) -> NDArray[Any]:
    return image[_CROP:-_CROP, _CROP:-_CROP]


def scatter(path: Path, panels: dict[str, Samples], attributes: list[str], *, requested: bool = False) -> None:
    """Measured against true attributes: a row for each set, a column for each attribute."""
    rows, columns = len(panels), len(attributes)
    figure, axes = plt.subplots(rows, columns, figsize=(3.0 * columns, 3.0 * rows), squeeze=False)
    for row, (title, samples) in enumerate(panels.items()):
        truth = samples.requested if requested or samples.mask is None else samples.mask
        assert truth is not None  # every set of the results has one or the other
        for column, name in enumerate(attributes):
            number, axis = samples.domain.attribute_names.index(name), axes[row, column]
            axis.plot([0, 1], [0, 1], color="0.6", linewidth=0.8)
            axis.plot(truth[:, number], samples.attributes[:, number], ".", markersize=2.5, alpha=0.4)
            axis.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
            axis.set_title(f"{title}: {name}" if column == 0 else name, fontsize=8)
            axis.tick_params(labelsize=7)
    figure.supxlabel("requested" if requested else "measured on the label map", fontsize=9)
    figure.supylabel("measured on the segmentation", fontsize=9)
    figure.tight_layout()
    _save(figure, path)


def trade(path: Path, figures: Json, attributes: list[str]) -> None:
    """r2, mean of the attributes, against variety: for each strategy a line over the weights of guidance, and a mark
    for each other setting."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.6))
    for key, settings in figures["strategies"].items():
        for axis, variety in zip(axes, ("ssim", "feature_spread"), strict=True):
            _trade_line(axis, TITLES.get(key, key), [_TradePoint.of(item, variety, attributes) for item in settings])
    axes[0].set(xlabel="MS-SSIM within a condition (less: more varied)", ylabel="mean r2 of the attributes")
    axes[1].set(xlabel="spread of features within a condition (more: more varied)")
    axes[0].legend(fontsize=7)
    figure.tight_layout()
    _save(figure, path)


class _TradePoint(NamedTuple):
    variety: float
    obedience: float
    label: str
    plain: bool  # only the weight differs from the bundle's own sampling

    @classmethod
    def of(cls, item: Json, variety: str, attributes: list[str]) -> Self:
        x = item[variety]["value"] if isinstance(item[variety], dict) else item[variety]
        obedience = float(np.mean([r2(item["row"], name, "lesion") for name in attributes]))
        plain = tuple(item["interval"]) == (0.0, 1.0) and item["eta"] == 0.0
        return cls(x, obedience, item["setting"].removeprefix("guidance-").replace("-", " "), plain)


def _trade_line(axis: Any, title: str, points: list[_TradePoint]) -> None:
    line = [point for point in points if point.plain]
    (drawn,) = axis.plot([p.variety for p in line], [p.obedience for p in line], "o-", markersize=3, linewidth=1,
                         label=title)
    for point in points:
        if not point.plain:
            axis.plot(point.variety, point.obedience, "x", color=drawn.get_color(), markersize=5)
        axis.annotate(point.label, (point.variety, point.obedience), fontsize=6 if point.plain else 5, xytext=(2, 2),
                      textcoords="offset points")


def calibration(path: Path, figures: Json) -> None:
    """Predicted against true error: of each attribute by bins of conditions, and of pixels by bins of disagreement."""
    attributes = [item for item in figures["attributes"] if item["bins"]]
    panels = [(item["attribute"] + ", " + item["samples"],
               [(b["rms_predicted"], b["rms_error"]["value"]) for b in item["bins"]]) for item in attributes]
    if figures["pixels"] is not None:
        bins = figures["pixels"]["bins"]
        panels.append(("pixels", [(b["disagreement"], b["error_rate"]["value"]) for b in bins if b["n"]]))
    figure, axes = plt.subplots(1, max(len(panels), 1), figsize=(2.6 * max(len(panels), 1), 2.8), squeeze=False)
    for axis, (title, points) in zip(axes[0], panels, strict=False):
        top = 1.1 * max((value for point in points for value in point if np.isfinite(value)), default=1.0)
        axis.plot([0, top], [0, top], color="0.6", linewidth=0.8)
        axis.plot([x for x, _ in points], [y for _, y in points], "o-", markersize=3, linewidth=1)
        axis.set_title(title, fontsize=7)
        axis.tick_params(labelsize=6)
    figure.supxlabel("predicted from the spread over seeds", fontsize=8)
    figure.supylabel("true error", fontsize=8)
    figure.tight_layout()
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
