"""How sharp the borders of the wall are in an image, and how far from the contours they lie.

Rays leave the cavity's centroid. On each, a border is the place nearest to the contour where the intensity passes the
middle between both sides. The rays are aligned at their borders and averaged before the width is measured, so noise
does not widen it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..labels import LabelMap
from .attributes import HEALTHY, INFARCT, LV_CAVITY

RAYS = 120
_STEP_MM = 0.25
_SEARCH_MM = 5.0  # a border further from its contour is another structure
_REACH_MM = 6.0  # of the averaged profile, on either side of the border
_OUTSIDE_MM = 4.0  # beyond the epicardial contour, where something brighter is looked for
_BRIGHTER = 0.5  # of the step from muscle to blood
_FEWEST_RAYS = 12
_TENTHS = (0.1, 0.9)

Field = NDArray[np.float64]


@dataclass(frozen=True)
class Rays:
    """profile: (RAYS, points) intensities every 0.25 mm from the centroid. inner, outer: (RAYS,) points where the
    endocardial and the epicardial contour lie. healthy: (RAYS,) whether the wall is closed and holds no infarct."""

    profile: Field
    inner: Field
    outer: Field
    healthy: NDArray[np.bool_]


@dataclass(frozen=True)
class Border:
    """One border in one image. offset_mm: (rays,) from the contour to the border, positive outwards. width_mm: over
    which the averaged profile runs from 10 to 90 % of its step; NaN if it does not, or if there are too few rays.
    share: of the healthy rays on which the border was found."""

    offset_mm: Field
    width_mm: float
    share: float


def cast_rays(image: Field, labels: LabelMap, spacing_mm: float) -> Rays | None:
    """Rays of one (H, W) slice with square pixels; None without cavity or wall."""
    cavity = labels == LV_CAVITY
    if not cavity.any() or not (labels >= HEALTHY).any():
        return None
    centre = [np.mean(axis) for axis in np.nonzero(cavity)]
    theta = np.linspace(-np.pi, np.pi, RAYS, endpoint=False)[:, None]
    rho = np.arange(0.0, np.hypot(*image.shape) / 2, _STEP_MM / spacing_mm)[None, :]
    points = [centre[0] - rho * np.sin(theta), centre[1] + rho * np.cos(theta)]
    profile = ndimage.map_coordinates(image, points, order=1, mode="nearest")
    inside = ndimage.map_coordinates(cavity.astype(np.float64), points, order=1, mode="nearest") >= 0.5
    heart = ndimage.map_coordinates((labels > 0).astype(np.float64), points, order=1, mode="nearest") >= 0.5
    scarred = ndimage.map_coordinates((labels >= INFARCT).astype(np.float64), points, order=1, mode="nearest") > 0
    inner, outer = (_last(region) for region in (inside, heart))
    closed = (outer > inner) & (outer < profile.shape[1] - 1)
    return Rays(profile, inner + 0.5, outer + 0.5, closed & ~scarred.any(axis=1))


def _last(region: NDArray[np.bool_]) -> Field:
    """(RAYS,) index of the last point of each ray within a region."""
    return np.asarray(region.shape[1] - 1 - np.argmax(region[:, ::-1], axis=1), dtype=np.float64)


def endocardium(rays: Rays, blood: float, muscle: float) -> Border:
    """The border of the cavity, between the levels of blood and of healthy wall."""
    middle = np.full(RAYS, (blood + muscle) / 2)
    return _border(rays, rays.inner, middle, rays.healthy, falling=True)


def epicardium(rays: Rays, blood: float, muscle: float) -> Border:
    """The outer border of the wall, on the rays with something brighter than the wall right outside."""
    points = np.arange(rays.profile.shape[1])[None, :]
    beyond = points - rays.outer[:, None]
    outside = np.where((beyond > 0) & (beyond * _STEP_MM <= _OUTSIDE_MM), rays.profile, -np.inf).max(axis=1)
    bright = rays.healthy & (outside > muscle + _BRIGHTER * (blood - muscle))
    middle = np.where(bright, (outside + muscle) / 2, np.inf)
    found = _border(rays, rays.outer, middle, bright, falling=False)
    return Border(found.offset_mm, found.width_mm, _share(bright, rays.healthy))


def _share(part: NDArray[np.bool_], whole: NDArray[np.bool_]) -> float:
    return float(part.sum() / whole.sum()) if whole.any() else 0.0


def _border(rays: Rays, contour: Field, middle: Field, used: NDArray[np.bool_], *, falling: bool) -> Border:
    used = used & np.isfinite(middle)
    profile = (rays.profile - np.where(used, middle, 0.0)[:, None]) * (-1.0 if falling else 1.0)
    crossing = (profile[:, :-1] < 0) & (profile[:, 1:] >= 0)
    steps = profile[:, 1:] - profile[:, :-1]
    place = np.arange(crossing.shape[1]) - profile[:, :-1] / np.where(steps > 0, steps, 1.0)
    offset = np.where(crossing, (place - contour[:, None]) * _STEP_MM, np.inf)
    nearest = np.take_along_axis(offset, np.abs(offset).argmin(axis=1)[:, None], axis=1)[:, 0]
    found = used & (np.abs(nearest) <= _SEARCH_MM)
    share = _share(found, used)
    if np.count_nonzero(found) < _FEWEST_RAYS:
        return Border(nearest[found], float("nan"), share)
    aligned = _aligned(rays.profile[found], contour[found] + nearest[found] / _STEP_MM)
    return Border(nearest[found], _width_mm(-aligned if falling else aligned), share)


def _aligned(profile: Field, border: Field) -> Field:
    """Mean profile about the borders, from `_REACH_MM` inside to `_REACH_MM` outside."""
    count = round(_REACH_MM / _STEP_MM)
    columns = np.clip(border[:, None] + np.arange(-count, count + 1)[None, :], 0, profile.shape[1] - 1)
    rows = np.broadcast_to(np.arange(len(profile))[:, None], columns.shape)
    return np.asarray(ndimage.map_coordinates(profile, [rows, columns], order=1).mean(axis=0))


def _width_mm(rising: Field) -> float:
    """10-90 % width of a profile that rises through its middle. Its plateaus are the least value before the middle and
    the greatest one behind it."""
    middle = len(rising) // 2
    low, high = rising[: middle + 1].min(), rising[middle:].max()
    share = (rising - low) / (high - low)
    below, above = np.flatnonzero(share[: middle + 1] <= _TENTHS[0]), np.flatnonzero(share[middle:] >= _TENTHS[1])
    if not high > low or not below.size or not above.size:
        return float("nan")
    first, last = below[-1], middle + above[0]
    start = first + (_TENTHS[0] - share[first]) / (share[first + 1] - share[first])
    end = last - (share[last] - _TENTHS[1]) / (share[last] - share[last - 1])
    return float((end - start) * _STEP_MM)
