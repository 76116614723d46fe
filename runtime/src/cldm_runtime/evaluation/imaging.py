"""Attributes of a file's images with its label maps, or with those of a segmentation."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..domains.domain import Domain
from ..domains.labels import LabelMap
from ..store import Dataset, are_attributes_stale, open_dataset, read_content
from .places import lacks_places


def takes_images(dataset: Dataset, domain: Domain) -> bool:
    """Whether the file's label maps and its domain define attributes of images."""
    return domain.measure_images is not None and "masks" in dataset


def wants_images(dataset: Dataset, domain: Domain) -> bool:
    """Whether the file holds such attributes, requested or measured."""
    return takes_images(dataset, domain) and ("image_requested" in dataset or "image_attributes" in dataset)


def file_wants_images(path: Path) -> bool:
    """`wants_images` of the file."""
    with open_dataset(path) as dataset:
        return wants_images(dataset, dataset.load_domain())


def lacks_images(path: Path) -> bool:
    """Whether the file holds requested attributes of images, and no measured ones."""
    with open_dataset(path) as dataset:
        return "image_attributes" not in dataset and wants_images(dataset, dataset.load_domain())


def must_measure_again(path: Path) -> bool:
    """Whether the file lacks attributes of images or places, or holds those of other images or label maps; reads all of
    it."""
    with open_dataset(path) as dataset:
        lacks = lacks_images(path) or lacks_places(dataset, dataset.load_domain())
        return lacks or are_attributes_stale(dataset, read_content(dataset))


def measured_images(dataset: Dataset, domain: Domain, labels: LabelMap, rows: slice) -> dict[str, NDArray[Any]]:
    """Attributes of the images of some rows with label maps (n, *spatial), and their reasons: columns for
    `DatasetWriter.append`."""
    assert domain.measure_images is not None  # as `takes_images` found
    measured = domain.measure_images(dataset.image_shares(rows), labels, dataset.spacing_mm)
    return {"image_attributes": measured.values, "image_reasons": measured.reasons}


def measured_with(dataset: Dataset, domain: Domain, labels: LabelMap, rows: slice) -> dict[str, NDArray[Any]]:
    """The same for label maps of a segmentation: columns for `SegmentationWriter.append`."""
    values = measured_images(dataset, domain, labels, rows)
    return {"image_attributes": values["image_attributes"], "image_attribute_reasons": values["image_reasons"]}
