"""Attributes of images that are requested of a bundle, and the noise level that its last graph draws."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..bundle.acquisition_spec import NOISE_LEVEL, VALUES
from ..bundle.manifest import Manifest
from ..domains.acquisition.estimate import estimate
from ..domains.domain import Domain
from ..requests.canvas import Canvas
from ..requests.sources import SampleRequest
from .pipeline import scan_numbers

Values = NDArray[np.float32]


def image_requests(canvas: Canvas, requests: Sequence[SampleRequest]) -> Values | None:
    """(N, B) attributes of images that are requested, NaN where one is not; None if the bundle takes none."""
    if not canvas.imaging:
        return None
    nothing = np.full(len(canvas.domain.image_attributes), np.nan, dtype=np.float32)
    return np.stack([nothing if request.imaging is None else request.imaging for request in requests])


def acquired_values(manifest: Manifest, domain: Domain, imaging: Values | None,
                    requests: Sequence[SampleRequest]) -> NDArray[np.float64] | None:
    """(N, V) values of the last graph that are requested, or are those of a given image that is painted anew; NaN where
    one is free. None without such a graph, or if all are free."""
    spec = manifest.acquisition
    if spec is None:
        return None
    values = _values_of_given(manifest, requests)
    if imaging is not None and NOISE_LEVEL in domain.image_attribute_names:
        levels = imaging[:, domain.image_attribute_names.index(NOISE_LEVEL)]
        values[:, 0] = np.where(np.isfinite(levels), levels, values[:, 0])
    return values if np.isfinite(values).any() else None


def _values_of_given(manifest: Manifest, requests: Sequence[SampleRequest]) -> NDArray[np.float64]:
    """(N, V) noise and resolution of the images that are painted anew, as far as they can be told, and no rim: what is
    painted must look as if the same scan had given it. NaN for requests without an image."""
    values = np.full((len(requests), len(VALUES)), np.nan)
    for row, request in enumerate(requests):
        image = None if request.painting is None else request.painting.image
        if image is not None:
            scan = estimate(image[:1])
            widths = 0.5 * np.array(manifest.image.spacing_mm[-2:]) / scan.cuts[0]
            values[row] = [scan.noise_level[0], *widths, 0, 0, 0, 0]
    return values


def told_of_images(canvas: Canvas, manifest: Manifest, imaging: Values, acquired: NDArray[np.float64] | None,
                   seed: int, indices: NDArray[np.int64]) -> Values:
    """The requests (N, B) as the conditions' encoders take them. An encoder of ratios to the noise is told the level
    that the last graph applies. acquired: as `acquired_values` gives them."""
    told = NOISE_LEVEL in canvas.attributes
    return with_drawn_noise(manifest, canvas.domain, imaging, acquired, seed, indices) if told else imaging


def with_drawn_noise(manifest: Manifest, domain: Domain, imaging: Values, acquired: NDArray[np.float64] | None,
                     seed: int, indices: NDArray[np.int64]) -> Values:
    """The requests (N, B), with the noise level that each sample gets where none was requested. acquired: as
    `acquired_values` gives them."""
    spec = manifest.acquisition
    if spec is None or NOISE_LEVEL not in domain.image_attribute_names:
        return imaging
    drawn = spec.values[0].table.value(scan_numbers(manifest, spec.values[0].input, seed, indices))
    levels = drawn if acquired is None else np.where(np.isfinite(acquired[:, 0]), acquired[:, 0], drawn)
    filled = imaging.copy()
    filled[:, domain.image_attribute_names.index(NOISE_LEVEL)] = levels
    return filled
