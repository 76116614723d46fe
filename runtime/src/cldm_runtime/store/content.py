"""Digests of what a dataset file holds now, whoever wrote it: of the rows, not of what the file says of itself.

Images are as stored, with the scale that gives them their meaning; text is UTF-8. Rows are read in blocks.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError
from ..files.derived import Derivation
from ..files.digest import sha256_of_bytes
from .check import sample_checksums
from .format import DERIVED_FROM, SEGMENTATION_COLUMNS
from .reader import Dataset
from .segmentation import Segmentation

MASK_ATTRIBUTES_FROM = f"mask_attributes_{DERIVED_FROM}"  # root attribute: what /attributes/mask was measured on
IMAGE_ATTRIBUTES_FROM = f"image_attributes_{DERIVED_FROM}"  # root attribute: what /attributes/image was measured on
FREE_FROM = "free_classes_from"  # root attribute: the segmentation that free classes are measured on, if any
FREE_MAPS = "free_classes_label_maps"  # root attribute: `label_maps_digest` of that segmentation then
IMAGES, MASKS, ANNOTATIONS = "images", "masks", "annotations"  # sources
LABEL_MAPS, MEASUREMENTS = "label maps", "measurements"  # sources, of a segmentation; the last: attributes and scores
_MEASURED = ("attributes", "attribute_reasons", "image_attributes", "image_attribute_reasons", "place",
             "place_reasons", "scores", "score_reasons")
_COHORT_COLUMNS = ("mask_attributes", "patients", "slices", "subset")  # that trainings read, besides images and masks


class RowsDigest:
    """SHA-256 over rows that come in blocks; equal for equal rows, however they are cut."""

    def __init__(self) -> None:
        self._digest, self._row = hashlib.sha256(), ""

    def add(self, rows: NDArray[np.generic]) -> None:
        """rows (n, ...): of one type and shape each time."""
        self._row = f"{rows.dtype.str}{rows.shape[1:]}"
        self._digest.update(np.ascontiguousarray(rows).data)

    def hexdigest(self, *more: object) -> str:
        """Of all rows, and of what gives them their meaning."""
        whole = self._digest.copy()
        whole.update(repr((self._row, *more)).encode())
        return whole.hexdigest()


class MeasurementsDigest:
    """SHA-256 over the attributes and scores of a segmentation, which come in blocks of rows."""

    def __init__(self) -> None:
        self._columns: dict[str, RowsDigest] = {}

    def add(self, columns: Mapping[str, Any]) -> None:
        """Columns as of `SegmentationWriter.append`; label maps and names are passed over."""
        for name in _MEASURED:
            if name in columns:
                rows = np.asarray(columns[name]).astype(SEGMENTATION_COLUMNS[name].dtype)
                self._columns.setdefault(name, RowsDigest()).add(rows)

    def hexdigest(self) -> str:
        return Derivation({name: digest.hexdigest() for name, digest in self._columns.items()}).sha256


@dataclass(frozen=True)
class Content:
    """What a file holds now: images, masks and annotations, where it has them, and the spacing. checksums: (N,) as
    `row_checksums`. is_as_generated: whether they are those of the file's /checksum; None where it has none."""

    derivation: Derivation
    checksums: NDArray[np.uint32]
    is_as_generated: bool | None

    def only(self, *sources: str) -> Derivation:
        """Some of the sources, where they are there."""
        kept = {name: self.derivation.sources[name] for name in sources if name in self.derivation.sources}
        return Derivation(kept, self.derivation.settings)


def read_content(dataset: Dataset) -> Content:
    """Reads all images, masks and annotations once."""
    images, masks, annotations, stored = RowsDigest(), RowsDigest(), RowsDigest(), dataset.checksum
    has_masks, indices, checksums = "masks" in dataset, _indices(dataset), [np.empty(0, np.uint32)]
    for rows in _blocks(dataset):
        pixels, labels = dataset.stored_images(rows), dataset.masks(rows) if has_masks else None
        images.add(pixels)
        if labels is not None:
            masks.add(labels)
        if "annotations" in dataset:
            annotations.add(dataset.annotations(rows))
        checksums.append(sample_checksums(pixels, labels, indices[rows]))
    every = np.concatenate(checksums)
    sources = {IMAGES: images.hexdigest(*dataset.rescale)} | ({MASKS: masks.hexdigest()} if has_masks else {})
    sources |= {ANNOTATIONS: annotations.hexdigest()} if "annotations" in dataset else {}
    return Content(Derivation(sources, {"spacing_mm": list(dataset.spacing_mm)}),
                   every, None if stored is None else np.array_equal(every, stored))


def row_checksums(dataset: Dataset, rows: slice) -> NDArray[np.uint32]:
    """(n,) checksums of what some rows hold now, as a generated file has them in /checksum."""
    masks = dataset.masks(rows) if "masks" in dataset else None
    return sample_checksums(dataset.stored_images(rows), masks, _indices(dataset)[rows])


