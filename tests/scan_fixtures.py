"""Domains of two labels without rules for stacks, and raw datasets whose voxels are numbers that one can follow."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cldm_runtime.domains.attributes import Attribute, Measurement
from cldm_runtime.domains.domain import Domain
from cldm_runtime.domains.labels import LabelSet
from cldm_runtime.files.atomic import write_json
from cldm_runtime.scans.nnunet_raw import write_nifti

LABELS = LabelSet(("background", "organ"), {"organ": (1,)}, ((0, 0, 0), (255, 0, 0)))
VOLUME = Attribute("volume", "mm3", 0.0, 1e6, 1.0, "volume of the organ")


def measure_organ(labels: NDArray[np.uint8], spacing_mm: tuple[float, ...] | None = None) -> Measurement:
    """How many mm2 or mm3 the organ has."""
    counts = np.count_nonzero(labels, axis=tuple(range(1, labels.ndim)))
    values = (counts * np.prod(spacing_mm or (1.0,))).astype(np.float32)[:, None]
    return Measurement(("volume",), values, np.zeros(values.shape, np.uint8))


def organ_domain(axes: int) -> Domain:
    return Domain("organ", LABELS, (VOLUME,), measure_organ, axes=axes)


def write_case(folder: Path, name: str, images: Sequence[NDArray[np.generic]], labels: NDArray[np.generic],
               spacing_mm: tuple[float, float, float], part: str = "Tr") -> None:
    """A case of one file for each channel, (Z, H, W), and its label map."""
    for kind in ("images", "labels"):
        (folder / f"{kind}{part}").mkdir(parents=True, exist_ok=True)
    for channel, image in enumerate(images):
        write_nifti(folder / f"images{part}" / f"{name}_{channel:04d}.nii.gz", image.astype(np.float32), spacing_mm)
    write_nifti(folder / f"labels{part}" / f"{name}.nii.gz", labels.astype(np.uint8), spacing_mm)


def describe(folder: Path, channels: int = 1, **more: object) -> Path:
    """Write dataset.json for the labels of `organ_domain`."""
    write_json(folder / "dataset.json", {"channel_names": {str(i): f"c{i}" for i in range(channels)},
                                         "labels": {"background": 0, "organ": 1}, "file_ending": ".nii.gz", **more})
    return folder
