"""The second phantom is as hard as patients are.

The segmenter that was trained on the first falls on it as it falls on the slices of two patients: mean Dice of cavity
.70 to .80, of myocardium .60 to .70, of infarct .30 to .45. The one that was trained on it finds infarcts about as well
as networks do that were trained on patients: 0.60 to .68.

Measured against the reader's contours, which a patient's slice comes with too. docs/training.md has the whole table.
"""

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime import Segmenter
from cldm_runtime.scans.phantom_slices import PhantomSource
from cldm_runtime.scans.settings import CohortSettings, PrepareSettings, ScanSettings

EXPORTED = Path(__file__).parents[2] / "exported"
FIRST = 7000
REGIONS = {"cavity": (1,), "myocardium": (2, 3, 4), "infarct": (3, 4)}
FALLEN = {"cavity": (0.70, 0.80), "myocardium": (0.60, 0.70), "infarct": (0.30, 0.45)}
SLACK = 0.08  # on either side, for the slices of three patients
SIZED = 10  # [pixels] of an infarct that counts as found where there is none
# Of lge2-segmenter on 24 patients, as docs/training.md states it.
STATED = {"cavity": 0.888, "myocardium": 0.795, "infarct": 0.608, "apical myocardium": 0.681, "false infarct": 0.290}
Slices = tuple[np.ndarray, np.ndarray, np.ndarray]


def patient(number: int) -> Slices:
    """Images (n, 1, H, W) of a patient, the reader's label maps, and the positions from apex (0) to base."""
    source = PhantomSource.of(ScanSettings(CohortSettings("", phantom="lge-2"), PrepareSettings()))
    case = source.stack("test", number).prepared
    return case.images, case.annotations, case.position


def figures(bundle: str, patients: list[Slices]) -> dict[str, float]:
    """Mean Dice over the slices that hold the region, the lowest third of the stack by itself too, and the share of
    slices without an infarct in which one of `SIZED` pixels or more is found."""
    images, read, position = (np.concatenate(parts) for parts in zip(*patients, strict=True))
    found = Segmenter.load(EXPORTED / bundle).segment(images, (1.0, 1.0))
    means = {}
    for name, values in REGIONS.items():
        true, drawn = np.isin(read, values), np.isin(found, values)
        held = true.any(axis=(1, 2))
        both = (true & drawn).sum(axis=(1, 2)) * 2 / (true.sum(axis=(1, 2)) + drawn.sum(axis=(1, 2))).clip(1)
        means[name] = float(both[held].mean())
        if name == "myocardium":
            means[f"apical {name}"] = float(both[held & (position < 1 / 3)].mean())
        if name == "infarct":
            means[f"false {name}"] = float((drawn.sum(axis=(1, 2))[~held] >= SIZED).mean())
    return means


def outside(found: dict[str, float], slack: float) -> dict[str, float]:
    return {name: found[name] for name, (low, high) in FALLEN.items()
            if not low - slack <= found[name] <= high + slack}


def test_the_segmenter_of_the_first_phantom_falls_and_that_of_the_second_does_not():
    patients = [patient(FIRST + number) for number in range(3)]
    first, second = figures("lge-segmenter", patients), figures("lge2-segmenter", patients)
    assert outside(first, SLACK) == {}
    assert second["infarct"] > first["infarct"] + 0.15 and second["myocardium"] > first["myocardium"] + 0.08


@pytest.mark.long
def test_twenty_four_patients_are_as_hard_as_patients_slices():
    with ProcessPoolExecutor(2) as pool:
        patients = list(pool.map(patient, range(FIRST, FIRST + 24)))
    assert outside(figures("lge-segmenter", patients), 0.0) == {}
    assert figures("lge2-segmenter", patients) == pytest.approx(STATED, abs=0.01)
