"""The prior of an anatomy bundle: the joint distribution of latent vectors and attributes, a mixture of Gaussians
fitted to many slices. It holds the latent vector of no single slice.

symbol   meaning
z, a     latent vector (d,), attributes (A,)
m, S     mean and covariance of (z, a) in one component
g        the requested attributes; e_g: the standard deviation allowed for each
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
    mean moves when the requested values do."""

    mean: Vector
    root: Vector
    gain: Vector


class LatentPrior:
    """The components as arrays. Attributes are named, values are in the user's units; NaN means not requested."""

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
        """(components,) relative probability of each given the request; all 0 if none can meet it.
        lesion: only components with, or without, a lesion; None: all."""
        chosen = np.ones_like(self.lesion) if lesion is None else self.lesion == lesion
        indices, values = self._indices_and_values(request)
        logs = np.array([self._log_density(number, indices, values) for number in range(len(self.shares))])
        logs = np.where(chosen, logs + np.log(self.shares), -np.inf)
        top = logs.max()
        return np.exp(logs - top) if np.isfinite(top) else np.zeros(len(logs))

    def latent(self, component: int, request: Mapping[str, float]) -> Conditional:
        """z in a component, given the requested attributes. The gain's columns are in the order of `requested`."""
        return self._condition(component, slice(0, self.dimensions), *self._indices_and_values(request))

    def attribute(self, component: int, name: str, request: Mapping[str, float]) -> tuple[float, float]:
        """Mean and standard deviation of one attribute in a component, given the requested ones."""
        row = self.dimensions + self.names.index(name)
        conditional = self._condition(component, slice(row, row + 1), *self._indices_and_values(request))
        return float(conditional.mean[0]), float(conditional.root[0, 0])

    def requested(self, request: Mapping[str, float]) -> tuple[str, ...]:
        """Names of the attributes for which a request has a number, in the order of `names`."""
        return tuple(name for name in self.names if np.isfinite(request.get(name, np.nan)))

    def _indices_and_values(self, request: Mapping[str, float]) -> tuple[NDArray[np.intp], Vector]:
        names = self.requested(request)
        return (np.array([self.names.index(name) for name in names], dtype=np.intp),
                np.array([request[name] for name in names]))

    def _marginal(self, component: int, indices: NDArray[np.intp]) -> tuple[Vector, Vector, NDArray[np.intp]]:
        """Mean and covariance of the requested attributes, with e^2 on the diagonal, and their rows in (z, a)."""
        rows = self.dimensions + indices
        spread = self.covariances[component][np.ix_(rows, rows)] + np.diag(self._variance[indices])
        return self.means[component][rows], spread, rows

    def _log_density(self, component: int, indices: NDArray[np.intp], values: Vector) -> float:
        mean, spread, _ = self._marginal(component, indices)
        if np.isnan(mean).any():  # a requested attribute that slices of this component lack
            return -np.inf
        root = np.linalg.cholesky(spread)
        unit = np.linalg.solve(root, values - mean)
        return float(-0.5 * unit @ unit - np.log(np.diag(root)).sum() - 0.5 * len(values) * np.log(2 * np.pi))

    def _condition(self, component: int, rows: slice, indices: NDArray[np.intp], values: Vector) -> Conditional:
        mean, spread, requested_rows = self._marginal(component, indices)
        covariance = self.covariances[component]
        cross = covariance[rows][:, requested_rows]
        gain = np.linalg.solve(spread, cross.T).T
        left = covariance[rows, rows] - gain @ cross.T
        return Conditional(self.means[component][rows] + gain @ (values - mean), _root(left), gain)


def _root(covariance: Vector) -> Vector:
    """A square root of a covariance that may be singular, lower triangular."""
    jitter = 1e-9 * max(float(np.trace(covariance)) / len(covariance), 1e-12)
    return np.asarray(np.linalg.cholesky(covariance + jitter * np.eye(len(covariance))), dtype=np.float64)
