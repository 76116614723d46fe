"""What a bundle says of the label maps and attributes that its images are made from."""

import numpy as np
from numpy.typing import NDArray

from ..bundle.manifest import Manifest
from ..bundle.sources import needed_attributes, needs_maps
from ..domains.domain import Domain
from ..requests.sources import Canvas


def canvas_of(manifest: Manifest, domain: Domain) -> Canvas:
    """The grid of a bundle's label maps, and what its images are conditioned on."""
    return Canvas(domain, manifest.image.shape, manifest.image.spacing_mm, _attribute_table(manifest, domain),
                  needs_maps(manifest), needed_attributes(manifest))


def _attribute_table(manifest: Manifest, domain: Domain) -> NDArray[np.float64] | None:
    """(rows, A) attributes of training slices in the domain's order, if the bundle states all of them."""
    stated = manifest.attribute_distribution
    if stated is None or not set(domain.attribute_names) <= set(stated.columns):
        return None
    order = [stated.columns.index(name) for name in domain.attribute_names]
    return np.array([[np.nan if row[i] is None else row[i] for i in order] for row in stated.rows], dtype=np.float64)
