"""Cleans a label map that a network drew: one heart in one piece, a closed wall, no stray pixels."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..labels import LabelMap
from .attributes import HEALTHY, INFARCT, LV_CAVITY, MVO

_SPECK = 3  # pixels: a component of fewer is an error of the network
_EIGHT = np.ones((3, 3), dtype=np.bool_)


def tidy(labels: LabelMap) -> LabelMap | None:
    """The (H, W) label map without loose pieces, or None if it is no short-axis slice of a ventricle.

    The largest piece of the heart, without holes, and the largest piece of its cavity stay. Other cavity pixels become
    healthy wall, and other pixels inside the cavity become cavity. Infarcts and obstructions of fewer than 3 pixels
    become the tissue around them. None: there is no cavity, the wall is open, or the heart touches the border.
    """
    heart = _largest(labels > 0)
    cavity = _largest(heart & (labels == LV_CAVITY))
    edge = heart.copy()
    edge[1:-1, 1:-1] = False
    if not cavity.any() or edge.any() or (ndimage.binary_dilation(cavity, _EIGHT) & ~heart).any():
        return None
    cleaned = np.where(cavity, LV_CAVITY, np.where(labels >= INFARCT, labels, HEALTHY))
    cleaned = np.where(heart, cleaned, 0).astype(np.uint8)
    cleaned[_specks(cleaned == MVO)] = INFARCT
    cleaned[_specks(cleaned >= INFARCT)] = HEALTHY
    return cleaned


def _largest(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest 4-connected piece of a region, its holes filled."""
    pieces, count = ndimage.label(region)
    if count > 1:
        region = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    filled: NDArray[np.bool_] = ndimage.binary_fill_holes(region)
    return filled


def _specks(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels of 8-connected pieces that are too small."""
    pieces, _ = ndimage.label(region, _EIGHT)
    small = np.bincount(pieces.ravel()) < _SPECK
    small[0] = False
    return np.asarray(small[pieces])
