"""A folder of cases as a dataset, and its segmentation as NIfTI files on the grids of the cases."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, list_faults
from ..generation.ensemble import EnsembleSegmenter
from ..generation.placement import place
from ..runs.run import Progress
from ..scans.given_cases import GivenCase, GivenScan, find_given_cases, read_given_case, write_on_grid
from ..store import DatasetSpec, create_dataset, open_dataset

FILE = "cases.h5"


@dataclass(frozen=True)
class SegmentedCases:
    """The dataset `file` of the cases, a row for each in this order, and their affines."""

    file: Path
    segmentation: str
    cases: tuple[GivenCase, ...]
    affines: tuple[NDArray[np.float64], ...]

    def write(self) -> Path:
        """Write <case>-seg.nii.gz and <case>-variance.nii.gz beside the dataset, and return their folder."""
        folder = self.file.parent
        with open_dataset(self.file) as dataset:
            found = dataset.segmentation(self.segmentation)
            for row, (case, affine) in enumerate(zip(self.cases, self.affines, strict=True)):
                write_on_grid(folder / f"{case.name}-seg.nii.gz", found.masks(row), affine)
                write_on_grid(folder / f"{case.name}-variance.nii.gz", found.variance(row), affine)
        return folder


def segment_cases(folder: Path, segmenter: EnsembleSegmenter, out: Path | None, overwrite: bool,
                  progress: Progress) -> SegmentedCases:
    """Read and check all cases of a folder, and write their images to a dataset, which is then to be segmented.

    Raises InputError that lists every case which does not fit, before anything is written.
    """
    manifest = segmenter.bundle.manifest
    cases = find_given_cases(folder, manifest.image.channels)
    target = (out or folder.with_name(f"{folder.resolve().name}-segmented")) / FILE
    if target.exists() and not overwrite:
        raise InputError(f"{target}: already exists. Choose another --out, or pass --overwrite.")
    affines, faults = [], []
    for number, case in enumerate(cases):
        try:
            scan = read_given_case(case, manifest.image)
            place(scan.image, manifest.image.shape)
            affines.append((scan.affine, scan.image.shape[1:]))
        except InputError as error:
            where = f"case {case.name}: "
            faults.append(where + str(error).removeprefix(where))
        progress(number + 1, 2 * len(cases))
    shapes = {shape for _, shape in affines}
    if len(shapes) > 1:
        faults.append(f"the cases have {len(shapes)} shapes: {', '.join(map(str, sorted(shapes)))}. A dataset has one: "
                      "segment those of each shape by themselves")
    if faults:
        raise InputError(list_faults(f"{folder}: {len(faults)} fault(s). Nothing was written.", faults))
    target.parent.mkdir(parents=True, exist_ok=True)
    spec = DatasetSpec(segmenter.bundle.domain(), affines[0][1], manifest.image.spacing_mm, manifest.image.channels,
                       manifest.image.value_range, compress_images=True)
    with create_dataset(target, spec, overwrite=overwrite) as writer:
        for number, case in enumerate(cases):
            writer.append(images=_scan(case, segmenter).image[None])
            progress(len(cases) + number + 1, 2 * len(cases))
    return SegmentedCases(target, segmenter.name, tuple(cases), tuple(affine for affine, _ in affines))


def _scan(case: GivenCase, segmenter: EnsembleSegmenter) -> GivenScan:
    return read_given_case(case, segmenter.bundle.manifest.image)
