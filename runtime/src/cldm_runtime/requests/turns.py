"""Which sample belongs to which row of a grid: the rows take turns."""

import numpy as np
from numpy.typing import NDArray


def row_of(index: int, counts: NDArray[np.int64]) -> int:
    """The row of sample `index` where row r gets counts[r] samples, see `place_of`."""
    return place_of(index, counts)[0]


def place_of(index: int, counts: NDArray[np.int64]) -> tuple[int, int]:
    """The row of sample `index` where row r gets counts[r] samples, and how many samples of that row precede it.

    Rows take turns until each has its count, so the first samples already span the grid. The number of full turns
    before the sample is found by bisection, so a run of any length needs no list of its samples.
    """
    turns, beyond = 0, int(counts.max())
    while beyond - turns > 1:
        middle = (turns + beyond) // 2
        if int(np.minimum(counts, middle).sum()) <= index:
            turns = middle
        else:
            beyond = middle
    return int(np.flatnonzero(counts > turns)[index - int(np.minimum(counts, turns).sum())]), turns