def samples_digest(dataset: Dataset) -> str:
    """SHA-256 of the checksums of all samples; they are computed if the file does not store them, as in a cohort."""
    stored, digest = dataset.checksum, hashlib.sha256()
    for rows in _blocks(dataset):
        digest.update((row_checksums(dataset, rows) if stored is None else stored[rows]).tobytes())
    return digest.hexdigest()


def _indices(dataset: Dataset) -> NDArray[np.int64]:
    """(N,) of the samples; of a cohort, its rows."""
    stored = dataset.sample_index
    return np.arange(len(dataset)) if stored is None else stored


def label_maps_digest(dataset: Dataset, segmentation: Segmentation) -> str:
    """Of the label maps that a segmenter predicted."""
    digest = RowsDigest()
    for rows in _blocks(dataset):
        digest.add(segmentation.masks(rows))
    return digest.hexdigest()


def measurements_digest(segmentation: Segmentation) -> str:
    """Of the attributes and scores that the file holds of a segmentation."""
    digest = MeasurementsDigest()
    digest.add({name: getattr(segmentation, name) for name in _MEASURED if name in segmentation})
    return digest.hexdigest()


def references_digests(dataset: Dataset) -> dict[str, str]:
    """Of the attributes that a report compares measurements with: column -> SHA-256."""
    compared = ("requested", "image_requested", "mask_attributes", "image_attributes", "place_requested", "place")
    return {name: sha256_of_bytes(getattr(dataset, name).tobytes()) for name in compared if name in dataset}


def cohort_digest(dataset: Dataset) -> str:
    """SHA-256 of all that a training may learn from a cohort; what was segmented or measured on that since is left out.

    Raises DatasetError where the attributes were measured on other label maps than the file holds.
    """
    content, columns = read_content(dataset), {}
    if are_mask_attributes_stale(dataset, content):
        raise DatasetError(f"{dataset.path}: /attributes/mask was measured on other label maps than /masks holds now. "
                           f"Run `cldm measure {dataset.path}`.")
    for name in _COHORT_COLUMNS:
        if name in dataset:
            values = getattr(dataset, name)
            text = values.dtype.kind == "U"
            columns[name] = sha256_of_bytes(json.dumps(values.tolist()).encode() if text else values.tobytes())
    settings = {**content.derivation.settings, "domain": dataset.domain, "labels": list(dataset.label_names),
                "nature": dataset.nature}
    whole = Derivation({**content.derivation.sources, **columns}, settings)
    return whole.sha256


def are_mask_attributes_stale(dataset: Dataset, content: Content) -> bool:
    """Whether /attributes/mask is known to be of other label maps. Files of earlier versions, and of others, may not
    say what it was measured on; of a generated one the checksums tell."""
    if "mask_attributes" not in dataset or "masks" not in dataset:
        return False
    made = _mask_attributes_record(dataset)
    changed = content.is_as_generated is False if made is None else made != content.only(MASKS)
    return changed or _is_stand_in_stale(dataset)


def _is_stand_in_stale(dataset: Dataset) -> bool:
    """Whether the segmentation that free classes were measured on is gone, or has other label maps now."""
    name = str(dataset.metadata.get(FREE_FROM, ""))
    if not name:
        return False
    found = dataset.segmentations.get(name)
    return found is None or label_maps_digest(dataset, found) != dataset.metadata.get(FREE_MAPS)


def are_attributes_stale(dataset: Dataset, content: Content) -> bool:
    """Whether /attributes/mask or /attributes/image is of other images or label maps."""
    return are_mask_attributes_stale(dataset, content) or are_image_attributes_stale(dataset, content)


def are_image_attributes_stale(dataset: Dataset, content: Content) -> bool:
    """Whether /attributes/image is of other images or label maps than the file holds."""
    if "image_attributes" not in dataset:
        return False
    made = Derivation.read(str(dataset.metadata.get(IMAGE_ATTRIBUTES_FROM, "")))
    return made != content.only(IMAGES, MASKS)


def is_origin_of_mask_attributes_known(dataset: Dataset) -> bool:
    """Whether the file says which label maps /attributes/mask was measured on, by a record or by checksums; also where
    it does not hold both."""
    both = "mask_attributes" in dataset and "masks" in dataset
    return not both or _mask_attributes_record(dataset) is not None or dataset.checksum is not None


def _mask_attributes_record(dataset: Dataset) -> Derivation | None:
    return Derivation.read(str(dataset.metadata.get(MASK_ATTRIBUTES_FROM, "")))


def _blocks(dataset: Dataset) -> Iterator[slice]:
    at_once = dataset.rows_at_once
    return (slice(start, min(start + at_once, len(dataset))) for start in range(0, len(dataset), at_once))
