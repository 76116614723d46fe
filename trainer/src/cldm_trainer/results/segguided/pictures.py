"""Pictures of a generator: beside the cohort's slices, with one class free at a time, and towards given slices."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from cldm_runtime.bundle.nature import cohort_noun
from cldm_runtime.bundle.sources import CLASSES
from cldm_runtime.generation.generator import Generator
from cldm_runtime.generation.likeness import ENCODER
from cldm_runtime.store import open_dataset

from ..validity.sets import Rows
from .freed import kept_names

FOLDER = "figures"
SIMILARITIES = (1.0, 0.75, 0.5, 0.25, 0.0)
_COLUMNS, _GIVEN = 4, 2
_INCHES, _TITLE = 1.15, 0.18  # side of an image, and the height of a title above it


def write_pictures(folder: Path, cohort: Path, rows: Rows, generator: Generator) -> dict[str, str]:
    """Files below `folder` -> what they show; none for volumes. The slices are those of `rows` that show most classes,
    each of another patient."""
    if len(generator.manifest.image.shape) != 2:
        return {}
    with open_dataset(cohort) as dataset:
        assert dataset.patients is not None  # the caller has checked
        chosen = rows[telling(dataset.masks(rows), dataset.patients[rows], _COLUMNS)]
        masks, slices, noun = dataset.masks(chosen), dataset.images(chosen), cohort_noun(dataset.nature)
    maps = np.array(generator.domain.labels.colours, dtype=np.uint8)[masks]
    shown = [generator.sample(masks=masks, seed=seed)[0] for seed in (0, 1)]
    sheet = _Sheet(folder, generator)
    sheet.save("beside", {"label map": maps, noun: slices, "synthetic": shown[0], "another seed": shown[1]},
               "label map, slice of the cohort, and two images of the label map")
    if CLASSES.name in generator.manifest.sources:
        names = generator.domain.labels.names
        freed = {f"{free} free": generator.sample(masks=masks, keep_classes=kept_names(names, free))[0]
                 for free in names[1:]}
        sheet.save("free", {"label map": maps, "all kept": shown[0], **freed},
                   "one class free at a time; in a column, noise and the other classes stay")
    if ENCODER in generator.manifest.graphs and len(generator.step_table(generator.settings())) > 1:
        towards = [generator.sample(masks=masks[:_GIVEN], like=slices[:_GIVEN], similarity=share)[0]
                   for share in SIMILARITIES]
        lines = {f"towards slice {number + 1}": [slices[number], *(images[number] for images in towards)]
                 for number in range(len(slices[:_GIVEN]))}
        sheet.save("towards", lines, "the given slice, then similarity "
                   + ", ".join(f"{share:g}" for share in SIMILARITIES))
    return sheet.files


def telling(masks: NDArray[np.uint8], patients: NDArray[np.str_], most: int) -> NDArray[np.int64]:
    """At most that many indices of masks (N, *spatial): of each patient the mask with most classes, of these the one
    whose rarest class is largest; and of the patients those whose masks are best by the same rule."""
    counts = np.stack([np.bincount(mask.ravel(), minlength=256) for mask in masks])
    rank = (counts > 0).sum(axis=1) + np.where(counts > 0, counts, masks[0].size).min(axis=1) / (masks[0].size + 1)
    best = np.array([own[np.argmax(rank[own])] for own in
                     (np.flatnonzero(patients == patient) for patient in np.unique(patients))])
    order = np.sort(best[np.argsort(-rank[best], kind="stable")][:most])
    return order.astype(np.int64)


class _Sheet:
    """Figures of one generator below a folder. files: path from there -> what it shows."""

    def __init__(self, folder: Path, generator: Generator) -> None:
        self.folder, self.name = folder, generator.bundle.path.name
        self.low, self.high = generator.manifest.image.value_range
        self.files: dict[str, str] = {}

    def save(self, kind: str, lines: Mapping[str, Iterable[NDArray[Any]]], shows: str) -> None:
        """Lines of pictures, each under its title, as one PNG. A picture: (C, H, W) values, of which the first channel
        is shown, or (H, W, 3) colours in 8 bits."""
        rows = {title: list(pictures) for title, pictures in lines.items()}
        height, columns = _INCHES + _TITLE, max(map(len, rows.values()))
        figure, axes = plt.subplots(len(rows), columns, squeeze=False,
                                    figsize=(_INCHES * columns, height * len(rows)))
        for line, (title, pictures) in zip(axes, rows.items(), strict=True):
            for axis, picture in zip(line, pictures, strict=True):
                plane = picture if picture.dtype == np.uint8 else picture[0]
                axis.imshow(plane, cmap="gray", vmin=self.low, vmax=self.high, interpolation="nearest")
                axis.set_axis_off()
            line[0].set_title(title, loc="left", fontsize=8, pad=2)
        figure.subplots_adjust(left=0.005, right=0.995, top=1 - _TITLE / height / len(rows), bottom=0.005,
                               wspace=0.02, hspace=_TITLE / _INCHES)
        file = f"{FOLDER}/{self.name}-{kind}.png"
        (self.folder / FOLDER).mkdir(parents=True, exist_ok=True)
        figure.savefig(self.folder / file, dpi=110, metadata={"Software": None}, pil_kwargs={"optimize": True})
        plt.close(figure)
        self.files[file] = shows
