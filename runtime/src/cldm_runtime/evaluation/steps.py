"""The single steps of an evaluation, each over a whole dataset file. Memory does not grow with the file.

    segment_dataset("samples.h5", Segmenter.load("exported/lge-segmenter"))
    measure_dataset("samples.h5")

Results go into the dataset file, under /segmentations/<name>; the file is replaced only when a step has finished.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..domains.attributes import Measurement, Reason
from ..domains.domain import Domain
from ..domains.free_classes import KEPT_CLASSES, is_region_known, kept_of, without_unknown
from ..domains.labels import LabelMap
from ..domains.places import measured_places
from ..errors import DatasetError
from ..metrics.overlap import DEFINITION
from ..runs.run import Progress
from ..segmentation.segmenter import BATCH_SIZE
from ..store import (
    DERIVED_FROM,
    IMAGE_ATTRIBUTES_FROM,
    IMAGES,
    MASK_ATTRIBUTES_FROM,
    MASKS,
    Dataset,
    MeasurementsDigest,
    edit_dataset,
    open_dataset,
    read_content,
)
from .fresh import is_of_these_images, measured_record, refuse_other_images
from .imaging import measured_images, measured_with, takes_images, wants_images
from .scoring import score_labels, without_free
from .segmenters.interface import LACKS, AnySegmenter, drawn_names, segmented_columns
from .stand_in import StandIn, no_record

Path = str | os.PathLike[str]


def no_progress(done: int, total: int) -> None:
    """Reports nothing."""


def is_segmented(path: Path, segmenter: AnySegmenter, mirror: bool | None = None) -> bool:
    """Whether the file holds a segmentation of its images by this segmenter, with the same settings."""
    if not is_by_this_segmenter(path, segmenter, mirror):
        return False
    with open_dataset(path) as dataset:
        return is_of_these_images(dataset, segmenter.name, read_content(dataset))


def is_by_this_segmenter(path: Path, segmenter: AnySegmenter, mirror: bool | None = None) -> bool:
    """Whether the file holds a segmentation by this segmenter, of its images or of others."""
    with open_dataset(path) as dataset:
        segmentation = dataset.segmentations.get(segmenter.name)
        return segmentation is not None and "masks" in segmentation and segmenter.made(segmentation.metadata, mirror)


def segment_dataset(path: Path, segmenter: AnySegmenter, *, batch_size: int = BATCH_SIZE, mirror: bool | None = None,
                    overwrite: bool = False, progress: Progress = no_progress) -> None:
    """Write /segmentations/<segmenter.name>/masks.

    Raises DatasetError if it exists and `overwrite` is false, InputError if file and segmenter do not fit.
    """
    with open_dataset(path) as dataset:
        segmenter.check_fit(dataset)
    if not overwrite:
        refuse_other_segmentation(path, segmenter)
    with edit_dataset(path, replace=[f"segmentations/{segmenter.name}"]) as editor, open_dataset(path) as dataset:
        made = read_content(dataset).only(IMAGES)
        writer = editor.segmentation(segmenter.name, {**described_source(dataset, segmenter, mirror),
                                                      DERIVED_FROM: made.text()})
        for chunk in _chunks(len(dataset), min(segmenter.images_at_once(batch_size), dataset.rows_at_once)):
            writer.append(**segmented_columns(segmenter, dataset, chunk, batch_size, mirror),
                          channel_names=drawn_names(segmenter))
            progress(chunk.stop, len(dataset))


def measure_dataset(path: Path, *, masks: bool = True, segmentations: Sequence[str] | None = None,
                    images: bool | None = None, free_from: str | None = None,
                    progress: Progress = no_progress) -> None:
    """Measure attributes of /masks (`masks`) and of the named segmentations (None: all), and score those on the
    reference. free_from: a segmentation, whose label maps stand in where an attribute of /masks depends on a free
    class; without, it is NaN there.

    images: also measure attributes of the images with these label maps, where the domain has some; None: if the file
    holds some, requested or measured. Earlier measurements are replaced. Raises DatasetError for a segmentation that
    the file lacks or that is of other images, and if there is nothing to measure.
    """
    with open_dataset(path) as dataset:
        names = list(dataset.segmentations) if segmentations is None else list(segmentations)
        content = read_content(dataset)
        for name in names:
            refuse_other_images(dataset, name, content)
        masks = masks and "masks" in dataset
        domain, stand_in = dataset.load_domain(), None
        if free_from is not None:
            stand_in = StandIn.of(dataset, free_from)
            refuse_other_images(dataset, free_from, content)
        images = wants_images(dataset, domain) if images is None else images and takes_images(dataset, domain)
        total = len(dataset) * (len(names) + masks)
    if total == 0:
        raise DatasetError(f"{path}: holds neither masks nor segmentations. Run cldm segment first.")
    replaced = [f"segmentations/{name}/{column}" for name in names
                for column in ("attributes", "attribute_reasons", "image_attributes", "image_attribute_reasons",
                               "place", "place_reasons", "scores", "score_reasons")]
    replaced += ["attributes/mask", "attributes/mask_reasons", "attributes/image", "attributes/image_reasons",
                 "attributes/place", "attributes/place_reasons"] if masks else []
    done = 0
    with edit_dataset(path, replace=replaced) as editor, open_dataset(path) as dataset:
        if masks:
            editor.set_metadata({MASK_ATTRIBUTES_FROM: content.only(MASKS).text(),
                                 **(no_record(dataset) if stand_in is None else stand_in.record(dataset)),
                                 **({IMAGE_ATTRIBUTES_FROM: content.only(IMAGES, MASKS).text()} if images else {})})
            for rows in _chunks(len(dataset), dataset.rows_at_once):
                editor.append(**measured_masks(dataset, domain, rows, images=images, stand_in=stand_in))
                progress(done := done + rows.stop - rows.start, total)
        for name in names:
            writer, digest = editor.segmentation(name, {"metric_definition": DEFINITION}), MeasurementsDigest()
            segmentation = dataset.segmentation(name)
            for rows in _chunks(len(dataset), dataset.rows_at_once):
                columns = measured_labels(dataset, domain, segmentation.masks(rows), rows, name, images=images)
                writer.append(**columns)
                digest.add(columns)
                progress(done := done + rows.stop - rows.start, total)
            made = measured_record(dataset, name, content, digest.hexdigest())
            editor.segmentation(name, {DERIVED_FROM: made.text()})


def measured_masks(dataset: Dataset, domain: Domain, rows: slice, *, images: bool = False,
                   stand_in: StandIn | None = None) -> dict[str, NDArray[Any]]:
    """Attributes of /masks and their reasons, places of lesions, and attributes of `images` with them: columns for
    `DatasetWriter.append`."""
    masks = _checked(dataset.masks(rows), domain, f"{dataset.path}: /masks")
    merged = _keep_recorded(domain.measure(masks, dataset.spacing_mm), _of_rows(dataset.mask_attributes, rows))
    values, reasons = merged.values, merged.reasons
    if (kept := kept_of(dataset.metadata.get(KEPT_CLASSES), domain.labels)) is not None:
        values, reasons = without_unknown(values, reasons, kept, domain)
    places = measured_places(domain, masks, values, _of_rows(dataset.place_requested, rows), kept)
    if stand_in is not None:
        values, reasons = stand_in.put_in(values, reasons, dataset, domain, rows)
    return {"mask_attributes": values, "mask_reasons": reasons, **places,
            **(measured_images(dataset, domain, masks, rows) if images else {})}


def measured_labels(dataset: Dataset, domain: Domain, labels: LabelMap, rows: slice, name: str, *,
                    images: bool = False) -> dict[str, Any]:
    """Attributes of the label maps of a segmentation, places of lesions, attributes of `images` with them and, if the
    file has /masks, their scores against the reference (`Dataset.reference`): columns for `SegmentationWriter.append`.
    """
    measured = domain.measure(_checked(labels, domain, f"{dataset.path}: /segmentations/{name}/masks"),
                              dataset.spacing_mm)
    known = dataset.requested if dataset.mask_attributes is None else dataset.mask_attributes
    columns: dict[str, Any] = {"attributes": measured.values, "attribute_reasons": measured.reasons,
                               **measured_places(domain, labels, _of_rows(known, rows),
                                                 _of_rows(dataset.place_requested, rows)),
                               **(measured_with(dataset, domain, labels, rows) if images else {})}
    if "masks" in dataset:
        reference = _checked(dataset.reference(rows), domain, f"{dataset.path}: /masks")
        scores = score_labels(labels, reference, domain, dataset.spacing_mm)
        if (kept := kept_of(dataset.metadata.get(KEPT_CLASSES), domain.labels)) is not None:
            scores = without_free(scores, [region for region in domain.labels.regions
                                           if not is_region_known(region, kept, domain.labels)])
        columns |= {"scores": scores.values, "score_reasons": scores.reasons, "score_names": scores.names,
                    "score_units": scores.units}
    return columns


def _of_rows(values: NDArray[np.float32] | None, rows: slice) -> NDArray[np.float32] | None:
    return None if values is None else values[rows]


def _keep_recorded(measured: Measurement, recorded: NDArray[np.float32] | None) -> Measurement:
    """The measurement, with the file's values for attributes that one slice cannot give, such as its position in the
    stack."""
    if recorded is None:
        return measured
    keep = (measured.reasons == Reason.NEEDS_STACK) & np.isfinite(recorded)
    return Measurement(measured.names, np.where(keep, recorded, measured.values),
                       np.where(keep, np.uint8(Reason.MEASURED), measured.reasons))


def _checked(labels: LabelMap, domain: Domain, where: str) -> LabelMap:
    domain.labels.check(labels, where)
    return labels


def described_source(dataset: Dataset, segmenter: AnySegmenter, mirror: bool | None) -> dict[str, str | int | float]:
    """The metadata of a segmentation: what it depends on, and the regions that the segmenter has no label for."""
    lacks = segmenter.lacking_regions(dataset)
    return segmenter.source(mirror) | ({LACKS: ", ".join(lacks)} if lacks else {})


def refuse_other_segmentation(path: Path, segmenter: AnySegmenter) -> None:
    """Raises DatasetError if the file holds a segmentation of that name."""
    with open_dataset(path) as dataset:
        if segmenter.name in dataset.segmentations:
            raise DatasetError(f"{path}: has a segmentation {segmenter.name!r} already, perhaps by another "
                               "segmenter, with other settings or of other images. Pass --overwrite to replace it.")


def _chunks(count: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, count)) for start in range(0, count, size))
