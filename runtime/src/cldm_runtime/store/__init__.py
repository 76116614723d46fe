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
from .format import DatasetSpec, MetadataValue, chunk_rows
from .reader import Dataset, open_dataset
from .segmentation import Segmentation
from .writer import DatasetWriter, create_dataset, edit_dataset

__all__ = [
    "Dataset", "DatasetSpec", "DatasetWriter", "MetadataValue", "SampleFaults", "Segmentation", "SegmentationWriter",
    "check_samples", "chunk_rows", "create_dataset", "edit_dataset", "open_dataset",
    "sample_checksums",
]
