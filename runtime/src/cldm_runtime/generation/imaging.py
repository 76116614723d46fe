"""Attributes of images that are requested of a bundle, and the noise level that its last graph draws."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..bundle.acquisition_spec import NOISE_LEVEL
from ..bundle.manifest import Manifest
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


def requested_noise(manifest: Manifest, domain: Domain, imaging: Values | None) -> Values | None:
    """(N,) noise levels requested of the last graph, NaN where none is; None if it does not take them."""
    if imaging is None or manifest.acquisition is None or NOISE_LEVEL not in domain.image_attribute_names:
        return None
    return imaging[:, domain.image_attribute_names.index(NOISE_LEVEL)]


def with_drawn_noise(manifest: Manifest, domain: Domain, imaging: Values, seed: int,
                     indices: NDArray[np.int64]) -> Values:
    """The requests (N, B), with the noise level that each sample gets where none was requested."""
    levels, spec = requested_noise(manifest, domain, imaging), manifest.acquisition
    if levels is None or spec is None:
        return imaging
    drawn = spec.values[0].table.value(scan_numbers(manifest, spec.values[0].input, seed, indices))
    filled = imaging.copy()
    filled[:, domain.image_attribute_names.index(NOISE_LEVEL)] = np.where(np.isfinite(levels), levels, drawn)
    return filled
