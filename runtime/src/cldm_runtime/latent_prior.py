"""What an anatomy bundle says about its latent vectors: their distribution together with the attributes, a mixture of
Gaussians fitted to many slices at once. It holds no slice's own latent vector.

symbol   meaning
z, a     latent vector (d,), attributes (A,)
m, S     mean and covariance of (z, a) in one component
g        the attributes asked for; e_g how exactly each is meant, as a deviation
K        gain: S_zg (S_gg + diag(e_g^2))^-1
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
_SUM_TOLERANCE = 1e-6
_MOST_DIMENSIONS = 1024


@dataclass(frozen=True)
class LatentComponent:
    """A Gaussian of (z, a). `lesion`: whether its slices hold the domain's lesion. `share`: of the training slices.
    `mean`: d + A numbers, null for an attribute that is undefined there. `covariance`: lower triangle, row by row; 0
    for what is undefined or constant."""

    lesion: bool
    share: float
    mean: tuple[float | None, ...]
    covariance: tuple[float, ...]


@dataclass(frozen=True)
class LatentPriorSpec:
    """`dimensions`: d. The attributes are those of the manifest, in its order."""

    dimensions: int
    components: tuple[LatentComponent, ...]

    def faults(self, attributes: int) -> Iterator[str]:
        """What is wrong with the numbers, for that many attributes."""
        size = self.dimensions + attributes
        if not 1 <= self.dimensions <= _MOST_DIMENSIONS or not self.components:
            yield f"latent_prior: expected 1 to {_MOST_DIMENSIONS} dimensions and at least one component."
            return
        if abs(sum(component.share for component in self.components) - 1.0) > _SUM_TOLERANCE:
            yield "latent_prior.components: the shares do not add up to 1."
        for number, component in enumerate(self.components):
            where, triangle = f"latent_prior.components[{number}]", size * (size + 1) // 2
            if len(component.mean) != size or len(component.covariance) != triangle:
                yield (f"{where}: {len(component.mean)} numbers in mean and {len(component.covariance)} in covariance, "
                       f"expected {size} and {triangle}.")
            elif component.share <= 0 or None in component.mean[:self.dimensions]:
                yield f"{where}: expected a share above 0, and a mean without null in the {self.dimensions} dimensions."
            elif not _is_positive_definite(_matrix(component.covariance, size)[:self.dimensions, :self.dimensions]):
                yield f"{where}.covariance: that of the latent vector is not positive definite."


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
        self.covariances = np.stack([_matrix(component.covariance, size) for component in spec.components])
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


def _is_positive_definite(matrix: Vector) -> bool:
    try:
        return bool(np.linalg.eigvalsh(matrix)[0] > 0)
    except np.linalg.LinAlgError:  # numbers so large that the eigenvalues are not found
        return False


def _root(covariance: Vector) -> Vector:
    """A square root of a covariance that may be singular, lower triangular."""
    jitter = 1e-9 * max(float(np.trace(covariance)) / len(covariance), 1e-12)
    return np.asarray(np.linalg.cholesky(covariance + jitter * np.eye(len(covariance))), dtype=np.float64)


def _matrix(triangle: tuple[float, ...], size: int) -> Vector:
    """The symmetric matrix of a lower triangle, row by row."""
    matrix = np.zeros((size, size))
    matrix[np.tril_indices(size)] = triangle
    return matrix + np.tril(matrix, -1).T


def triangle_of(matrix: Vector) -> tuple[float, ...]:
    """The lower triangle of a symmetric matrix, row by row."""
    return tuple(matrix[np.tril_indices(len(matrix))].tolist())
