"""What a segmenter finds in place of attributes that depend on free classes, which no label map of the file tells.

The file says whose label maps stand in (`store.FREE_FROM`). A comparison of that segmenter with itself would mean
nothing, so its own figures go without them.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..domains.domain import Domain
from ..domains.free_classes import KEPT_CLASSES, kept_of, unknown_attributes
from ..errors import InputError
from ..store import FREE_FROM, FREE_MAPS, Dataset, label_maps_digest

Values = NDArray[np.float32]


@dataclass(frozen=True)
class StandIn:
    """The segmentation `name` of a file, for the attributes (A,) that are `unknown`."""

    name: str
    unknown: NDArray[np.bool_]

    @classmethod
    def of(cls, dataset: Dataset, name: str) -> Self:
        """Raises InputError for a file that leaves no class free, DatasetError for a segmentation that it lacks."""
        domain = dataset.load_domain()
        unknown = free_attributes(dataset, domain)
        if not unknown.any():
            raise InputError(f"{dataset.path}: no attribute of its masks depends on a free class, so nothing can stand "
                             "in. Repeat `cldm measure` without --free-from.")
        dataset.segmentation(name)
        return cls(name, unknown)

    def measured(self, dataset: Dataset, domain: Domain, rows: slice) -> tuple[Values, NDArray[np.uint8]]:
        """Attributes (n, A) of the segmentation's label maps, and their reasons."""
        found = domain.measure(dataset.segmentation(self.name).masks(rows), dataset.spacing_mm)
        return found.values, found.reasons

    def put_in(self, values: Values, reasons: NDArray[np.uint8], dataset: Dataset, domain: Domain,
               rows: slice) -> tuple[Values, NDArray[np.uint8]]:
        """Attributes of masks (n, A) and their reasons, with the segmentation's where they are unknown."""
        found, why = self.measured(dataset, domain, rows)
        return np.where(self.unknown, found, values), np.where(self.unknown, why, reasons)

    def record(self, dataset: Dataset) -> dict[str, str]:
        """Root attributes that say so."""
        return {FREE_FROM: self.name, FREE_MAPS: label_maps_digest(dataset, dataset.segmentation(self.name))}


def free_attributes(dataset: Dataset, domain: Domain) -> NDArray[np.bool_]:
    """(A,) whether each attribute depends on a class that the file's masks leave free."""
    kept = kept_of(dataset.metadata.get(KEPT_CLASSES), domain.labels)
    return np.zeros(len(domain.attributes), dtype=bool) if kept is None else unknown_attributes(kept, domain)


def no_record(dataset: Dataset) -> dict[str, str]:
    """Root attributes that say that nothing stands in, where the file says otherwise."""
    return {name: "" for name in (FREE_FROM, FREE_MAPS) if dataset.metadata.get(name)}


def mask_attributes_for(dataset: Dataset, name: str) -> Values | None:
    """Attributes of masks (N, A) to compare the segmentation `name` with: NaN where it stands in itself."""
    values = dataset.mask_attributes
    if values is None or dataset.metadata.get(FREE_FROM) != name:
        return values
    return np.where(free_attributes(dataset, dataset.load_domain()), np.float32(np.nan), values)


def stand_in_notes(dataset: Dataset, name: str) -> tuple[str, ...]:
    """That reference values are another segmenter's, where they are."""
    whose = dataset.metadata.get(FREE_FROM)
    if not whose or whose == name:
        return ()
    domain = dataset.load_domain()
    free = [attribute.name for attribute, unknown in zip(domain.attributes, free_attributes(dataset, domain),
                                                         strict=True) if unknown]
    return (f"the reference values of {', '.join(free)} are what {whose} finds: the images were made with these "
            "classes left free.",)
