"""Rows of maps as inline SVG: grey images, heat maps and contours side by side, cut to one square of the slice."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from ..files.png import png_data_url
from .contours import Box

_GAP, _HEAD = 2, 6  # pixels of the slice: between panels, and above them for their titles
_RAMP = np.array([(0, 0, 0), (80, 18, 105), (185, 54, 80), (245, 142, 30), (255, 250, 190)], dtype=np.float64)


@dataclass(frozen=True)
class Panel:
    """One picture of a row: (H, W) grey or (H, W, 3) RGB uint8 of a whole slice, and SVG on top of it."""

    title: str
    pixels: NDArray[np.uint8]
    overlay: str = ""


def grey(image: NDArray[np.floating], low: float, high: float) -> NDArray[np.uint8]:
    """(H, W) intensities as grey, `low` black and `high` white."""
    levels: NDArray[np.floating] = np.clip((image - low) / ((high - low) or 1.0) * 255, 0, 255)
    return levels.round().astype(np.uint8)


def heat(values: NDArray[np.floating], top: float) -> NDArray[np.uint8]:
    """(H, W) values as RGB: 0 black, through purple and orange, `top` and above light yellow. Brightness always grows,
    so the map is also readable in grey."""
    place = np.clip(values / top, 0, 1) * (len(_RAMP) - 1)
    channels = [np.interp(place, np.arange(len(_RAMP)), channel) for channel in _RAMP.T]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def panel_row(panels: Sequence[Panel], box: Box) -> str:
    """The panels side by side, each cut to the box."""
    width = len(panels) * (box.side + _GAP) - _GAP
    views = "".join(_panel(panel, box, number * (box.side + _GAP)) for number, panel in enumerate(panels))
    titles = ", ".join(panel.title for panel in panels)
    return (f'<svg class="case" viewBox="0 0 {width} {box.side + _HEAD}" role="img" aria-label="{escape(titles)}">'
            f"{views}</svg>")


def _panel(panel: Panel, box: Box, left: int) -> str:
    cut = panel.pixels[box.top:box.top + box.side, box.left:box.left + box.side]
    height, width = cut.shape[:2]
    return (f'<text class="title" x="{left + box.side / 2:g}" y="{_HEAD - 1.8}" font-size="3.6" text-anchor="middle">'
            f"{escape(panel.title)}</text>"
            f'<svg x="{left}" y="{_HEAD}" width="{box.side}" height="{box.side}" '
            f'viewBox="{box.left} {box.top} {box.side} {box.side}">'
            f'<image x="{box.left}" y="{box.top}" width="{width}" height="{height}" href="{png_data_url(cut)}"/>'
            f"{panel.overlay}</svg>")
