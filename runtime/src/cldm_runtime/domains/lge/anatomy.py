"""From attributes to anatomy: a label map whose measured attributes meet a request.

An infarct is the set of wall pixels with the smallest lesion distance (ventricle.py). Their number gives the infarct
size exactly. Two parameters are left, and each moves one attribute monotonically: the lesion's aspect (wide and
shallow, or narrow and deep) sets the transmurality, and its layer (from the endocardium into the wall) lowers the
endocardial surface length. Both are found by bisection on the *measured* attributes. Everything else is drawn at
random: the ventricle's shape, the territory, the border and the number of foci.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...noise import Purpose, Stream
from ..domain import Drawn
from ..nearest import UnmetRequest, nearest_request
from .attributes import HEALTHY, LV_CAVITY, NAMES, find_wall
from .contradictions import contradictions, without_contradictions
from .lesion_fit import TOLERANCE, LesionFit, LesionStyle, WallCanvas, painted
from .ventricle import Field, Ventricle, pixel_axes

_ATTEMPTS = 100
# A row passes only if a few trial draws meet it in few attempts, so generation, with many attempts, never fails on it.
_TRIALS, _TRIAL_ATTEMPTS = 4, 8
_OUTLINE = np.linspace(-np.pi, np.pi, 360, endpoint=False)  # rad: where R and W are computed; linear in between
_TURN = 2 * np.pi
_MARGIN_MM = 1e-6  # far above rounding, far below a pixel


def _draw_canvas(ventricle: Ventricle, z: float, centre_mm: tuple[float, float], shape: tuple[int, int],
                 spacing_mm: tuple[float, float], rotation_deg: float) -> WallCanvas:
    """Angles are computed only where the wall can be: between the least R and the greatest R + W."""
    endocardium, thickness = ventricle.endocardium(_OUTLINE, z), ventricle.thickness_at(_OUTLINE, z)
    y, x = pixel_axes(shape, spacing_mm, centre_mm)
    rho = np.hypot(y[:, None], x[None, :])
    cavity = rho < endocardium.min() - _MARGIN_MM
    ring = np.flatnonzero((rho < (endocardium + thickness).max() + _MARGIN_MM) & ~cavity)
    row, column = np.divmod(ring, shape[1])
    theta = np.arctan2(-y[row], x[column]) - np.deg2rad(rotation_deg)
    radius = (rho.reshape(-1)[ring] - _around(theta, endocardium)) / _around(theta, thickness)
    labels = np.where(cavity, LV_CAVITY, 0).astype(np.uint8)
    labels.reshape(-1)[ring] = np.where(radius < 0, LV_CAVITY, np.where(radius < 1, HEALTHY, 0))
    in_wall = (radius >= 0) & (radius < 1)
    return WallCanvas(labels, find_wall(labels), theta[in_wall], radius[in_wall])


def _periodic_knots() -> tuple[Field, NDArray[np.intp]]:
    """The angles of the outline within [0, 2 pi), sorted, with one more on each side, and the index of each."""
    turned = _OUTLINE % _TURN
    order = np.argsort(turned)
    order = np.concatenate([order[-1:], order, order[:1]])
    knots = turned[order]
    knots[0], knots[-1] = knots[0] - _TURN, knots[-1] + _TURN
    return knots, order


_KNOTS, _KNOT_ORDER = _periodic_knots()


def _around(theta: Field, values: Field) -> Field:
    """Values at the angles of the outline, interpolated as by np.interp with a period, but sorted only once."""
    return np.interp(theta % _TURN, _KNOTS, values[_KNOT_ORDER])


def _thinned(ventricle: Ventricle, request: Mapping[str, float], angle: float, stream: Stream) -> Ventricle:
    """The ventricle with a thinned wall at the scar: thinner still if the request has more endocardial surface than
    size / transmurality."""
    arc = request["infarct_size"] / request["transmurality"]
    needed = 1.0 - arc / max(request["endocardial_surface_length"], 1e-3)
    natural = stream.uniform(0.0, 0.3) * request["transmurality"]
    thinning = float(np.clip(max(needed * 1.3, natural), 0.0, 0.5))
    return replace(ventricle, thinning=thinning, scar_angle=angle, scar_width=max(0.35, np.pi * min(arc, 0.8)))


class LgeAnatomy:
    """The anatomy of the lge domain; see `cldm_runtime.domains.domain.Anatomy`."""

    def identity(self) -> dict[str, str]:
        return {"anatomy": "parametric"}

    def faults(self, request: Mapping[str, float]) -> list[str]:
        return self.contradictions(request) or [str(unmet) for unmet in self._trial(request)[:1]]

    def contradictions(self, request: Mapping[str, float]) -> list[str]:
        return contradictions(request)

    def nearest(self, request: Mapping[str, float]) -> dict[str, float] | None:
        def attempt(moved: Mapping[str, float]) -> UnmetRequest | None:
            return min(self._trial(moved), key=lambda unmet: _distance(moved, unmet), default=None)

        return nearest_request(without_contradictions(request), attempt)

    def _trial(self, request: Mapping[str, float]) -> list[UnmetRequest]:
        """The trials that failed. A row that leaves part of the infarct open is faulty only if every way of completing
        it fails."""
        unmet = []
        for trial in range(_TRIALS):
            complete = self.complete(request, Stream(0, trial, Purpose.CONDITION))
            try:
                _draw(complete, Stream(0, trial, Purpose.ANATOMY), (128, 128), (1.0, 1.0), 0.0, _TRIAL_ATTEMPTS)
            except UnmetRequest as error:
                unmet.append(error)
        completed = all(name in request for name in NAMES[:3])
        return unmet if completed or len(unmet) == _TRIALS else []

    def complete(self, request: Mapping[str, float], stream: Stream,
                 table: NDArray[np.float64] | None = None) -> dict[str, float]:
        from .prior import complete  # here, because drawing does not need the prior

        return complete(request, stream, table)

    def draw(self, request: Mapping[str, float], stream: Stream, *, shape: tuple[int, ...],
             spacing_mm: tuple[float, ...], rotation_deg: float = 0.0) -> Drawn:
        """See `Anatomy.draw` of the protocol; shape is (H, W). `request` holds all attributes of the domain."""
        if len(shape) != 2 or len(spacing_mm) != 2:
            raise InputError(f"the lge domain draws (H, W) slices, found shape {shape}, spacing {spacing_mm}. Pass two "
                             "numbers of each.")
        return _draw(request, stream, (shape[0], shape[1]), (spacing_mm[0], spacing_mm[1]), rotation_deg, _ATTEMPTS)


def _draw(request: Mapping[str, float], stream: Stream, shape: tuple[int, int], spacing_mm: tuple[float, float],
          rotation_deg: float, attempts: int) -> Drawn:
    best: dict[str, float] = {}
    for draws in range(1, attempts + 1):
        ventricle, style = Ventricle.draw(stream), LesionStyle.draw(stream)
        centre = (stream.normal(0.0, 3.0), stream.normal(0.0, 3.0))
        empty = request["infarct_size"] == 0
        if not empty:
            ventricle = _thinned(ventricle, request, style.foci[0][0], stream)
        canvas = _draw_canvas(ventricle, request["slice_position"], centre, shape, spacing_mm, rotation_deg)
        if empty:
            return Drawn(canvas.labels, draws)
        fit = LesionFit(canvas, style, request)
        infarct = fit.solve()
        error = fit.error(infarct)
        if all(abs(error[name]) <= TOLERANCE[name] for name in error):
            return Drawn(painted(canvas, infarct), draws)
        best = min(best, error, key=_largest) if best else error
    raise UnmetRequest(_unmet(request, best), {**request, **{name: request[name] + best[name] for name in best}})


def _distance(request: Mapping[str, float], unmet: UnmetRequest) -> float:
    """The largest move from a request to what was reached, in tolerances."""
    reached = unmet.reached or {}
    return max((abs(reached[name] - request[name]) / TOLERANCE[name] for name in request if name in reached),
               default=math.inf)


def _largest(error: Mapping[str, float]) -> float:
    return max(abs(value) / TOLERANCE[name] for name, value in error.items())


def _unmet(request: Mapping[str, float], error: Mapping[str, float]) -> str:
    requested = ", ".join(f"{name} = {request[name]:.3g}" for name in NAMES[:3])
    reached = ", ".join(f"{name} = {request[name] + value:.3g}" for name, value in error.items())
    return (f"no anatomy meets {requested}; the nearest has {reached}. Move the row towards it: the endocardial "
            "surface length of a wavefront is about infarct_size / transmurality")
