"""What the segmenter finds in a set of slices, kept by what it was derived from."""

import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cldm_runtime.cli.progress import show_progress
from cldm_runtime.domains.labels import LabelMap
from cldm_runtime.files.atomic import write_bytes
from cldm_runtime.files.derived import Derivation
from cldm_runtime.files.npz import npz_bytes, read_npz
from cldm_runtime.segmentation.segmenter import Segmenter
from cldm_runtime.store import open_dataset

from ..validity.outcomes import SliceOutcomes, Truth, compare
from ..validity.sets import BATCH, Say, SegmentedSet


@dataclass(frozen=True)
class SegmentedSlices:
    """A set and the label maps (N, *spatial) that the segmenter finds in its images."""

    slices: SegmentedSet
    found: LabelMap

    @property
    def truth(self) -> Truth:
        return self.slices.truth

    @property
    def masks(self) -> LabelMap:
        """(N, *spatial) the label maps that the images were made from, or the cohort's own."""
        assert self.truth.masks is not None  # generators without outlines are refused
        return self.truth.masks

    @cached_property
    def outcomes(self) -> SliceOutcomes:
        """What is found, against the set's own label maps."""
        return compare(self.found, self.truth)

    def images(self) -> NDArray[np.float32]:
        with open_dataset(self.slices.path) as dataset:
            return dataset.images(self.slices.rows)


def segmented(chosen: SegmentedSet, segmenter: Segmenter, folder: Path, say: Say) -> SegmentedSlices:
    """The set with the segmenter's label maps; those of an earlier call are used again."""
    made = Derivation({"set": chosen.origin, "segmenter": segmenter.bundle.manifest_sha256}, {})
    path = folder / f"{made.sha256[:24]}.npz"
    if path.exists():
        return SegmentedSlices(chosen, read_npz(path.read_bytes(), str(path))["found"])
    say(f"{chosen.name}: segmenting ...")
    parts = []
    with open_dataset(chosen.path) as dataset, show_progress("segmenting", 0, sys.stderr, brief=True) as progress:
        for start in range(0, len(chosen.rows), BATCH):
            images = dataset.images(chosen.rows[start:start + BATCH])
            parts.append(segmenter.segment(images, dataset.spacing_mm))
            progress(min(start + BATCH, len(chosen.rows)), len(chosen.rows))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, npz_bytes({"found": np.concatenate(parts)}))
    return SegmentedSlices(chosen, np.concatenate(parts))
