"""Whether the doubt that a segmenter states can be used: calibration, detection of errors, selection of cases.

| symbol | here |
|---|---|
| v | variance of a voxel's 0 or 1 over the label maps of an ensemble, 0 to 0.25 |
| p | share of the label maps that differ from the answer at a voxel: the smaller root of p (1 - p) = v, 0 to 0.5 |
| e | whether the answer is wrong at a voxel |
| reliability | share of wrong voxels in bins of p; calibrated: equal to p |
| ECE | mean of |share of wrong voxels - mean p| over bins, weighted by voxels (Naeini et al., AAAI 2015) |
| AUC | probability that v of a wrong voxel is above v of a right one, a tie counting half |
| selective Dice | mean Dice of the cases whose doubt is lowest |
| doubt of a case | sum of v over its voxels / size of the answer; 0 where neither is above 0 |

The answer of an ensemble is the majority, so that p is at most 0.5. Most voxels of a volume are background far from
anything, of which nobody doubts: they make the ECE small and the AUC large. Both are also given near the region alone:
within `NEAR_VOXELS` of the answer, of the reference or of any doubt.

Generalised energy distance between two sets of label maps (Kohl et al., NeurIPS 2018), with d = 1 - IoU and d = 0 for
two empty maps: 2 E d(S, Y) - E d(S, S') - E d(Y, Y').
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .agreement import Estimate

BINS = 10  # of p, equally wide from 0 to 0.5
SHARES = (0.5, 0.8, 0.9, 1.0)  # of the cases, the least doubtful first
NEAR_VOXELS = 3
_LEVELS = 2**13 + 1  # of v that the AUC tells apart
_ROUNDED = 2e-3  # of p: a share such as 3 of 30 belongs to the bin above, however its variance was rounded

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class ReliabilityBin:
    """n voxels with p in [low, high), of the last bin also high; their mean p, and the share of wrong ones."""

    low: float
    high: float
    n: int
    doubt: float
    wrong: float


@dataclass(frozen=True)
class VoxelDoubt:
    """ece, auc: NaN without voxels, and without a wrong or a right one. wrong: share of wrong voxels."""

    n: int
    wrong: float
    ece: float
    auc: float
    bins: tuple[ReliabilityBin, ...]


@dataclass(frozen=True)
class SelectiveDice:
    """Mean Dice of the `n` cases that are `share` of all."""

    share: float
    n: int
    dice: float


@dataclass(frozen=True)
class RegionDoubt:
    """One region, or one label, over samples. near, everywhere: voxels near it, and all. selective: by doubt; best: by
    the Dice itself, which no doubt can beat. rho: Spearman's correlation of doubt and Dice, -1 is best."""

    region: str
    near: VoxelDoubt
    everywhere: VoxelDoubt
    selective: tuple[SelectiveDice, ...]
    best: tuple[SelectiveDice, ...]
    rho: Estimate


class DoubtTally:
    """Counts voxels by their variance, volume by volume, so that memory does not grow with the number of volumes."""

    def __init__(self) -> None:
        self._right, self._wrong = np.zeros((2, _LEVELS), np.int64)

    def add(self, variance: NDArray[np.floating], wrong: Mask) -> None:
        """Voxels in arrays of one shape. Raises InputError for a variance outside 0 to 0.25."""
        values = np.asarray(variance, np.float64)
        if values.shape != wrong.shape or not (np.isfinite(values).all() and (values >= 0).all()
                                               and (values <= 0.25 + 1e-3).all()):
            raise InputError(f"doubt: found a variance of shape {values.shape} for {wrong.shape} voxels, or values "
                             "outside 0 to 0.25. Expected the variance of 0 and 1 over an ensemble.")
        level = np.rint(np.minimum(4 * values, 1.0) * (_LEVELS - 1)).astype(np.int64)
        self._right += np.bincount(level[~wrong], minlength=_LEVELS)
        self._wrong += np.bincount(level[wrong], minlength=_LEVELS)

    def figures(self) -> VoxelDoubt:
        """Calibration and detection of errors over all voxels that were added."""
        doubt = minority_share(np.arange(_LEVELS) / (4 * (_LEVELS - 1)))
        every, count = self._right + self._wrong, int(self._right.sum() + self._wrong.sum())
        place = np.minimum(((doubt + _ROUNDED) * 2 * BINS).astype(np.int64), BINS - 1)
        bins, ece = [], 0.0
        for number in range(BINS):
            inside = place == number
            n = int(every[inside].sum())
            mean = float(doubt[inside] @ every[inside]) / n if n else float("nan")
            wrong = float(self._wrong[inside].sum()) / n if n else float("nan")
            bins.append(ReliabilityBin(number / (2 * BINS), (number + 1) / (2 * BINS), n, mean, wrong))
            ece += n * abs(wrong - mean) / count if n else 0.0
        return VoxelDoubt(count, float(self._wrong.sum()) / count if count else float("nan"),
                          ece if count else float("nan"), self._auc(), tuple(bins))

    def _auc(self) -> float:
        right, wrong = int(self._right.sum()), int(self._wrong.sum())
        if not right or not wrong:
            return float("nan")
        below = np.cumsum(self._right) - self._right
        return float((self._wrong * (below + 0.5 * self._right)).sum()) / (float(right) * float(wrong))


def minority_share(variance: NDArray[np.floating]) -> NDArray[np.float64]:
    """p of each v."""
    return np.asarray(0.5 - np.sqrt(np.maximum(0.25 - np.asarray(variance, np.float64), 0.0)))


def near_region(variance: NDArray[np.floating], answer: Mask, reference: Mask) -> Mask:
    """The voxels within `NEAR_VOXELS` of the answer, the reference or any doubt."""
    from scipy.ndimage import binary_dilation  # here, because it takes 0.2 s to import

    grown: Mask = binary_dilation(answer | reference | (variance > 0), np.ones((3,) * answer.ndim), NEAR_VOXELS)
    return grown


def case_doubt(variance: NDArray[np.floating], answer: Mask) -> float:
    """The doubt of a case; infinite where there is doubt and no answer."""
    total, size = float(np.sum(variance, dtype=np.float64)), int(answer.sum())
    return total / size if size else float("inf") if total > 0 else 0.0


def selective_dice(dice: NDArray[np.floating], doubt: NDArray[np.floating], shares: Sequence[float] = SHARES
                   ) -> tuple[SelectiveDice, ...]:
    """Mean Dice of the least doubtful cases, for each share of them, rounded up; equal doubt in the order given. Cases
    without a Dice (NaN) do not count."""
    counted = np.isfinite(dice)
    order = np.asarray(dice, np.float64)[counted][np.argsort(np.asarray(doubt)[counted], kind="stable")]
    chosen = [(share, int(np.ceil(share * len(order) - 1e-9))) for share in shares]
    return tuple(SelectiveDice(share, n, float(order[:n].mean()) if n else float("nan")) for share, n in chosen)
