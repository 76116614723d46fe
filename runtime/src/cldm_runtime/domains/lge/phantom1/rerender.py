"""Other images for the label maps of a phantom patient: the true distribution of images, given a label map.

Fixed is what the label maps show: ventricle, scars and their border, obstruction, position, stack and pixel size. All
else is drawn anew, as for another patient: thorax, right ventricle, papillary muscles, contrast, coil and noise.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ....noise import Purpose, Stream
from ...phantom_rules import PhantomRules
from .phantom import (
    SUBSETS,
    Patient,
    draw_jitter,
    draw_scan,
    image_slice,
    patient_number,
    phantom_volume,
)
from .signal import Protocol

_SHOWN = ("ventricle", "scars", "border", "obstruction", "centre_mm", "drift_mm", "rotation_deg", "slices",
          "thickness_mm")
_APART = 2**32  # between the stream numbers of two repeats; a stack has fewer slices


def rerender(seed: int, patient: int, subset: str, repeat: int, slices: Sequence[int]) -> NDArray[np.float32]:
    """Images (n, H, W) of these slices of `phantom_volume(seed, patient, subset)`; see `RerenderSlices`."""
    number = patient_number(patient, subset)
    who, _, size = draw_scan(Stream(seed, number, Purpose.COHORT), subset)
    other, protocol = _redrawn(Stream(seed, number, Purpose.COHORT, step=repeat + 1), subset, size)
    seen = replace(other, **{name: getattr(who, name) for name in _SHOWN})
    images = []
    for index in slices:
        jitter = draw_jitter(who, Stream(seed, number, Purpose.ACQUISITION, step=index))
        scan = Stream(seed, number, Purpose.ACQUISITION, step=(repeat + 1) * _APART + index)
        images.append(image_slice(seen, protocol, size, index, jitter, scan))
    return np.stack(images)


def _redrawn(stream: Stream, subset: str, size: int) -> tuple[Patient, Protocol]:
    """A patient and his protocol, drawn until the image has this many rows: pixel size and protocol depend on each
    other. One draw in about twelve does."""
    while True:
        who, protocol, drawn = draw_scan(stream, subset)
        if drawn == size:
            return who, protocol


PHANTOM = PhantomRules(
    phantom_volume, SUBSETS, ("test", "d8"), "LGE phantom",
    "Simulated short-axis LGE stacks of the left ventricle. No patient's data is in it.", ("LGE",), rerender)
