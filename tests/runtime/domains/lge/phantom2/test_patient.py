"""Patients: reproducible, different, within the ranges."""

import numpy as np
import pytest

from cldm_runtime.domains.lge.phantom2.patient import _draw_placement, draw_patient
from cldm_runtime.noise import Purpose, Stream


def patient(number, subset="train"):
    return draw_patient(Stream(0, number, Purpose.COHORT), subset)


@pytest.fixture(scope="module")
def patients():
    return [patient(number) for number in range(32)]


def test_stacks_have_seven_to_twelve_slices_over_the_length_of_a_ventricle(patients):
    assert {who.slices for who in patients} <= set(range(7, 13)) and len({who.slices for who in patients}) >= 5
    assert all(8.0 <= who.pitch_mm <= 13.0 for who in patients)
    lengths = [who.place.length_mm for who in patients]
    assert min(lengths) > 75.0 and max(lengths) < 112.0 and np.mean(lengths) == pytest.approx(93.0, abs=4.0)


def test_hearts_are_shifted_and_turned_as_stated():
    places = [_draw_placement(Stream(0, number, Purpose.COHORT), 90.0) for number in range(400)]
    assert 3.9 < np.abs([place.centre_mm for place in places]).max() <= 4.0
    assert np.rad2deg(np.std([place.tilt + place.twist for place in places])) == pytest.approx(18.0, abs=1.5)
    steps = [np.hypot(*place.drift_mm) / 8 for place in places]
    assert min(steps) == pytest.approx(0.31, abs=0.02) and max(steps) == pytest.approx(1.25, abs=0.02)


def test_two_patients_differ_and_one_is_always_the_same():
    assert patient(3).chest == patient(3).chest != patient(4).chest
    np.testing.assert_array_equal(patient(3).texture.lattice, patient(3).texture.lattice)


def test_acute_walls_are_not_thinned():
    assert all(patient(number, "d8").chamber.thinning.share == 0.0 for number in range(20))
