"""RT Structure Set: regions drawn as closed contours in the planes of images."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .files import opened
from .polygons import fill
from .segments import plain_name, slice_of
from .stacks import DicomStack

_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "CLOSED_PLANAR_XOR")


def contour_names(header: Any) -> dict[int, str]:
    """Number of each region of interest with closed contours -> its name. Points and open curves are no regions."""
    drawn = {int(item.ReferencedROINumber) for item in header.get("ROIContourSequence") or ()
             if any(str(contour.ContourGeometricType) in _CLOSED for contour in item.get("ContourSequence") or ())}
    return {int(item.ROINumber): plain_name(str(item.get("ROIName") or item.ROINumber))
            for item in header.get("StructureSetROISequence") or () if int(item.ROINumber) in drawn}


def contour_regions(file: Path, header: Any, stack: DicomStack) -> dict[str, NDArray[np.bool_]]:
    """Name -> (z, y, x) which voxels' centres are inside, by the even-odd rule in each plane.

    Raises InputError for contours that lie between the slices of the stack, or across them.
    """
    with opened(file):
        names = contour_names(header)
        regions = {name: np.zeros(stack.shape, np.bool_) for name in names.values()}
        to_index = np.asarray(np.linalg.inv(stack.matrix), np.float64)
        for item in header.ROIContourSequence:
            planes: dict[int, list[NDArray[np.float64]]] = {}
            for contour in item.get("ContourSequence") or ():
                if str(contour.ContourGeometricType) in _CLOSED:
                    number, corners = _corners(file, contour, stack, to_index)
                    planes.setdefault(number, []).append(corners)
            for number, polygons in planes.items():
                shape = (stack.shape[1], stack.shape[2])
                regions[names[int(item.ReferencedROINumber)]][number] |= fill(polygons, shape)
        return regions


def _corners(file: Path, contour: Any, stack: DicomStack, to_index: NDArray[np.float64]
             ) -> tuple[int, NDArray[np.float64]]:
    """The slice of a contour, and row and column of each corner (n, 2)."""
    numbers = np.asarray(contour.ContourData, np.float64)
    if not len(numbers) or len(numbers) % 3 or not np.isfinite(numbers).all():
        raise InputError(f"{file}: has a contour of {len(numbers)} numbers, expected three for each corner. Export it "
                         "again")
    points = numbers.reshape(-1, 3)
    number = slice_of(file, points, stack.frames[0].normal, stack)
    index = points @ to_index[:3, :3].T + to_index[:3, 3]
    return number, index[:, 1::-1]
