"""The second phantom looks as patients' images do: the median of every figure lies in the accepted range."""

from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

from cldm_runtime.domains.lge.appearance import FIGURES, measure_appearance
from cldm_runtime.scans.phantom_slices import PhantomSource
from cldm_runtime.scans.settings import CohortSettings, PrepareSettings, ScanSettings

SLACK = 0.5  # of the range, on either side, for the medians of few slices
Values = dict[str, np.ndarray]


def figures_of(patient: int) -> Values:
    """The figures of all slices of a training patient, prepared as a cohort is, with the reader's contours."""
    source = PhantomSource.of(ScanSettings(CohortSettings("", phantom="lge-2"), PrepareSettings()))
    case = source.stack("train", patient).prepared
    return measure_appearance(case.images[:, 0], case.annotations, (1.0, 1.0))


def outside(found: list[Values], slack: float) -> dict[str, float]:
    """The medians outside their ranges."""
    medians = {figure: np.nanmedian(np.concatenate([values[figure.name] for values in found])) for figure in FIGURES}
    room = {figure: slack * (figure.high - figure.low) for figure in FIGURES}
    return {figure.name: round(float(median), 3) for figure, median in medians.items()
            if not figure.low - room[figure] <= median <= figure.high + room[figure]}


def test_a_few_patients_look_about_right():
    assert outside([figures_of(patient) for patient in range(4)], SLACK) == {}


@pytest.mark.long
def test_every_figure_is_as_in_patients():
    with ProcessPoolExecutor(2) as pool:
        found = list(pool.map(figures_of, range(30)))
    assert sum(len(values["step"]) for values in found) >= 200
    assert outside(found, 0.0) == {}
