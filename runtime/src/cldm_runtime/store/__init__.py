"""The dataset format: one HDF5 layout for cohorts and generated images. Specification: docs/dataset-format.md.

    with create_dataset("out.h5", DatasetSpec(get_domain("lge"), (128, 128), (1.0, 1.0))) as writer:
        writer.append(images=images, masks=masks, patients=patients)     # any number of times, any batch length
    with open_dataset("out.h5") as dataset:
        images = dataset.images(slice(0, 16))                            # (16, 1, 128, 128) float32
    with edit_dataset("out.h5") as editor:
        editor.segmentation("nnunet").append(masks=segmented)            # the file changes only when the block ends
"""

from .check import SampleFaults, check_samples, sample_checksums
from .columns import SegmentationWriter
from .content import (
    ANNOTATIONS,
    FREE_FROM,
    FREE_MAPS,
    IMAGE_ATTRIBUTES_FROM,
    IMAGES,
    LABEL_MAPS,
    MASK_ATTRIBUTES_FROM,
    MASKS,
    MEASUREMENTS,
    Content,
    MeasurementsDigest,
    RowsDigest,
    are_attributes_stale,
    are_image_attributes_stale,
    are_mask_attributes_stale,
    cohort_digest,
    is_origin_of_mask_attributes_known,
    label_maps_digest,
    measurements_digest,
    read_content,
    references_digests,
    row_checksums,
    samples_digest,
)
from .filter_record import FILTER, FilterBin, FilterRecord, expected_samples, read_filter
from .format import DERIVED_FROM, DatasetSpec, MetadataValue, chunk_rows, stored_values
from .reader import Dataset, open_dataset
from .segmentation import Segmentation
from .writer import DatasetWriter, create_dataset, edit_dataset

__all__ = [
    "ANNOTATIONS", "DERIVED_FROM", "FILTER", "FREE_FROM", "FREE_MAPS", "IMAGES", "IMAGE_ATTRIBUTES_FROM", "LABEL_MAPS",
    "MASKS", "MASK_ATTRIBUTES_FROM", "MEASUREMENTS", "Content", "Dataset", "DatasetSpec", "DatasetWriter", "FilterBin",
    "FilterRecord", "MeasurementsDigest", "MetadataValue", "RowsDigest", "SampleFaults", "Segmentation",
    "SegmentationWriter", "are_attributes_stale", "are_image_attributes_stale", "are_mask_attributes_stale",
    "check_samples", "chunk_rows", "cohort_digest", "create_dataset", "edit_dataset", "expected_samples",
    "is_origin_of_mask_attributes_known", "label_maps_digest", "measurements_digest", "open_dataset", "read_content",
    "read_filter", "references_digests", "row_checksums", "sample_checksums",
    "samples_digest", "stored_values",
]
