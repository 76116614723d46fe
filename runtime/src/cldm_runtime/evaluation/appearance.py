"""What the images of a dataset look like, beside what patients' images look like."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..domains.appearance_rules import AppearanceFigure, AppearanceRules
from ..errors import InputError
from ..store import Dataset

Progress = Callable[[int, int], None]
_SHARES = (10.0, 50.0, 90.0)


@dataclass(frozen=True)
class MeasuredFigure:
    """One figure over the images of a dataset: its 10, 50 and 90 % points (NaN without images), how many images show
    it, and whether the median lies in the accepted range."""

    figure: AppearanceFigure
    points: tuple[float, float, float]
    count: int

    @property
    def inside(self) -> bool:
        return self.figure.low <= self.points[1] <= self.figure.high


def measure_dataset_appearance(dataset: Dataset, subset: str | None = None,
                               progress: Progress = lambda done, total: None) -> list[MeasuredFigure]:
    """The figures of a dataset's images, or of those of one subset, with the contours that belong to them: the
    annotations, else the masks. `progress` is called with images done and all images.

    Raises InputError for a domain without such figures, and for a dataset without label maps, with several channels or
    without images of the subset.
    """
    domain = dataset.load_domain()
    if domain.appearance is None:
        raise InputError(f"{dataset.path}: its domain {domain.name!r} does not say what patients' images look like, "
                         "so there is nothing to compare with.")
    if "masks" not in dataset or dataset.channels != 1:
        raise InputError(f"{dataset.path}: holds {dataset.channels} channel(s) and "
                         f"{'' if 'masks' in dataset else 'no '}masks. Appearance is measured on images of one channel "
                         "with their masks.")
    rows = dataset.rows(subset)
    if not len(rows):
        raise InputError(f"{dataset.path}: holds no images.")
    return _summarise(domain.appearance, _values(dataset, domain.appearance, rows, progress))


def _values(dataset: Dataset, rules: AppearanceRules, rows: NDArray[np.int64],
            progress: Progress) -> dict[str, NDArray[np.float64]]:
    parts = []
    for start in range(0, len(rows), dataset.rows_at_once):
        chosen = rows[start : start + dataset.rows_at_once]
        parts.append(rules.measure(dataset.images(chosen)[:, 0], dataset.drawn(chosen), dataset.spacing_mm))
        progress(start + len(chosen), len(rows))
    return {figure.name: np.concatenate([part[figure.name] for part in parts]) for figure in rules.figures}


def _summarise(rules: AppearanceRules, values: dict[str, NDArray[np.float64]]) -> list[MeasuredFigure]:
    measured = []
    for figure in rules.figures:
        known = values[figure.name][np.isfinite(values[figure.name])]
        low, middle, high = np.percentile(known, _SHARES).tolist() if len(known) else (float("nan"),) * 3
        measured.append(MeasuredFigure(figure, (low, middle, high), len(known)))
    return measured
