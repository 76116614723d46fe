"""How large a lesion must be to count as one: single wrong pixels are not what a reader calls a false finding."""

import math

SIZED_ML, SIZED_PIXELS = 0.1, 10


def sized_pixels(spacing_mm: tuple[float, ...]) -> float:
    """Pixels or voxels that a lesion must exceed: 0.1 ml of a volume; of a slice, whose thickness the file does not
    say, 10 pixels."""
    if len(spacing_mm) == 2:
        return SIZED_PIXELS
    return SIZED_ML * 1000.0 / math.prod(spacing_mm)


def sized_phrase(axes: int) -> str:
    """The limit, as tables say it."""
    return f"above {SIZED_PIXELS} pixels" if axes == 2 else f"above {SIZED_ML:g} ml"
