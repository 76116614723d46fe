"""Fits a lesion to a wall: which wall pixels are infarct so that the measured attributes meet a request."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...noise import Stream
from ..labels import LabelMap
from .attributes import ATTRIBUTES, INFARCT, SECTIONS, Wall, mean_share
from .ventricle import Field, Roughness, draw_territory, wrap

TOLERANCE = {attribute.name: attribute.tolerance for attribute in ATTRIBUTES}
_LOG_ASPECT = (-3.0, 4.5)
_DEEPEST_LAYER = 0.75


@dataclass(frozen=True)
class WallCanvas:
    """A label map, and its wall. theta, radius: (P,) of the wall's pixels, angle in rad and wall radius. present: (P,)
    the infarct that stays; None for none."""

    labels: LabelMap
    wall: Wall
    theta: Field
    radius: Field
    present: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class LesionStyle:
    """The properties of an infarct that no request fixes."""

    foci: tuple[tuple[float, float], ...]  # (angle in rad, lag: how much smaller than the first, relative)
    power: float
    roughness: Roughness

    @classmethod
    def draw(cls, stream: Stream) -> "LesionStyle":
        angle, power = draw_territory(stream), stream.uniform(2.0, 6.0)
        multifocal, patchy = stream.uniform() < 0.15, stream.uniform() < 0.2
        second = angle + stream.uniform(0.8, 2.2) * (1 if stream.uniform() < 0.5 else -1)
        lag, rough = stream.uniform(1.0, 4.0), stream.uniform(0.4, 0.9) if patchy else stream.uniform(0.05, 0.3)
        foci = ((angle, 0.0), (second, lag)) if multifocal else ((angle, 0.0),)
        return cls(foci, power, Roughness.draw(stream, rough))


def nearest_pixels(distance: Field, count: int) -> NDArray[np.bool_]:
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


class LesionFit:
    """Searches the aspect and the layer that give a canvas the requested transmurality and endocardial surface length.

    The infarct is the set of wall pixels nearest to the lesion, a superellipse in (theta, r) about each focus. With
    half width h, power p, lag l and roughness b, a pixel is at the distance

        ((|r - layer| h)^p + (|theta - angle| / h)^p) (1 + l) b

    from a focus. Only the order of distances matters, so they are divided by h^p. The factors that do not depend on h
    are computed once for a layer, and once for the canvas.
    """

    def __init__(self, canvas: WallCanvas, style: LesionStyle, request: Mapping[str, float]) -> None:
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
            if self.canvas.present is not None:
                distance = np.where(self.canvas.present, -1.0, distance)  # nearer than any: it is infarct already
            self._infarcts[key] = nearest_pixels(distance, self.count)
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

    def solve(self, layer: float | None = None) -> NDArray[np.bool_]:
        """The wall pixels that are infarct. layer: the wall radius that the lesion grows from; None: the one that gives
        the requested endocardial surface length."""

        def surface(layer: float) -> float:
            return self.covered(self.infarct(self.best_aspect(layer, 6), layer))

        if layer is not None:
            return self.infarct(self.best_aspect(layer, 10), layer)
        layer = 0.0
        if surface(0.0) > self.surface + 0.5 * TOLERANCE["endocardial_surface_length"]:
            layer = _bisect(surface, self.surface, 0.0, _DEEPEST_LAYER, 6)
        return self.infarct(self.best_aspect(layer, 10), layer)

    def error(self, infarct: NDArray[np.bool_]) -> dict[str, float]:
        reached = mean_share(infarct, self.section, self.wall_count)
        return {"transmurality": reached - self.transmurality,
                "endocardial_surface_length": self.covered(infarct) - self.surface}


def painted(canvas: WallCanvas, infarct: NDArray[np.bool_]) -> LabelMap:
    """The label map with its infarct, and what stays of an earlier one as it is."""
    labels, new = canvas.labels.copy(), infarct if canvas.present is None else infarct & ~canvas.present
    labels.reshape(-1)[canvas.wall.index[new]] = INFARCT
    return labels
