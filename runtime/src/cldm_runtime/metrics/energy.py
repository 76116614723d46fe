"""How far a set of drawn label maps is from a set of annotations, as distributions.

Generalised energy distance (Kohl et al., NeurIPS 2018), with d = 1 - IoU of two binary maps and d = 0 for two empty
ones: 2 E d(S, Y) - E d(S, S') - E d(Y, Y'), over all pairs, a map with itself among them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .agreement import Estimate

Masks = NDArray[np.bool_]


@dataclass(frozen=True)
class Energy:
    """between: mean distance of a drawn map from an annotation; drawn, annotated: of two drawn maps, of two
    annotations."""

    between: float
    drawn: float
    annotated: float

    @property
    def distance(self) -> float:
        """0 where both sets are alike; twice `between` where each is one map."""
        return 2.0 * self.between - self.drawn - self.annotated


@dataclass(frozen=True)
class SizeDice:
    """dice: mean over samples, of the majority of the first `draws` label maps against the reference."""

    draws: int
    dice: Estimate


@dataclass(frozen=True)
class RegionEnsemble:
    """One region. distance: the generalised energy distance from the annotations, a mean over samples; between, drawn,
    annotated: the means it is made of; None without annotations."""

    region: str
    sizes: tuple[SizeDice, ...]
    distance: Estimate | None = None
    between: float | None = None
    drawn: float | None = None
    annotated: float | None = None


def energy(drawn: Masks, annotations: Masks) -> Energy:
    """Of maps (K, ...) and annotations (M, ...) of one image. Raises InputError where either is none, or their shapes
    differ."""
    if not len(drawn) or not len(annotations) or drawn.shape[1:] != annotations.shape[1:]:
        raise InputError(f"energy distance: found drawn maps of shape {drawn.shape} and annotations of shape "
                         f"{annotations.shape}, expected one or more of each, of one shape.")
    flat = [maps.reshape(len(maps), -1) for maps in (drawn, annotations)]
    anywhere = flat[0].any(0) | flat[1].any(0)  # a lesion fills a small part of a volume
    ours, theirs = (maps[:, anywhere].astype(np.float64) for maps in flat)
    return Energy(*(float(_distances(a, b).mean()) for a, b in ((ours, theirs), (ours, ours), (theirs, theirs))))


def _distances(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K, M) 1 - IoU of maps (K, V) and (M, V) of 0 and 1."""
    both = a @ b.T
    either = a.sum(1)[:, None] + b.sum(1) - both
    shared: NDArray[np.float64] = np.divide(both, either, out=np.ones_like(both), where=either > 0)
    return 1.0 - shared
