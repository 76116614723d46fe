"""Slices with contours as inline SVG: the pixels are one PNG, the contours are lines along pixel edges."""

from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from ..domains.labels import LabelMap, LabelSet
from ..files.png import png_data_url

_MARGIN = 14  # pixels around the structures in the enlarged views
_GAP = 4


@dataclass(frozen=True)
class Box:
    """A square in the slice, in pixels."""

    top: int
    left: int
    side: int


def case_picture(identifier: str, image: NDArray[np.float32], mask: LabelMap | None, segmentation: LabelMap,
                 labels: LabelSet, intensity: tuple[float, float]) -> str:
    """Views of one slice (H, W): whole; enlarged with the contours of the mask, if there is one; enlarged with those of
    the segmentation.

    `identifier` must be unique in the page. `intensity`: the values shown as black and as white.
    """
    height, width = image.shape
    outlined = [segmentation] if mask is None else [mask, segmentation]
    box = enlarged_box(outlined[0], segmentation)
    low, high = intensity
    grey = np.clip((image - low) / (high - low) * 255, 0, 255).round().astype(np.uint8)
    side = max(height, width)
    defined = (f'<defs><image id="{escape(identifier)}" width="{width}" height="{height}" '
               f'href="{png_data_url(grey)}"/></defs>')
    frame = f'<rect class="frame" x="{box.left}" y="{box.top}" width="{box.side}" height="{box.side}"/>'
    whole = _view(0, side, Box(0, 0, side), identifier, frame)
    views = [_view(number * (side + _GAP), side, box, identifier, contours(each, labels))
             for number, each in enumerate(outlined, start=1)]
    label = "slice, segmented contours" if mask is None else "slice, reference contours, segmented contours"
    return (f'<svg class="case" viewBox="0 0 {side + len(outlined) * (side + _GAP)} {side}" role="img" '
            f'aria-label="{label}">{defined}{whole}{"".join(views)}</svg>')


def enlarged_box(mask: LabelMap, segmentation: LabelMap) -> Box:
    """A square inside the slice around all labels, with a margin; the whole slice if there are no labels."""
    height, width = mask.shape
    labelled = (mask > 0) | (segmentation > 0)
    if not labelled.any():
        return Box(0, 0, max(height, width))
    rows, columns = np.flatnonzero(labelled.any(axis=1)), np.flatnonzero(labelled.any(axis=0))
    side = int(max(rows[-1] - rows[0], columns[-1] - columns[0])) + 1 + 2 * _MARGIN
    side = min(side, height, width)
    top = int(np.clip((rows[0] + rows[-1] + 1 - side) // 2, 0, height - side))
    left = int(np.clip((columns[0] + columns[-1] + 1 - side) // 2, 0, width - side))
    return Box(top, left, side)


def contours(labels: LabelMap, names: LabelSet) -> str:
    """The outline of every label, in its colour; of a shared edge, the label of the smaller extent is on top."""
    present = [value for value in range(1, len(names)) if (labels == value).any()]
    paths = []
    for value in sorted(present, key=lambda value: -_extent(labels == value)):
        colour = "#{:02x}{:02x}{:02x}".format(*names.colours[value])
        paths.append(f'<path class="contour" stroke="{colour}" d="{outline(labels == value)}"/>')
    return "".join(paths)


def outline(mask: NDArray[np.bool_]) -> str:
    """SVG path data along the pixel edges between the mask and the rest, one stroke for each straight run."""
    padded = np.pad(mask, 1)
    horizontal = padded[1:] != padded[:-1]  # [y, x]: edge above padded row y + 1
    vertical = padded[:, 1:] != padded[:, :-1]
    strokes = [f"M{start - 1} {line}h{length}" for line, start, length in _runs(horizontal)]
    strokes += [f"M{line} {start - 1}v{length}" for line, start, length in _runs(vertical.T)]
    return "".join(strokes)


def _runs(edges: NDArray[np.bool_]) -> list[tuple[int, int, int]]:
    """(line, start, length) of every run of True along the second axis."""
    steps = np.diff(np.pad(edges, [(0, 0), (1, 1)]).astype(np.int8), axis=1)
    lines, starts = np.nonzero(steps == 1)
    _, ends = np.nonzero(steps == -1)
    return [(int(line), int(start), int(end - start)) for line, start, end in zip(lines, starts, ends, strict=True)]


def _extent(mask: NDArray[np.bool_]) -> int:
    """Area of the bounding box of a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int((rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1))


def _view(x: int, side: int, box: Box, identifier: str, content: str) -> str:
    return (f'<svg x="{x}" y="0" width="{side}" height="{side}" viewBox="{box.left} {box.top} {box.side} {box.side}">'
            f'<use href="#{escape(identifier)}"/>{content}</svg>')
