"""A picture of what a segmenter makes of a few images: a row for each, which shows a wrong description at once."""

import numpy as np
from numpy.typing import NDArray

from ..domains.domain import Domain
from ..evaluation.checking import SegmenterCheck
from ..files.png import png_bytes
from ..store import Dataset
from .contact_sheet import tile
from .planes import shown_plane

_NOTHING = "NOTHING FOUND"


def segmenter_sheet(dataset: Dataset, domain: Domain, check: SegmenterCheck) -> bytes:
    """A PNG file: in each row the image with the contours of the segmentation, with those of the reference where there
    is one, and the frame that a described network sees. Of volumes one plane; of several channels the first."""
    rows = []
    for number, row in enumerate(check.rows.tolist()):
        labels = check.labels[number]
        reference = None if check.reference is None else check.reference[number]
        plane = shown_plane(domain, labels if reference is None or not reference.any() else reference)
        image = _greys(dataset.images(row)[0][plane])
        found = f"ROW {row}" if labels.any() else f"ROW {row} {_NOTHING}"
        tiles = [tile(image, labels[plane], domain.labels, [found])]
        if reference is not None:
            tiles.append(tile(image, reference[plane], domain.labels, ["REFERENCE"]))
        if check.frames is not None:
            tiles.append(_frame_tile(check.frames[number][0], image.shape, domain))
        rows.append(np.concatenate(tiles, axis=1))
    return png_bytes(np.concatenate(rows))


def _frame_tile(frame: NDArray[np.float32], shape: tuple[int, ...], domain: Domain) -> NDArray[np.uint8]:
    """The middle plane of what the network sees, shown as large as the image."""
    flat = frame[len(frame) // 2] if frame.ndim == 3 else frame
    places = [np.arange(side) * own // side for side, own in zip(shape, flat.shape, strict=True)]
    shown = _greys(flat)[np.ix_(*places)]
    return tile(shown, np.zeros(shown.shape, np.uint8), domain.labels, ["WHAT THE NETWORK SEES"])


def _greys(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W) from 0 to 1, whatever the range."""
    low, high = float(image.min()), float(image.max())
    return np.asarray((image - low) / max(high - low, 1e-8), np.float32)
