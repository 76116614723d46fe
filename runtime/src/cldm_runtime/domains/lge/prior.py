"""Plausible values for attributes that a request leaves out, drawn from a table of joint values or from a prior."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ...noise import Stream
from .attributes import NAMES

SIZE, DEPTH, SURFACE, POSITION = NAMES
_NEIGHBOURS = 24


def complete(request: Mapping[str, float], stream: Stream, table: NDArray[np.float64] | None) -> dict[str, float]:
    """All attributes of `NAMES`: requested values unchanged, the others drawn; transmurality NaN without infarct."""
    drawn = _from_table(request, stream, table) if table is not None and len(table) else _from_prior(stream)
    position = request.get(POSITION, drawn[POSITION])
    position = stream.uniform() if math.isnan(position) else position  # NaN in a table of single slices
    if request.get(SIZE) == 0 or (SIZE not in request and drawn[SIZE] == 0 and not _wants_infarct(request)):
        return {SIZE: 0.0, DEPTH: float("nan"), SURFACE: 0.0, POSITION: position}
    if drawn[SIZE] == 0:
        drawn = _with_infarct(stream)
    return _reconcile(request, drawn) | {POSITION: position}


def _wants_infarct(request: Mapping[str, float]) -> bool:
    return DEPTH in request or request.get(SURFACE, 0.0) > 0


def _reconcile(request: Mapping[str, float], drawn: Mapping[str, float]) -> dict[str, float]:
    """Fit the drawn values to the requested ones.

    The arc a = size / transmurality is the share of the circumference that holds infarct; the endocardial surface
    length is that arc times the share q <= 1 of it that starts at the endocardium. Two of size, transmurality and arc
    give the third, so the missing attributes follow from the drawn arc and q.
    """
    arc = float(np.clip(drawn[SIZE] / drawn[DEPTH], 0.03, 0.95))
    share = float(np.clip(drawn[SURFACE] / arc, 0.0, 1.0))
    size, depth, surface = (request.get(name) for name in NAMES[:3])
    if surface is not None and not (size is not None and depth is not None):
        arc = float(np.clip(surface / max(share, 0.8), 0.03, 0.97)) if surface > 0 else arc
    if size is None:
        depth = drawn[DEPTH] if depth is None else depth
        size = arc * depth
    elif depth is None:
        depth = float(np.clip(size / arc, max(0.2, size * 1.02), 0.95))
        depth = max(depth, min(1.0, size * 1.02))
    arc = size / max(depth, 1e-6)
    if surface is None:
        # A shallow infarct fills its part of the inner quarter only partly; a deep one must fill it.
        surface = float(np.clip(arc * max(min(share, depth / 0.28), (depth - 0.7) / 0.3), 0.0, 1.0))
    return {SIZE: size, DEPTH: depth, SURFACE: surface}


def _from_table(request: Mapping[str, float], stream: Stream, table: NDArray[np.float64]) -> dict[str, float]:
    """A random row of the table among those nearest to the requested values."""
    rows = table[table[:, 0] > 0] if _wants_infarct(request) or request.get(SIZE, 0.0) > 0 else table
    rows = rows if len(rows) else table
    distance = np.zeros(len(rows))
    for column, name in enumerate(NAMES):
        if name in request:
            distance += np.nan_to_num((rows[:, column] - request[name]) ** 2, nan=1.0)
    near = _nearest(distance, _NEIGHBOURS) if request else np.arange(len(rows))
    chosen = rows[near[int(stream.uniform() * len(near))]]
    return dict(zip(NAMES, (float(value) for value in chosen), strict=True))


def _nearest(distance: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """The `count` rows with the smallest distances, nearest first; ties in row order."""
    if count < len(distance):
        near = np.flatnonzero(distance <= np.partition(distance, count - 1)[count - 1])
    else:
        near = np.arange(len(distance))
    return near[np.argsort(distance[near], kind="stable")][:count]


def _from_prior(stream: Stream) -> dict[str, float]:
    position = stream.uniform(0.0, 1.0)
    if stream.uniform() < 0.3:
        return {SIZE: 0.0, DEPTH: float("nan"), SURFACE: 0.0, POSITION: position}
    return _with_infarct(stream) | {POSITION: position}


def _with_infarct(stream: Stream) -> dict[str, float]:
    arc, depth = stream.uniform(0.08, 0.6), stream.uniform(0.25, 0.92)
    return {SIZE: arc * depth, DEPTH: depth, SURFACE: arc * stream.uniform(0.85, 1.0)}
