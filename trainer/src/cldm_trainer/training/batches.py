"""Cohorts in memory, seeded batches, and cheap augmentation."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cldm_runtime.errors import DatasetError
from cldm_runtime.store import open_dataset

_PLACES_AT_ONCE = 2**21  # pixels or voxels, of one channel


@dataclass(frozen=True)
class Slices:
    """The images of one subset: images (N, C, *spatial) float32 in [0, 1], or uint8 of 0 and 1 where they are channels
    of label maps; masks (N, *spatial) uint8."""

    images: Tensor
    masks: Tensor

    def __len__(self) -> int:
        return len(self.images)


def require_cohort(path: Path) -> None:
    """Raise DatasetError if there is no cohort."""
    if not path.exists():
        raise DatasetError(f"{path}: no such cohort. Run `cldm-train phantom` and `cldm-train prepare` first.")


def load_slices(path: Path, subset: str) -> Slices:
    """Read a subset of a cohort. Raises DatasetError if the file is not there, InputError if the subset is not."""
    require_cohort(path)
    with open_dataset(path) as dataset:
        rows = dataset.rows(subset)
        images, masks = dataset.images(rows), dataset.masks(rows)
    return Slices(torch.from_numpy(images), torch.from_numpy(masks))


def load_masks(path: Path, subset: str) -> Tensor:
    """The label maps (N, *spatial) of a subset. Raises what `load_slices` does."""
    require_cohort(path)
    with open_dataset(path) as dataset:
        return torch.from_numpy(dataset.masks(dataset.rows(subset)))


def batch_rows(count: int, batch: int, step: int, seed: int) -> NDArray[np.int64]:
    """Rows of batch number `step`: seeded permutations of `count` rows, one after the other.

    A pure function, so that a resumed run sees what an uninterrupted one sees.
    """
    first = step * batch
    epochs = range(first // count, (first + batch - 1) // count + 1)
    order = np.concatenate([np.random.default_rng([seed, epoch]).permutation(count) for epoch in epochs])
    start = first - epochs[0] * count
    return order[start : start + batch].astype(np.int64)


def step_generator(seed: int, step: int, rank: int = 0) -> torch.Generator:
    """The random numbers of one training step: a function of (seed, step, rank), so nothing has to be stored."""
    state = np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def in_batches(count: int, batch: int) -> Iterator[slice]:
    for start in range(0, count, batch):
        yield slice(start, min(start + batch, count))


def samples_at_once(x: Tensor, most: int) -> int:
    """How many of (N, C, *spatial) go through a network together: fewer than `most` where they are large volumes."""
    return max(1, min(most, _PLACES_AT_ONCE // math.prod(x.shape[2:])))


def one_hot(masks: Tensor, classes: int) -> Tensor:
    """(N, *spatial) labels -> (N, classes, *spatial) float32."""
    return torch.nn.functional.one_hot(masks.long(), classes).movedim(-1, 1).float()


def windows(x: Tensor, masks: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """A window of each sample of (N, C, *spatial) with label maps (N, *spatial): `size` along every axis, or all of an
    axis that is shorter. Every second one lies around a pixel of a label, each label that the map holds being as
    likely; the others anywhere."""
    parts = []
    for number, (sample, mask) in enumerate(zip(x, masks, strict=True)):
        sizes = [min(size, length) for length in mask.shape]
        starts = [int(torch.randint(length - taken + 1, (), generator=generator))
                  for length, taken in zip(mask.shape, sizes, strict=True)]
        labels = mask.unique()
        labels = labels[labels > 0]
        if number % 2 == 0 and len(labels):
            label = labels[torch.randint(len(labels), (), generator=generator)]
            places = torch.nonzero(mask == label)
            centre = places[torch.randint(len(places), (), generator=generator)].tolist()
            starts = [min(max(place - taken // 2, 0), length - taken)
                      for place, length, taken in zip(centre, mask.shape, sizes, strict=True)]
        parts.append(sample[(slice(None), *(slice(a, a + taken) for a, taken in zip(starts, sizes, strict=True)))])
    return torch.stack(parts)


def turn_and_mirror(x: Tensor, generator: torch.Generator) -> Tensor:
    """One of the symmetries of the square or cube for each sample of (N, C, *spatial): eight of the square,
    forty-eight of the cube. Axes of different sizes are not exchanged. Exact, nothing is interpolated."""
    if x.ndim == 4:
        choices = torch.randint(0, 8, (len(x),), generator=generator).tolist()
        return torch.stack([_symmetry(sample, choice) for sample, choice in zip(x, choices, strict=True)])
    return torch.stack([_rearranged(sample, generator) for sample in x])


def _symmetry(sample: Tensor, choice: int) -> Tensor:
    """Of the square: a turn by a multiple of 90 degrees (180 where the sides differ), and perhaps a mirror."""
    square = sample.shape[-2] == sample.shape[-1]
    turned = torch.rot90(sample, choice % 4 if square else 2 * (choice % 2), (-2, -1))
    return turned.flip(-1) if choice >= 4 else turned


def _rearranged(sample: Tensor, generator: torch.Generator) -> Tensor:
    """(C, *spatial) with axes of one size exchanged at random, and each axis mirrored or not."""
    axes, sizes = list(range(1, sample.ndim)), sample.shape[1:]
    order = [axes[place] for place in torch.randperm(len(axes), generator=generator).tolist()]
    if tuple(sample.shape[axis] for axis in order) != tuple(sizes):
        order = axes
    mirrored = torch.randint(0, 2, (len(axes),), generator=generator).tolist()
    return sample.permute(0, *order).flip([axis for axis, flip in zip(axes, mirrored, strict=True) if flip])


def permute_labels(labels: Tensor, classes: int, share: float, generator: torch.Generator) -> Tensor:
    """Permute the labels 1 .. classes - 1 of a random share of label maps (N, ...), each map by its own permutation.

    A codec must carry every label, also one that few slices of a cohort hold.
    """
    tables = torch.arange(classes, dtype=labels.dtype).repeat(len(labels), 1)
    for row in torch.nonzero(torch.rand(len(labels), generator=generator) < share).flatten().tolist():
        tables[row, 1:] = 1 + torch.randperm(classes - 1, generator=generator).to(labels.dtype)
    return torch.gather(tables, 1, labels.flatten(1).long()).reshape(labels.shape)


def move(x: Tensor, rotation_deg: float, shift_pixels: float, scale: float, generator: torch.Generator,
         mode: str = "bilinear") -> Tensor:
    """Rotate, shift and scale each sample of (N, C, *spatial) at random, uniformly up to the given limits.

    A volume turns in the plane of its last two axes. Outside the field of view the border is repeated. Labels go
    through as one-hot maps. mode "bicubic", of two dimensions alone, keeps an image's noise, which "bilinear" would
    smooth away; volumes are always interpolated linearly.
    """
    n, dims = len(x), x.ndim - 2
    spread = 2.0 * torch.rand((dims + 2, n), generator=generator) - 1.0
    angle = torch.deg2rad(spread[0] * rotation_deg)
    zoom = 1.0 / (1.0 + spread[-1] * scale)
    wide = x.shape[-1] / x.shape[-2]  # affine_grid measures every axis in shares of that axis's size
    shift = [2.0 * shift_pixels / size * share for size, share in zip(reversed(x.shape[2:]), spread[1:-1], strict=True)]
    matrix = torch.zeros(n, dims, dims + 1)
    matrix[:, range(dims), range(dims)] = zoom[:, None]
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    matrix[:, 0, 0], matrix[:, 0, 1], matrix[:, 1, 0], matrix[:, 1, 1] = cos, -sin / wide, sin * wide, cos
    matrix[:, :, -1] = torch.stack(shift, -1)
    grid = torch.nn.functional.affine_grid(matrix, list(x.shape), align_corners=False)
    mode = mode if dims == 2 else "bilinear"
    return torch.nn.functional.grid_sample(x, grid.to(x), mode=mode, padding_mode="border", align_corners=False)
