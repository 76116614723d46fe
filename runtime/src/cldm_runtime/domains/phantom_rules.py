"""How a domain draws a whole cohort of phantoms: volumes with label maps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class DrawnVolume:
    """image (Z, H, W), or (C, Z, H, W) of several channels, float32; labels (Z, H, W) uint8; spacing (z, y, x) in mm.
    A stack begins with the first of `StackRules.ends`. true_labels (Z, H, W) uint8: the truth, where a reader drew the
    labels; None: the labels are the truth."""

    image: NDArray[np.float32]
    labels: NDArray[np.uint8]
    spacing_mm: tuple[float, float, float]
    true_labels: NDArray[np.uint8] | None = None

    @property
    def truth(self) -> NDArray[np.uint8] | None:
        """The truth where a reader drew other labels, else None."""
        same = self.true_labels is None or np.array_equal(self.true_labels, self.labels)
        return None if same else self.true_labels


class DrawVolume(Protocol):
    def __call__(self, seed: int, patient: int, subset: str) -> DrawnVolume:
        """The volume of one patient, numbered from 0 within the subset: a pure function of the arguments."""


class WithShape(Protocol):
    def __call__(self, shape: Sequence[int]) -> "PhantomRules":
        """The same phantom on another number of voxels (z, y, x). Raises ValueError that says what is expected."""


class RerenderSlices(Protocol):
    def __call__(self, seed: int, patient: int, subset: str, repeat: int, slices: Sequence[int]) -> NDArray[np.float32]:
        """These slices of the volume of `DrawVolume`, with its labels and all else drawn anew from what the labels
        leave open: images (n, H, W), or (C, n, H, W). A pure function of the arguments; repeats are numbered from 0,
        and none of them is the volume itself. The slices of one repeat belong to one acquisition."""


@dataclass(frozen=True)
class PhantomRules:
    """patients: subset -> default number of patients. tests: the subsets that are for testing only. title,
    description, channels: texts for the cohort's dataset.json. rerender: None if the domain cannot draw other images
    for the label maps of a volume. collection: of BraTS, such as "GLI", whose folders and names the cohort has; "": the
    cohort is an nnU-Net raw dataset. with_shape: None if the volumes have the size that they have.
    """

    draw: DrawVolume
    patients: Mapping[str, int]
    tests: tuple[str, ...]
    title: str
    description: str
    channels: tuple[str, ...]
    rerender: RerenderSlices | None = None
    collection: str = ""
    with_shape: WithShape | None = None
