"""How a domain draws a whole cohort of phantoms: volumes with label maps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


class DrawnVolume(Protocol):
    """image (Z, H, W), or (C, Z, H, W) of several channels, float32; labels (Z, H, W) uint8; spacing (z, y, x) in mm.
    A stack begins with the first of `StackRules.ends`."""

    @property
    def image(self) -> NDArray[np.float32]: ...

    @property
    def labels(self) -> NDArray[np.uint8]: ...

    @property
    def spacing_mm(self) -> tuple[float, float, float]: ...


@runtime_checkable
class AnnotatedVolume(Protocol):
    """A drawn volume whose labels are what a reader drew; true_labels (Z, H, W) uint8 are the truth."""

    @property
    def true_labels(self) -> NDArray[np.uint8]: ...


def true_labels(volume: DrawnVolume) -> NDArray[np.uint8] | None:
    """The truth of a volume whose labels are a reader's; None where the labels are the truth."""
    if not isinstance(volume, AnnotatedVolume) or np.array_equal(volume.true_labels, volume.labels):
        return None
    return volume.true_labels


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
