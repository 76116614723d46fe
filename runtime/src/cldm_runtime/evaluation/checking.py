"""A look at what a segmenter makes of a few images, before a whole file is evaluated: its label maps beside the
reference, what its network sees, and signs of label values or axes that are mixed up."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ..domains.labels import LabelMap, LabelSet
from ..metrics.label_order import confusion, find_permutation, region_dice
from ..store import Dataset
from .label_order import permutation_words
from .segmenters.described_network import DescribedNetwork
from .segmenters.interface import AnySegmenter

SHOWN = 10
_GAIN = 0.15  # of the lowest Dice of a region, from which on another direction of the axes is named


@dataclass(frozen=True)
class SegmenterCheck:
    """rows (n,) of the file; labels (n, *spatial); reference the same, None without masks; frames (n, C, *size) that a
    described network sees, None for other forms; lines: what was found, for people."""

    rows: NDArray[np.int64]
    labels: LabelMap
    reference: LabelMap | None
    frames: NDArray[np.float32] | None
    lines: tuple[str, ...]


def check_segmenter(dataset: Dataset, segmenter: AnySegmenter, count: int = SHOWN) -> SegmenterCheck:
    """Segment `count` images, evenly spread over the file; nothing is stored. Raises InputError."""
    segmenter.check_fit(dataset)
    rows = np.unique(np.linspace(0, len(dataset) - 1, min(count, len(dataset))).round().astype(np.int64))
    labels = np.concatenate([segmenter.segment_rows(dataset, slice(row, row + 1), 1) for row in rows.tolist()])
    reference = dataset.reference(rows) if "masks" in dataset else None
    frames = None
    if isinstance(segmenter, DescribedNetwork):
        frames = np.stack([frame.image for frame in segmenter.frames(dataset.images(rows), dataset.spacing_mm)])
    lines = tuple(_lines(labels, reference, frames, dataset.load_domain().labels))
    return SegmenterCheck(rows, labels, reference, frames, lines)


def _lines(labels: LabelMap, reference: LabelMap | None, frames: NDArray[np.float32] | None, names: LabelSet
           ) -> Iterator[str]:
    if frames is not None:
        yield (f"the network sees {' x '.join(map(str, frames.shape[1:]))} pixels with values from {frames.min():.3g} "
               f"to {frames.max():.3g}, mean {frames.mean():.3g}")
    for value, name in enumerate(names.names):
        share = f"{100 * float((labels == value).mean()):.2f} % of the pixels"
        wanted = "" if reference is None else f", reference {100 * float((reference == value).mean()):.2f} %"
        yield f"{value} {name}: {share}{wanted}"
    if reference is None:
        return
    counts = confusion(labels, reference, len(names))
    yield "Dice over all of them: " + ", ".join(f"{region} {dice:.2f}" for region, dice in
                                                region_dice(counts, names).items())
    permutation = find_permutation(counts, names, len(labels))
    if permutation is not None:
        yield f"note: label values look permuted: {permutation_words(permutation, names)}. Correct [labels]."
    yield from _turned_note(labels, reference, names)


def _turned_note(labels: LabelMap, reference: LabelMap, names: LabelSet) -> Iterator[str]:
    """A note where the label maps fit the reference much better in another direction."""
    overlaps = {words: _lowest_dice(each, reference, names) for words, each in _directions(labels)}
    now = overlaps.pop("")
    words = max(overlaps, key=lambda each: overlaps[each])
    if overlaps[words] > now + _GAIN:
        yield (f"note: the label maps look turned: with {words}, the lowest Dice of a region would be "
               f"{overlaps[words]:.2f}, now {now:.2f}. Look at the axes of what the segmenter reads and writes.")


def _directions(labels: LabelMap) -> Iterator[tuple[str, LabelMap]]:
    for swapped, *flipped in product((False, True), repeat=3):
        if swapped and labels.shape[-1] != labels.shape[-2]:
            continue
        turned = labels.swapaxes(-1, -2) if swapped else labels
        axes = [(-2, "rows flipped"), (-1, "columns flipped")]
        chosen = [each for each, wanted in zip(axes, flipped, strict=True) if wanted]
        words = [*(["rows and columns swapped"] if swapped else []), *(text for _, text in chosen)]
        yield " and ".join(words), np.flip(turned, tuple(axis for axis, _ in chosen))


def _lowest_dice(labels: LabelMap, reference: LabelMap, names: LabelSet) -> float:
    dice = region_dice(confusion(labels, reference, len(names)), names)
    return min(dice.values(), default=0.0)
