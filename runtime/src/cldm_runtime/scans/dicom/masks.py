"""DICOM SEG and RTSTRUCT as label maps on the grid of the images that they were drawn on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ..volume_files import Array
from .contours import contour_regions
from .files import read_header
from .segments import segment_regions
from .stacks import DicomStack, stack_affine

SEG, SEG_LABEL_MAP, RTSTRUCT = (f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("66.4", "66.7", "481.3"))
_WITHIN = 0.95  # of the smaller of two regions, from which on it lies within the larger one
_TOUCH = 0.05  # of the smaller one, up to which two regions only touch

Regions = Mapping[str, NDArray[np.bool_]]
READERS: Mapping[str, Callable[[Path, Any, DicomStack], Regions]] = {
    SEG: segment_regions, SEG_LABEL_MAP: segment_regions, RTSTRUCT: contour_regions}


@dataclass(frozen=True)
class DicomMask:
    """The label map of a stack. values: name of a region -> its value. ordered: names in the order in which they are
    drawn where they overlap, later ones on top; the user's."""

    files: tuple[Path, ...]
    stack: DicomStack
    values: tuple[tuple[str, int], ...]
    ordered: tuple[str, ...] = ()


def read_mask(mask: DicomMask) -> Array:
    """Label values (z, y, x), spacing in mm in that order, and the affine, as of the stack. Raises InputError."""
    regions: dict[str, NDArray[np.bool_]] = {}
    for file in mask.files:
        header = read_header(file)
        for name, region in READERS[str(header.SOPClassUID)](file, header, mask.stack).items():
            if name in regions:
                raise InputError(f"{file}: region {name!r} is in {mask.files[0].name} too. Keep one file for each "
                                 "region: leave out the other reader's, or the earlier version")
            regions[name] = region
    values = dict(mask.values)
    labels = np.zeros(mask.stack.shape, np.uint8)
    for name in drawing_order(regions, mask.ordered):
        labels[regions[name]] = values[name]
    return labels, mask.stack.spacing_mm, stack_affine(mask.stack)


def drawing_order(regions: Regions, ordered: Sequence[str]) -> list[str]:
    """The names, those below first: a larger region lies below one within it, or that it only touches.

    Raises InputError for two regions that overlap otherwise, unless the user has named both in order.
    """
    names = sorted(regions, key=lambda name: -int(regions[name].sum()))
    for place, larger in enumerate(names):
        for smaller in names[place + 1:]:
            both, size = int((regions[larger] & regions[smaller]).sum()), int(regions[smaller].sum())
            if _TOUCH * size < both < _WITHIN * size and not {larger, smaller} <= set(ordered):
                raise InputError(f"regions {larger!r} and {smaller!r} overlap in {both} voxels, {both / size:.0%} of "
                                 "the smaller one, and neither lies within the other. Name both in [prepare.labels]: "
                                 "the later one decides there")
    listed = {name: place for place, name in enumerate(ordered)}
    return _moved(names, listed)


def _moved(names: Sequence[str], listed: Mapping[str, int]) -> list[str]:
    """`names` with those that are listed in the order of the list, in the places that they have together."""
    chosen = iter(sorted((name for name in names if name in listed), key=lambda name: listed[name]))
    return [next(chosen) if name in listed else name for name in names]
