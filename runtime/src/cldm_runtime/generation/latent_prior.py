"""What an anatomy bundle says about its latent vectors: their distribution together with the attributes, a mixture of
Gaussians fitted to many slices at once. It holds no slice's own latent vector.

symbol   meaning
z, a     latent vector (d,), attributes (A,)
m, S     mean and covariance of (z, a) in one component
g        the attributes asked for; e_g how exactly each is meant, as a deviation
K        gain: S_zg (S_gg + diag(e_g^2))^-1
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..bundle.latent_prior_spec import LatentPriorSpec, Vector, full_matrix


@dataclass(frozen=True)
class Conditional:
    """z given attributes: mean (d,), root (d, d) with root root^T its covariance, and the gain K (d, G), by which the
    mean moves when what is asked for does."""

    mean: Vector
    root: Vector
    gain: Vector


class LatentPrior:
    """The components as arrays. Attributes are named, values are in the user's units; NaN stands for not asked."""

    def __init__(self, spec: LatentPriorSpec, names: tuple[str, ...], exactness: Mapping[str, float]) -> None:
        """exactness: e of each attribute."""
        self.names, self.dimensions = names, spec.dimensions
        size = spec.dimensions + len(names)
        self.lesion = np.array([component.lesion for component in spec.components])
        self.shares = np.array([component.share for component in spec.components])
        self.means = np.array([component.mean for component in spec.components], dtype=np.float64)  # null: NaN
        self.covariances = np.stack([full_matrix(component.covariance, size) for component in spec.components])
        self._variance = np.array([exactness[name] ** 2 for name in names])

    def weights(self, request: Mapping[str, float], lesion: bool | None = None) -> Vector:
        """(components,) how likely each is behind a request; all 0 where none can be. lesion: None leaves it open."""
        chosen = np.ones_like(self.lesion) if lesion is None else self.lesion == lesion
        asked, values = self._asked(request)
        logs = np.array([self._log_density(number, asked, values) for number in range(len(self.shares))])
        logs = np.where(chosen, logs + np.log(self.shares), -np.inf)
        top = logs.max()
        return np.exp(logs - top) if np.isfinite(top) else np.zeros(len(logs))

    def latent(self, component: int, request: Mapping[str, float]) -> Conditional:
        """z in a component, given the attributes asked for. The gain's columns are in the order of `asked`."""
        return self._condition(component, slice(0, self.dimensions), *self._asked(request))

    def attribute(self, component: int, name: str, request: Mapping[str, float]) -> tuple[float, float]:
        """Mean and deviation of one attribute in a component, given those asked for."""
        row = self.dimensions + self.names.index(name)
        found = self._condition(component, slice(row, row + 1), *self._asked(request))
        return float(found.mean[0]), float(found.root[0, 0])

    def asked(self, request: Mapping[str, float]) -> tuple[str, ...]:
        """Names of the attributes that a request gives a number to, in the order of `names`."""
        return tuple(name for name in self.names if np.isfinite(request.get(name, np.nan)))

    def _asked(self, request: Mapping[str, float]) -> tuple[NDArray[np.intp], Vector]:
        names = self.asked(request)
        return (np.array([self.names.index(name) for name in names], dtype=np.intp),
                np.array([request[name] for name in names]))

    def _given(self, component: int, asked: NDArray[np.intp]) -> tuple[Vector, Vector, NDArray[np.intp]]:
        """Mean and covariance of the attributes asked for, each with its exactness, and their rows in (z, a)."""
        rows = self.dimensions + asked
        spread = self.covariances[component][np.ix_(rows, rows)] + np.diag(self._variance[asked])
        return self.means[component][rows], spread, rows

    def _log_density(self, component: int, asked: NDArray[np.intp], values: Vector) -> float:
        mean, spread, _ = self._given(component, asked)
        if np.isnan(mean).any():  # a value asked for that slices of this component do not have
            return -np.inf
        root = np.linalg.cholesky(spread)
        unit = np.linalg.solve(root, values - mean)
        return float(-0.5 * unit @ unit - np.log(np.diag(root)).sum() - 0.5 * len(values) * np.log(2 * np.pi))

    def _condition(self, component: int, rows: slice, asked: NDArray[np.intp], values: Vector) -> Conditional:
        mean, spread, given = self._given(component, asked)
        covariance = self.covariances[component]
        cross = covariance[rows][:, given]
        gain = np.linalg.solve(spread, cross.T).T
        left = covariance[rows, rows] - gain @ cross.T
        return Conditional(self.means[component][rows] + gain @ (values - mean), _root(left), gain)


def _root(covariance: Vector) -> Vector:
    """A square root of a covariance that may be singular, lower triangular."""
    jitter = 1e-9 * max(float(np.trace(covariance)) / len(covariance), 1e-12)
    return np.asarray(np.linalg.cholesky(covariance + jitter * np.eye(len(covariance))), dtype=np.float64)
