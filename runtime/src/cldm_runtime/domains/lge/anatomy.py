"""From attributes to anatomy: a label map whose measured attributes meet a request.

An infarct is the set of wall pixels with the smallest lesion distance (ventricle.py). Their number gives the infarct
size exactly. Two parameters are left, and each moves one attribute monotonically: the lesion's aspect (wide and
shallow, or narrow and deep) sets the transmurality, and its layer (from the endocardium into the wall) lowers the
endocardial surface length. Both are found by bisection on the *measured* attributes. Everything else is drawn at
random: the ventricle's shape, the territory, the border and the number of foci.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...noise import Purpose, Stream
from ..domain import Drawn
from ..labels import LabelMap
from ..nearest import UnmetRequest, nearest_request
from .attributes import ATTRIBUTES, HEALTHY, INFARCT, LV_CAVITY, NAMES, SECTIONS, Wall, find_wall, mean_share
from .contradictions import contradictions, without_contradictions
from .ventricle import Field, Roughness, Ventricle, draw_territory, pixel_axes, wrap

_ATTEMPTS = 100
# A row passes only if a few trial draws meet it in few attempts, so generation, with many attempts, never fails on it.
_TRIALS, _TRIAL_ATTEMPTS = 4, 8
_TOLERANCE = {attribute.name: attribute.tolerance for attribute in ATTRIBUTES}
_LOG_ASPECT = (-3.0, 4.5)
_DEEPEST_LAYER = 0.75
_OUTLINE = np.linspace(-np.pi, np.pi, 360, endpoint=False)  # rad: where R and W are computed; linear in between
_TURN = 2 * np.pi
_MARGIN_MM = 1e-6  # far above rounding, far below a pixel


@dataclass(frozen=True)
class _Canvas:
    """A drawn ventricle without infarct, and the coordinates of its wall pixels."""

    labels: LabelMap
    wall: Wall
    theta: Field
    radius: Field


@dataclass(frozen=True)
class _Style:
    """The properties of an infarct that no request fixes."""

    foci: tuple[tuple[float, float], ...]  # (angle in rad, lag: how much smaller than the first, relative)
    power: float
    roughness: Roughness

    @classmethod
    def draw(cls, stream: Stream) -> "_Style":
        angle, power = draw_territory(stream), stream.uniform(2.0, 6.0)
        multifocal, patchy = stream.uniform() < 0.15, stream.uniform() < 0.2
        second = angle + stream.uniform(0.8, 2.2) * (1 if stream.uniform() < 0.5 else -1)
        lag, rough = stream.uniform(1.0, 4.0), stream.uniform(0.4, 0.9) if patchy else stream.uniform(0.05, 0.3)
        foci = ((angle, 0.0), (second, lag)) if multifocal else ((angle, 0.0),)
        return cls(foci, power, Roughness.draw(stream, rough))


def _draw_canvas(ventricle: Ventricle, z: float, centre_mm: tuple[float, float], shape: tuple[int, int],
                 spacing_mm: tuple[float, float], rotation_deg: float) -> _Canvas:
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
    return _Canvas(labels, find_wall(labels), theta[in_wall], radius[in_wall])


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


def _nearest_pixels(distance: Field, count: int) -> NDArray[np.bool_]:
    chosen: NDArray[np.bool_] = distance <= np.partition(distance, count - 1)[count - 1]
    if np.count_nonzero(chosen) != count:  # pixels at the same distance
        chosen = np.zeros(distance.shape, dtype=np.bool_)
        chosen[np.argpartition(distance, count - 1)[:count]] = True
    return chosen


def _bisect(measure: Callable[[float], float], target: float, low: float, high: float, steps: int) -> float:
    """Argument at which the falling function `measure` is nearest to the target, among those tried."""
    tried: list[tuple[float, float]] = []
    for argument in (low, high):
        tried.append((abs(measure(argument) - target), argument))
    for _ in range(steps):
        middle = (low + high) / 2
        value = measure(middle)
        tried.append((abs(value - target), middle))
        low, high = (middle, high) if value > target else (low, middle)
    return min(tried)[1]


class _Fit:
    """Searches the aspect and the layer that give a canvas the requested transmurality and endocardial surface length.

    The infarct is the set of wall pixels nearest to the lesion, a superellipse in (theta, r) about each focus. With
    half width h, power p, lag l and roughness b, a pixel is at the distance

        ((|r - layer| h)^p + (|theta - angle| / h)^p) (1 + l) b

    from a focus. Only the order of distances matters, so they are divided by h^p. The factors that do not depend on h
    are computed once for a layer, and once for the canvas.
    """

    def __init__(self, canvas: _Canvas, style: _Style, request: Mapping[str, float]) -> None:
        self.canvas, self.power = canvas, style.power
        self.border = 1.0 + style.roughness(canvas.theta, canvas.radius)
        self.foci = [((np.abs(wrap(canvas.theta - angle)) ** style.power) * self.border, 1.0 + lag)
                     for angle, lag in style.foci]
        self.count = max(1, round(request["infarct_size"] * canvas.wall.index.size))
        self.transmurality = request["transmurality"]
        self.surface = request["endocardial_surface_length"]
        assert canvas.wall.section is not None and canvas.wall.inner is not None
        self.section, self.inner = canvas.wall.section, canvas.wall.inner
        self.wall_count, self.inner_count = np.bincount(self.section, minlength=SECTIONS), np.count_nonzero(self.inner)
        self._across: dict[float, Field] = {}
        self._infarcts: dict[tuple[float, float], NDArray[np.bool_]] = {}
        self._reached: dict[tuple[float, float], float] = {}

    def infarct(self, log_aspect: float, layer: float) -> NDArray[np.bool_]:
        key = (log_aspect, layer)
        if key not in self._infarcts:
            if layer not in self._across:
                self._across[layer] = np.abs(self.canvas.radius - layer) ** self.power * self.border
            across, narrow = self._across[layer], float(np.exp(-log_aspect * self.power))
            distance = across + self.foci[0][0] * narrow  # the first focus has no lag
            for along, lag in self.foci[1:]:
                distance = np.minimum(distance, (across + along * narrow) * lag)
            self._infarcts[key] = _nearest_pixels(distance, self.count)
        return self._infarcts[key]

    def reached(self, log_aspect: float, layer: float) -> float:
        """The transmurality of the infarct with that aspect and layer."""
        key = (log_aspect, layer)
        if key not in self._reached:
            self._reached[key] = mean_share(self.infarct(log_aspect, layer), self.section, self.wall_count)
        return self._reached[key]

    def covered(self, infarct: NDArray[np.bool_]) -> float:
        """The endocardial surface length of an infarct."""
        return float(np.count_nonzero(infarct & self.inner) / self.inner_count)

    def best_aspect(self, layer: float, steps: int) -> float:
        return _bisect(lambda aspect: self.reached(aspect, layer), self.transmurality, *_LOG_ASPECT, steps)

    def solve(self) -> NDArray[np.bool_]:
        def surface(layer: float) -> float:
            return self.covered(self.infarct(self.best_aspect(layer, 6), layer))

        layer = 0.0
        if surface(0.0) > self.surface + 0.5 * _TOLERANCE["endocardial_surface_length"]:
            layer = _bisect(surface, self.surface, 0.0, _DEEPEST_LAYER, 6)
        return self.infarct(self.best_aspect(layer, 10), layer)

    def error(self, infarct: NDArray[np.bool_]) -> dict[str, float]:
        reached = mean_share(infarct, self.section, self.wall_count)
        return {"transmurality": reached - self.transmurality,
                "endocardial_surface_length": self.covered(infarct) - self.surface}


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
        ventricle, style = Ventricle.draw(stream), _Style.draw(stream)
        centre = (stream.normal(0.0, 3.0), stream.normal(0.0, 3.0))
        empty = request["infarct_size"] == 0
        if not empty:
            ventricle = _thinned(ventricle, request, style.foci[0][0], stream)
        canvas = _draw_canvas(ventricle, request["slice_position"], centre, shape, spacing_mm, rotation_deg)
        if empty:
            return Drawn(canvas.labels, draws)
        fit = _Fit(canvas, style, request)
        infarct = fit.solve()
        error = fit.error(infarct)
        if all(abs(error[name]) <= _TOLERANCE[name] for name in error):
            return Drawn(_paint(canvas, infarct), draws)
        best = min(best, error, key=_largest) if best else error
    raise UnmetRequest(_unmet(request, best), {**request, **{name: request[name] + best[name] for name in best}})


def _distance(request: Mapping[str, float], unmet: UnmetRequest) -> float:
    """The largest move from a request to what was reached, in tolerances."""
    reached = unmet.reached or {}
    return max((abs(reached[name] - request[name]) / _TOLERANCE[name] for name in request if name in reached),
               default=math.inf)


def _paint(canvas: _Canvas, infarct: NDArray[np.bool_]) -> LabelMap:
    labels = canvas.labels.copy()
    labels.reshape(-1)[canvas.wall.index[infarct]] = INFARCT
    return labels


def _largest(error: Mapping[str, float]) -> float:
    return max(abs(value) / _TOLERANCE[name] for name, value in error.items())


def _unmet(request: Mapping[str, float], error: Mapping[str, float]) -> str:
    requested = ", ".join(f"{name} = {request[name]:.3g}" for name in NAMES[:3])
    reached = ", ".join(f"{name} = {request[name] + value:.3g}" for name, value in error.items())
    return (f"no anatomy meets {requested}; the nearest has {reached}. Move the row towards it: the endocardial "
            "surface length of a wavefront is about infarct_size / transmurality")
