"""The manifest's section on the distribution that a learned anatomy's latents are drawn from."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
_SUM_TOLERANCE = 1e-6
_MOST_DIMENSIONS = 1024


@dataclass(frozen=True)
class LatentComponent:
    """A Gaussian of (z, a). `lesion`: whether its slices contain the domain's lesion. `share`: of the training slices.
    `mean`: d + A numbers, null for an attribute that is undefined there. `covariance`: lower triangle, row by row; 0
    for undefined or constant attributes."""

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
        """The faults of the numbers, for that number of attributes."""
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
            elif not _is_positive_definite(full_matrix(component.covariance, size)[:self.dimensions, :self.dimensions]):
                yield f"{where}.covariance: that of the latent vector is not positive definite."


def _is_positive_definite(matrix: Vector) -> bool:
    try:
        return bool(np.linalg.eigvalsh(matrix)[0] > 0)
    except np.linalg.LinAlgError:  # numbers so large that the eigenvalues are not found
        return False


def full_matrix(triangle: tuple[float, ...], size: int) -> Vector:
    """The symmetric matrix of a lower triangle, row by row."""
    matrix = np.zeros((size, size))
    matrix[np.tril_indices(size)] = triangle
    return matrix + np.tril(matrix, -1).T


def triangle_of(matrix: Vector) -> tuple[float, ...]:
    """The lower triangle of a symmetric matrix, row by row."""
    return tuple(matrix[np.tril_indices(len(matrix))].tolist())
