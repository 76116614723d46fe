"""What the images of a bundle are made from, and which attributes of images can be requested of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..domains.domain import Domain
from ..noise import Purpose, Stream
from .grid import GridRow


@dataclass(frozen=True)
class Canvas:
    """The grid that label maps are rendered on, and what the bundle's images are conditioned on.

    table: (rows, A) joint attributes in the domain's order, from which attributes that a request leaves out are
    sampled; None: they are sampled from the domain's own prior. maps: whether images are conditioned on label maps; if
    not, no map is sampled and a request may name only `attributes`. attributes: names of the attributes that images are
    conditioned on, with or without maps. imaging: attributes of images with their label maps that can be requested, and
    their ranges. image_table: (rows, B) their values in the rows of `table`, from which those that are conditions are
    sampled where a request leaves them out.
    """

    domain: Domain
    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    table: NDArray[np.float64] | None = None
    maps: bool = True
    attributes: tuple[str, ...] = ()
    imaging: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    image_table: NDArray[np.float64] | None = None

    def only_conditions(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """(A,) attributes of a request; those that the image is not conditioned on become NaN."""
        if self.maps:
            return values
        is_condition = [name in self.attributes for name in self.domain.attribute_names]
        return np.where(is_condition, values, np.float32(np.nan))


def untaken(row: GridRow, canvas: Canvas) -> list[str]:
    """A fault for each requested attribute that images are not conditioned on."""
    taken = canvas.attributes
    unknown = [] if canvas.maps else [f"{name} is not a condition of this bundle. It takes: {', '.join(taken)}"
                                      for name in row.request if name not in taken]
    return [*unknown, *untaken_of_images(row, canvas)]


def untaken_of_images(row: GridRow, canvas: Canvas) -> list[str]:
    """A fault for each requested attribute of images that the bundle does not take, or not in this size."""
    faults = []
    for name, value in row.imaging.items():
        if name not in canvas.imaging:
            faults.append(f"{name} cannot be requested of this bundle: it was not made for it. Leave the column out, "
                          "or use a bundle that takes it (cldm inspect). Of what is measured on images this one takes: "
                          f"{', '.join(canvas.imaging) or 'nothing'}")
        elif not canvas.imaging[name][0] <= value <= canvas.imaging[name][1]:
            low, high = canvas.imaging[name]
            faults.append(f"line {row.line}: {name} = {value:g} is outside {low:g}..{high:g}, the range of this bundle")
    return faults


def imaging_of(row: GridRow, values: NDArray[np.float32], canvas: Canvas, seed: int,
               index: int) -> NDArray[np.float32] | None:
    """(B,) attributes of the image of sample `index`: those that the row requests; those that are conditions and that
    it leaves out, from a random row of the training data, with a lesion or without as in `values` (A,)."""
    domain, imaging = canvas.domain, canvas.imaging
    if not imaging:
        return None
    chosen = np.array([row.imaging.get(name, np.nan) for name in domain.image_attribute_names], dtype=np.float32)
    table, lesion = canvas.image_table, domain.lesion_size
    if table is None or canvas.table is None:
        return chosen
    rows = np.ones(len(table), dtype=bool)
    if lesion is not None:
        column = domain.attribute_names.index(lesion)
        rows = (canvas.table[:, column] > 0) == (values[column] > 0)
    if not rows.any():
        return chosen
    drawn = table[rows][Stream(seed, index, Purpose.CONDITION, 1).choice(np.ones(int(rows.sum())))]
    undefined = ~np.isfinite(table[rows]).any(axis=0)  # such as the contrast of a lesion that is not there
    is_condition = np.array([name in canvas.attributes for name in domain.image_attribute_names])
    chosen = np.where(is_condition & ~np.isfinite(chosen), _at_levels(drawn, chosen, domain), chosen)
    return np.where(is_condition & undefined, np.nan, chosen).astype(np.float32)


def _at_levels(drawn: NDArray[np.float64], requested: NDArray[np.float32], domain: Domain) -> NDArray[np.float64]:
    """(B,) attributes of one training image. Where the level is requested to which one of them is a ratio, that ratio
    changes, and what it is a ratio of stays: the same contrast in another noise."""
    names, scaled = domain.image_attribute_names, drawn.copy()
    for number, attribute in enumerate(domain.image_attributes):
        level = names.index(attribute.per) if attribute.per else None
        if level is not None and requested[level] > 0 and np.isfinite(drawn[level]):
            scaled[number] *= drawn[level] / requested[level]
    return scaled
