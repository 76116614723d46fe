"""A mixture of Gaussians by expectation-maximisation (Dempster et al., 1977), for vectors that are known up to a
deviation of their own."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_ROUNDS = 60
_FLOOR = 1e-6  # of a variance, as a share of the pooled one


@dataclass(frozen=True)
class Mixture:
    """shares (K,), means (K, D), covariances (K, D, D)."""

    shares: Array
    means: Array
    covariances: Array


def fit_mixture(x: Array, deviation: Array, components: int, pooled: float, seed: int = 0) -> Mixture:
    """Fit `components` Gaussians to x (N, D), each row known up to a normal error of the given deviation (N, D).

    pooled: share of every covariance that is the one of all rows, 0..1; it keeps a component of few rows from telling
    about single ones. The covariances hold the errors: they are those of what the rows may be, not of the rows alone.
    """
    rng, variance = np.random.default_rng(seed), deviation**2
    every = np.cov(x.T, bias=True).reshape(x.shape[1], -1) + np.diag(variance.mean(0))
    scale = np.sqrt(np.maximum(np.diag(every), 1e-12))
    members = np.eye(components)[_nearest(x / scale, _spread_out(x / scale, components, rng))]
    mixture = _maximise(x, variance, members, every, pooled)
    for _ in range(_ROUNDS if components > 1 else 0):
        mixture = _maximise(x, variance, _expect(x, mixture), every, pooled)
    return mixture


def _maximise(x: Array, variance: Array, members: Array, every: Array, pooled: float) -> Mixture:
    """The mixture for memberships (N, K)."""
    counts = members.sum(0) + 1e-9
    means = members.T @ x / counts[:, None]
    covariances = []
    for k, count in enumerate(counts):
        off = x - means[k]
        own = (members[:, k, None] * off).T @ off / count + np.diag(members[:, k] @ variance / count)
        covariances.append((1.0 - pooled) * own + pooled * every + _FLOOR * np.diag(np.diag(every)))
    return Mixture(counts / counts.sum(), means, np.stack(covariances))


def _expect(x: Array, mixture: Mixture) -> Array:
    """(N, K) memberships."""
    logs = np.empty((len(x), len(mixture.shares)))
    for k, (share, mean, covariance) in enumerate(
            zip(mixture.shares, mixture.means, mixture.covariances, strict=True)):
        root = np.linalg.cholesky(covariance)
        unit = np.linalg.solve(root, (x - mean).T)
        logs[:, k] = np.log(share) - 0.5 * (unit**2).sum(0) - np.log(np.diag(root)).sum()
    members = np.exp(logs - logs.max(1, keepdims=True))
    return np.asarray(members / members.sum(1, keepdims=True))


def _spread_out(x: Array, count: int, rng: np.random.Generator) -> Array:
    """Rows that lie far from each other (k-means++)."""
    centres = [x[rng.integers(len(x))]]
    while len(centres) < count:
        distance = np.min([((x - centre) ** 2).sum(1) for centre in centres], axis=0)
        centres.append(x[rng.choice(len(x), p=distance / distance.sum())])
    return np.stack(centres)


def _nearest(x: Array, centres: Array) -> NDArray[np.intp]:
    return np.asarray(np.argmin([((x - centre) ** 2).sum(1) for centre in centres], axis=0))
