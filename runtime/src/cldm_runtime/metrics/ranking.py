"""Whether two measurements put the same things in the same order, for many replicates of the measurements at once."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Values = NDArray[np.float64]
_FEWEST = 3  # things: the order of two is right by chance every second time


def kendall_tau(x: ArrayLike, y: ArrayLike) -> Values:
    """Kendall's tau-b of (..., S) values of S things, over the last axis: 1 the same order, -1 the reverse.

    A thing whose x or y is NaN is left out. NaN with fewer than three things, and where all x or all y are equal.
    tau-b (Kendall, Biometrika 1945): sum of the products of both signs over all pairs, over the root of the product of
    the numbers of pairs that are not tied in x and in y.
    """
    one, other = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64))
    known = np.isfinite(one) & np.isfinite(other)
    signs = [_signs(values, known) for values in (one, other)]
    above = (signs[0] * signs[1]).sum(axis=(-2, -1))
    below = np.sqrt(np.prod([(sign**2).sum(axis=(-2, -1)) for sign in signs], axis=0))
    result = np.full(above.shape, np.nan)
    np.divide(above, below, out=result, where=(below > 0) & (known.sum(axis=-1) >= _FEWEST))
    return result


def _signs(values: Values, known: NDArray[np.bool_]) -> Values:
    """(..., S, S) sign of the difference of each pair, 0 where one of the two is not known."""
    filled = np.where(known, values, 0.0)
    signs = np.sign(filled[..., :, None] - filled[..., None, :])
    return np.asarray(signs * (known[..., :, None] & known[..., None, :]))
