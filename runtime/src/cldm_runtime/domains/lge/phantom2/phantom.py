"""The second LGE phantom: short-axis stacks of patients after myocardial infarction that look as hard as patients'.

The subsets and their sizes are those of the first phantom. Labels are the contours of a reader, who misses the true
borders as readers do; true_labels are the truth.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....noise import Purpose, Stream
from ...phantom_rules import PhantomRules
from ..phantom1.phantom import SUBSETS
from .acquisition import SLAB, acquire_slice, matrix
from .body import anatomy_slice
from .contours import read_contours
from .contrast import Unevenness, magnetisation
from .patient import PhantomPatient, draw_patient
from .protocol import ScanProtocol
from .tissue import FIELD_OF_VIEW_MM

FINE_PIXELS = 256  # .9 mm
_FIRST_PATIENT = {"train": 0, "val": 100_000, "test": 200_000, "d8": 300_000}
_JITTER_MM = 0.7  # between the breath-holds of two slices; measured on two public cases: .3 to 1.2 mm with the drift


@dataclass(frozen=True)
class StackVolume:
    """image (Z, H, W) float32 in arbitrary units, labels and true_labels (Z, H, W) uint8, the apex first; spacing_mm
    (z, y, x)."""

    image: NDArray[np.float32]
    labels: NDArray[np.uint8]
    true_labels: NDArray[np.uint8]
    spacing_mm: tuple[float, float, float]


def phantom_volume(seed: int, patient: int, subset: str, *, reader: bool = True) -> StackVolume:
    """The stack of one patient: a pure function of its arguments.

    patient: 0 .. SUBSETS[subset] - 1, or more for a larger cohort. reader: False gives the true label maps as labels.
    """
    number = _FIRST_PATIENT[subset] + patient
    stream = Stream(seed, number, Purpose.COHORT)
    who, protocol = draw_patient(stream, subset), ScanProtocol.draw(stream, subset == "d8")
    size, images, labels = matrix(protocol), [], []
    for index in range(who.slices):
        scan = Stream(seed, number, Purpose.ACQUISITION, step=index)
        z, jitter = (index + 0.5) / who.slices, (scan.normal(0.0, _JITTER_MM), scan.normal(0.0, _JITTER_MM))
        images.append(acquire_slice(_slab(who, protocol, z, jitter, scan), protocol, scan))
        labels.append(anatomy_slice(who, z, jitter, size).labels)
    spacing, truth = FIELD_OF_VIEW_MM / size, np.stack(labels)
    drawn = read_contours(truth, spacing, Stream(seed, number, Purpose.READER)) if reader else truth
    return StackVolume(np.stack(images), drawn, truth, (who.pitch_mm, spacing, spacing))


def _slab(who: PhantomPatient, protocol: ScanProtocol, z: float, jitter: tuple[float, float], stream: Stream
          ) -> NDArray[np.float64]:
    """Magnetisation averaged over the thickness of a slice."""
    uneven = Unevenness.draw(stream, FINE_PIXELS)
    signal = np.zeros((FINE_PIXELS, FINE_PIXELS))
    for depth, weight in SLAB:
        level = anatomy_slice(who, z + depth / who.slices, jitter, FINE_PIXELS)
        signal += weight * magnetisation(level, protocol, uneven, z)
    return signal


PHANTOM = PhantomRules(
    phantom_volume, SUBSETS, ("test", "d8"), "LGE phantom 2",
    "Simulated short-axis LGE stacks of the left ventricle, calibrated to the look of patients' images. No "
    "patient's data is in it.", ("LGE",))
