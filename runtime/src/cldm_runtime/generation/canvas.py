"""What a bundle says of the label maps and attributes that its images are made from."""

import numpy as np
from numpy.typing import NDArray

from ..bundle.manifest import Manifest
from ..bundle.sources import needed_attributes, needs_maps
from ..domains.domain import Domain
from ..requests.canvas import Canvas


def canvas_of(manifest: Manifest, domain: Domain) -> Canvas:
    """The grid of a bundle's label maps, and what its images are conditioned on."""
    return Canvas(domain, manifest.image.shape, manifest.image.spacing_mm, _attribute_table(manifest, domain),
                  needs_maps(manifest), needed_attributes(manifest), _imaging(manifest, domain),
                  _image_table(manifest, domain))


def _imaging(manifest: Manifest, domain: Domain) -> dict[str, tuple[float, float]]:
    """The attributes of images that can be requested of the bundle, and their ranges."""
    conditions = {spec.name: (spec.low, spec.high) for spec in manifest.attributes
                  if spec.name in needed_attributes(manifest) and spec.name in domain.image_attribute_names}
    applied = manifest.acquisition.requestable if manifest.acquisition else ()
    return conditions | {value.name: (value.low or 0.0, value.high or 0.0) for value in applied
                         if value.name in domain.image_attribute_names}


def _image_table(manifest: Manifest, domain: Domain) -> NDArray[np.float64] | None:
    """(rows, B) attributes of images of the training slices in the domain's order, NaN for those that are not stated;
    None if none is."""
    stated, names = manifest.attribute_distribution, domain.image_attribute_names
    if stated is None or not set(names) & set(stated.columns):
        return None
    order = [stated.columns.index(name) if name in stated.columns else None for name in names]
    return np.array([[np.nan if i is None or row[i] is None else row[i] for i in order] for row in stated.rows],
                    dtype=np.float64)


def _attribute_table(manifest: Manifest, domain: Domain) -> NDArray[np.float64] | None:
    """(rows, A) attributes of training slices in the domain's order, if the bundle states all of them."""
    stated = manifest.attribute_distribution
    if stated is None or not set(domain.attribute_names) <= set(stated.columns):
        return None
    order = [stated.columns.index(name) for name in domain.attribute_names]
    return np.array([[np.nan if row[i] is None else row[i] for i in order] for row in stated.rows], dtype=np.float64)
