"""What a dimension of a label VAE's latent vector means, as a picture."""

import io
from collections.abc import Callable

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from cldm_runtime.domains.domain import Domain
from cldm_runtime.store import open_dataset

from ...networks import LabelVae
from ...training.batches import load_slices
from ...training.log import planes
from ...training.run_folder import Cohort
from ..bundle_writer import Picture
from .prior import encode

TRAVERSAL = "traversal.png"
_CAPTION = ("Label maps along the dimension that predicts an attribute best, the others at their mean over the "
            "validation slices with all attributes; above each map what is measured on it.")
_COLUMNS = 9
_FEWEST = 3
_QUANTILES = (0.02, 0.98)

Values = NDArray[np.floating]


def traversal_of(cohort: Cohort, vae: LabelVae, decoder: Callable[[Tensor], Tensor]) -> dict[str, Picture]:
    """The picture of a VAE of label maps on the validation slices of the run's cohort, or none where too few of them
    have attributes; decoder: (n, d) to logits."""
    domain = cohort.domain
    means = encode(vae, load_slices(cohort.file, "val").masks, len(domain.labels))[0]
    with open_dataset(cohort.file) as dataset:
        assert dataset.mask_attributes is not None  # training has asked for them
        attributes = dataset.mask_attributes[dataset.rows("val")]

    complete = np.isfinite(attributes).all(axis=1)
    if complete.sum() < _FEWEST or not np.ptp(attributes[complete], axis=0).any():
        return {}

    @torch.no_grad()
    def decode(z: Values) -> NDArray[np.uint8]:
        labels: NDArray[np.uint8] = decoder(torch.from_numpy(z).float()).argmax(1).to(torch.uint8).numpy()
        return labels

    return {TRAVERSAL: Picture(traversal_picture(decode, means, attributes, domain, cohort.spacing_mm),
                               _CAPTION)}


def traversal_picture(decode: Callable[[Values], NDArray[np.uint8]], means: Values, attributes: Values,
                      domain: Domain, spacing_mm: tuple[float, ...]) -> bytes:
    """A PNG with a row for each attribute of the domain: label maps along the dimension that predicts it best, in the
    direction in which it rises, from low to high among the slices, while all others stay at their mean: no slice of a
    patient is shown. Of volumes it shows the middle plane. Above each map the attribute measured on it.

    decode: latent vectors (n, d) to label maps (n, *spatial). means (N, d) and attributes (N, A), NaN where undefined,
    are of the same slices.
    """
    start = means[np.isfinite(attributes).all(axis=1)].mean(axis=0)
    colours = np.array(domain.labels.colours, dtype=np.uint8)
    varying = [number for number, column in enumerate(attributes.T) if np.nanmin(column) < np.nanmax(column)]
    figure, axes = plt.subplots(len(varying), _COLUMNS, figsize=(1.3 * _COLUMNS, 1.8 * len(varying)), squeeze=False)
    for number, line in zip(varying, axes, strict=True):
        name = domain.attribute_names[number]
        dimension, correlation = best_dimension(means, attributes[:, number])
        low, high = np.quantile(means[:, dimension], _QUANTILES)[::1 if correlation >= 0 else -1]
        z = np.repeat(start[None], _COLUMNS, axis=0)
        z[:, dimension] = np.linspace(low, high, _COLUMNS)
        maps = decode(z)
        measured = domain.measure(maps, spacing_mm).values[:, number]
        for axis, labels, value in zip(line, planes(maps), measured, strict=True):
            axis.imshow(colours[labels], interpolation="nearest")
            axis.set_axis_off()
            axis.set_title(f"{value:.2f}" if np.isfinite(value) else "", fontsize=8)
        line[0].text(0, -0.1, f"{name}: dimension {dimension + 1}, Spearman {correlation:+.2f}", fontsize=9, va="top",
                     transform=line[0].transAxes)
    figure.subplots_adjust(left=0.005, right=0.995, top=0.95, bottom=0.06, wspace=0.03, hspace=0.42)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=80, metadata={"Software": None})
    plt.close(figure)
    return buffer.getvalue()


def best_dimension(means: Values, values: Values) -> tuple[int, float]:
    """The dimension whose means (N, d) rank slices most as `values` (N,) do, NaN left out, and Spearman's
    correlation."""
    has_value = np.isfinite(values)
    correlations = [float(stats.spearmanr(column, values[has_value]).statistic) for column in means[has_value].T]
    dimension = int(np.argmax(np.abs(correlations)))
    return dimension, correlations[dimension]
