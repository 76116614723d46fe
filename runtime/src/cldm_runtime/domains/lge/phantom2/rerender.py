"""Other images for the label maps of a patient of the second phantom: the true distribution, given a label map.

The true label maps, the stack and the pixel size stay; surroundings, contrast, coils, artefacts and noise are drawn
anew.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ....noise import Purpose, Stream
from ...phantom_rules import PhantomRules
from ..phantom1.phantom import SUBSETS
from .acquisition import matrix
from .patient import redraw_surroundings
from .phantom import draw_jitter, draw_scan, image_slice, patient_number, phantom_volume
from .protocol import ScanProtocol

_APART = 2**32  # between the stream numbers of two repeats; a stack has fewer slices


def rerender(seed: int, patient: int, subset: str, repeat: int, slices: Sequence[int]) -> NDArray[np.float32]:
    """Images (n, H, W) of these slices of `phantom_volume(seed, patient, subset)`; see `RerenderSlices`."""
    number = patient_number(patient, subset)
    who, first = draw_scan(seed, number, subset)
    other = redraw_surroundings(who, Stream(seed, number, Purpose.COHORT, step=repeat + 1), subset)
    protocol = _redrawn(Stream(seed, number, Purpose.PROTOCOL, step=repeat + 1), subset == "d8", matrix(first))
    images = []
    for index in slices:
        jitter = draw_jitter(Stream(seed, number, Purpose.ACQUISITION, step=index))
        scan = Stream(seed, number, Purpose.ACQUISITION, step=(repeat + 1) * _APART + index)
        images.append(image_slice(other, protocol, index, jitter, scan))
    return np.stack(images)


def _redrawn(stream: Stream, acute: bool, size: int) -> ScanProtocol:
    """A protocol, drawn until the image has this many rows; one draw in about thirty does."""
    while True:
        protocol = ScanProtocol.draw(stream, acute)
        if matrix(protocol) == size:
            return protocol


_DESCRIPTION = ("Simulated short-axis LGE stacks of the left ventricle, calibrated to the look of patients' images. No "
                "patient's data is in it.")
PHANTOM = PhantomRules(phantom_volume, SUBSETS, ("test", "d8"), "LGE phantom 2", _DESCRIPTION, ("LGE",), rerender)
PHANTOM_WITH_TRUE_LABELS = PhantomRules(
    partial(phantom_volume, reader=False), SUBSETS, ("test", "d8"), "LGE phantom 2, true labels",
    f"{_DESCRIPTION} Its labels are the truth, without a reader's error.", ("LGE",), rerender)
