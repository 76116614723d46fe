"""docs/montage.png and the scatter plots."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from cldm_runtime.generator import Generator
from cldm_runtime.store import open_dataset
from cldm_runtime.summary import Samples

from .figures_of_merit import Measured

COLUMNS = 10
_CROP = 16  # pixels of each side that the montage leaves out


def montage(path: Path, real: Measured, generator: Generator, subsets: tuple[str, ...]) -> None:
    """Label map, real slice, two samples for the label map: a column for each mask, small lesions to large."""
    masks, images = (np.concatenate(parts) for parts in zip(*(_spread(real, name) for name in subsets), strict=True))
    samples = [generator.sample(masks=masks, seed=seed)[0][:, 0] for seed in (0, 1)]
    colours = np.array(generator.domain.labels.colours, dtype=np.uint8)
    rows = {"label map": colours[masks], "real": images, "synthetic": samples[0], "another seed": samples[1]}
    figure, axes = plt.subplots(len(rows), len(masks), figsize=(1.5 * len(masks), 6.3), squeeze=False)
    for line, (title, pictures) in zip(axes, rows.items(), strict=True):
        for axis, picture in zip(line, pictures, strict=True):
            axis.imshow(_crop(picture), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axis.set_axis_off()
        line[0].set_title(title, loc="left", fontsize=10)
    figure.subplots_adjust(left=0.005, right=0.995, top=0.96, bottom=0.005, wspace=0.02, hspace=0.14)
    _save(figure, path)


def _spread(real: Measured, subset: str) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Masks (n, H, W) of a subset, spread over the range of the first attribute, and their images (n, H, W)."""
    with open_dataset(real.path) as dataset:
        assert dataset.mask_attributes is not None  # the segmenter's measurement writes it
        rows = np.flatnonzero(dataset.subset == subset)
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
        truth = samples.requested if requested else samples.mask
        assert truth is not None  # every set of the results has it
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


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
