"""The distribution of the label VAE's latent vectors and the attributes over the training slices, as a bundle states
it: a few Gaussians, each of many slices, and no slice's own vector."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cldm_runtime.bundle.latent_prior_spec import LatentComponent, LatentPriorSpec, triangle_of
from cldm_runtime.domains.domain import Domain
from cldm_runtime.domains.generic import components_name, size_name

from ...networks import LabelVae
from ...training.batches import in_batches, one_hot
from .mixture import Array, fit_mixture

SLICES_A_COMPONENT = 200  # at least, on average
_MOST_COMPONENTS = 12  # of slices with the lesion, and of those without
_FEWEST_SLICES = 4  # fewer with, or without, the lesion are left out
_POOLED = 0.1  # share of a component's covariance that is the one of all its group's slices
_DIGITS = 7
_BATCH = 32


@torch.no_grad()
def encode(vae: LabelVae, masks: Tensor, classes: int) -> tuple[Array, Array]:
    """Means and deviations (N, d) of the latent vectors of label maps (N, H, W)."""
    parts = [vae.encode(one_hot(masks[part], classes)) for part in in_batches(len(masks), _BATCH)]
    means, deviations = (torch.cat(column).double().numpy() for column in zip(*parts, strict=True))
    return means, deviations


def drawn_columns(domain: Domain) -> list[int]:
    """Numbers of the attributes that label maps are drawn for: all, or of a declared domain, whose regions have many
    each, the size and the number of pieces of every region."""
    if domain.declaration is None:
        return list(range(len(domain.attributes)))
    chosen = {name for region in domain.labels.regions
              for name in (size_name(region, domain.axes), components_name(region))}
    return [number for number, name in enumerate(domain.attribute_names) if name in chosen]


def fit_prior(means: Array, deviations: Array, attributes: NDArray[np.floating], domain: Domain) -> LatentPriorSpec:
    """The prior of latent vectors N(means, deviations^2), each (N, d), with the attributes (N, A) of their slices, in
    the domain's order and NaN where undefined: those of them that are `drawn_columns`. Slices with and without the
    lesion have components of their own."""
    has_lesion = np.zeros(len(means), dtype=bool)
    if domain.lesion_size is not None:
        has_lesion = attributes[:, domain.attribute_names.index(domain.lesion_size)] > 0
    groups = [(lesion, has_lesion == lesion) for lesion in (True, False)
              if (has_lesion == lesion).sum() >= _FEWEST_SLICES]
    count = sum(int(rows.sum()) for _, rows in groups)
    chosen = attributes[:, drawn_columns(domain)].astype(np.float64)
    components = [component for lesion, rows in groups for component in _fit_group(
        means[rows], deviations[rows], chosen[rows], lesion, float(rows.sum()) / count)]
    return LatentPriorSpec(means.shape[1], tuple(components))


def _fit_group(means: Array, deviations: Array, attributes: Array, lesion: bool,
               share: float) -> Iterator[LatentComponent]:
    """The components of slices that all hold the lesion, or all lack it; together they have the given share."""
    has_value = np.isfinite(attributes)
    defined = has_value.mean(0) > 0.5  # a few slices that lack a value are left out, not the attribute
    rows = has_value[:, defined].all(1)
    means, deviations, attributes = means[rows], deviations[rows], attributes[rows]
    with np.errstate(invalid="ignore"):
        varying = defined & (np.ptp(attributes, axis=0) > 0)
    d, size = means.shape[1], means.shape[1] + attributes.shape[1]
    exact = np.zeros((len(means), int(varying.sum())))
    count = int(np.clip(len(means) // SLICES_A_COMPONENT, 1, _MOST_COMPONENTS))
    mixture = fit_mixture(np.hstack([means, attributes[:, varying]]), np.hstack([deviations, exact]), count, _POOLED)
    places = np.concatenate([np.arange(d), d + np.flatnonzero(varying)])
    for part, mean, covariance in zip(mixture.shares, mixture.means, mixture.covariances, strict=True):
        whole, matrix = np.full(size, np.nan), np.zeros((size, size))
        whole[d:][defined] = attributes[0, defined]  # the constants; what varies follows
        whole[places], matrix[np.ix_(places, places)] = mean, covariance
        yield LatentComponent(lesion, share * float(part), tuple(None if np.isnan(x) else _short(x) for x in whole),
                              tuple(_short(x) for x in triangle_of(matrix)))


def _short(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
