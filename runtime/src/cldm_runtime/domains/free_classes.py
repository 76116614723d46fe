"""Classes of a label map that are left free: a network may draw them where and as it likes, or not at all.

A free class is closed: the class around it (`LabelSet.within`) stands in its place, or that one's, if it is free too,
and at last the background. So the map does not tell where the free class was: an infarct that is free becomes healthy
myocardium. What depends on a free class is unknown.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .attributes import LABELLED, Attribute, Reason
from .domain import Domain
from .labels import LabelMap, LabelSet

Kept = NDArray[np.bool_]
"""(K,) whether each label is kept. The background always is."""
SEPARATOR = ","  # between names of classes, on the command line and in files
KEPT_CLASSES = "kept_classes"  # root attribute of a dataset, and in the identity of requests


def kept_classes(names: Sequence[str], labels: LabelSet) -> Kept:
    """The labels of these names, and the background. Raises InputError for unknown names."""
    unknown = [name for name in names if name not in labels.names]
    if unknown:
        raise InputError(f"classes to keep: {', '.join(map(repr, unknown))} unknown. Known: "
                         f"{', '.join(labels.names[1:])}.")
    return np.array([value == 0 or name in names for value, name in enumerate(labels.names)])


def names_of(kept: Kept, labels: LabelSet) -> str:
    """The names of the kept classes without the background, in the order of the labels."""
    return SEPARATOR.join(name for value, name in enumerate(labels.names) if value and kept[value])


def split_names(text: str | None) -> list[str] | None:
    """The names in a text that separates them; None for None."""
    return None if text is None else [name.strip() for name in text.split(SEPARATOR) if name.strip()]


def kept_of(text: object, labels: LabelSet) -> Kept | None:
    """The classes that a file says were kept, as `names_of` writes them; None where it says nothing."""
    names = split_names(text) if isinstance(text, str) else None
    return None if names is None else kept_classes(names, labels)


def closing(kept: Kept, labels: LabelSet) -> LabelMap:
    """(K,) label value -> the kept one that stands in its place."""
    targets = np.zeros(len(labels), dtype=np.uint8)
    for value in range(len(labels)):
        target = value
        while target and not kept[target]:
            target = labels.within.get(target, 0)
        targets[value] = target
    return targets


def closed(masks: LabelMap, kept: Kept, labels: LabelSet) -> LabelMap:
    """Label maps of any shape without the free classes."""
    found: LabelMap = closing(kept, labels)[masks]
    return found


def is_region_known(region: str, kept: Kept, labels: LabelSet) -> bool:
    """Whether closed maps tell exactly where a region is: no free class of it was closed by one outside, and none
    outside by one of it."""
    inside = set(range(1, len(labels))) if region == LABELLED else set(labels.regions[region])
    return all((value in inside) == (int(target) in inside) for value, target in enumerate(closing(kept, labels)))


def unknown_attributes(kept: Kept, domain: Domain, attributes: Sequence[Attribute] | None = None) -> NDArray[np.bool_]:
    """(A,) whether each attribute depends on a free class. attributes: None for those of the domain."""
    attributes = domain.attributes if attributes is None else attributes
    if kept.all():
        return np.zeros(len(attributes), dtype=bool)
    return np.array([attribute.regions is None or not all(is_region_known(region, kept, domain.labels)
                                                          for region in attribute.regions)
                     for attribute in attributes])


def without_unknown(values: NDArray[np.float32], reasons: NDArray[np.uint8], kept: Kept, domain: Domain,
                    attributes: Sequence[Attribute] | None = None) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Attributes (N, A) that were measured on closed maps, and their reasons; what depends on a free class is NaN."""
    unknown = unknown_attributes(kept, domain, attributes)
    return (np.where(unknown, np.float32(np.nan), values),
            np.where(unknown, np.uint8(Reason.FREE_CLASS), reasons))
