"""Samples that were written as DICOM, read again."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...store.format import STORED_MAX
from .files import read_header
from .frames import frames_of
from .masks import DicomMask, read_mask
from .segments import plain_name
from .stacks import DicomStack, read_stack, stacks_of
from .write import image_files, mask_file


def read_sample(folder: Path, name: str, channels: int, shape: tuple[int, ...], labels: Sequence[str],
                kinds: Sequence[str]) -> dict[str, NDArray[Any]]:
    """The "image" (C, *spatial) of a sample as it was stored, and its label maps (*spatial) by kind, of files that
    `write_sample` wrote. Raises InputError."""
    files = image_files(name, channels, shape)
    each = len(files) // channels
    stacks = [_stack(folder, files[start:start + each]) for start in range(0, len(files), each)]
    stored = np.stack([read_stack(stack)[0].reshape(shape) for stack in stacks
                       if _fits(folder / name, stack, shape)])
    if (stored != np.rint(stored)).any() or stored.min() < 0 or stored.max() > STORED_MAX:
        raise InputError(f"{name}: its pixels are no whole numbers from 0 to {STORED_MAX}, as they were written")
    values = tuple((plain_name(label), value) for value, label in enumerate(labels) if value)
    maps = {kind: read_mask(DicomMask((folder / mask_file(name, kind),), stacks[0], values))[0].reshape(shape)
            for kind in kinds}
    return {"image": stored.astype(np.uint16), **maps}


def _stack(folder: Path, files: Sequence[str]) -> DicomStack:
    frames = [frame for file in files for frame in frames_of(folder / file, read_header(folder / file))]
    groups = stacks_of(frames)
    if len(groups) != 1 or groups[0].stack is None:
        raise InputError(f"{files[0]}: {groups[0].fault or 'its slices have different grids'}")
    return groups[0].stack


def _fits(where: Path, stack: DicomStack, shape: tuple[int, ...]) -> bool:
    if stack.shape != (*(1,) * (3 - len(shape)), *shape):
        raise InputError(f"{where.name}: its shape is {stack.shape}, expected {shape}")
    return True
