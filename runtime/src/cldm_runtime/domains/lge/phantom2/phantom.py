"""The second LGE phantom: short-axis stacks of patients after myocardial infarction that look as hard as patients'.

The subsets and their sizes are those of the first phantom. Labels are the contours of a reader, who misses the true
borders as readers do; true_labels are the truth.
"""

import numpy as np
from numpy.typing import NDArray

from ....noise import Purpose, Stream
from ...phantom_rules import DrawnVolume
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


def patient_number(patient: int, subset: str) -> int:
    """The number of a patient in the streams."""
    return _FIRST_PATIENT[subset] + patient


def draw_scan(seed: int, number: int, subset: str) -> tuple[PhantomPatient, ScanProtocol]:
    """A patient, and how he was imaged. Each has a stream of his own: another anatomy leaves the protocol as it is."""
    return (draw_patient(Stream(seed, number, Purpose.COHORT), subset),
            ScanProtocol.draw(Stream(seed, number, Purpose.PROTOCOL), subset == "d8"))


def draw_jitter(scan: Stream) -> tuple[float, float]:
    """How far (down, right) a slice is misplaced, in mm."""
    return scan.normal(0.0, _JITTER_MM), scan.normal(0.0, _JITTER_MM)


def image_slice(who: PhantomPatient, protocol: ScanProtocol, index: int, jitter_mm: tuple[float, float], scan: Stream
                ) -> NDArray[np.float32]:
    """The image of slice `index`: the magnetisation averaged over the slice's thickness, acquired. Noise and small
    structures come from `scan`."""
    uneven = Unevenness.draw(scan, FINE_PIXELS)
    signal, z = np.zeros((FINE_PIXELS, FINE_PIXELS)), level(who, index)
    for depth, weight in SLAB:
        anatomy = anatomy_slice(who, z + depth / who.slices, jitter_mm, FINE_PIXELS)
        signal += weight * magnetisation(anatomy, protocol, uneven, z)
    return acquire_slice(signal, protocol, scan)


def level(who: PhantomPatient, index: int) -> float:
    """Where slice `index` lies: 0 apex, 1 base."""
    return (index + 0.5) / who.slices


def phantom_volume(seed: int, patient: int, subset: str, *, reader: bool = True) -> DrawnVolume:
    """The stack of one patient: a pure function of its arguments.

    patient: 0 .. SUBSETS[subset] - 1, or more for a larger cohort. reader: False gives the true label maps as labels.
    """
    number = patient_number(patient, subset)
    who, protocol = draw_scan(seed, number, subset)
    size, images, labels = matrix(protocol), [], []
    for index in range(who.slices):
        scan = Stream(seed, number, Purpose.ACQUISITION, step=index)
        jitter = draw_jitter(scan)
        images.append(image_slice(who, protocol, index, jitter, scan))
        labels.append(anatomy_slice(who, level(who, index), jitter, size).labels)
    spacing, truth = FIELD_OF_VIEW_MM / size, np.stack(labels)
    drawn = read_contours(truth, spacing, Stream(seed, number, Purpose.READER)) if reader else truth
    return DrawnVolume(np.stack(images), drawn, (who.pitch_mm, spacing, spacing), truth)
