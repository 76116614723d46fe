"""The phantom cohort: reproducible, plausible, different between subsets."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.domains.lge.phantom1 import phantom
from cldm_runtime.domains.lge.phantom1.phantom import (
    _FIRST_PATIENT,
    SUBSETS,
    draw_patient,
    label_slice,
    phantom_volume,
    slice_geometry,
)
from cldm_runtime.domains.lge.phantom1.signal import TISSUES, Protocol, Tissue, smooth_field
from cldm_runtime.domains.registry import measure
from cldm_runtime.noise import Purpose, Stream


@pytest.fixture(scope="module")
def volume():
    return phantom_volume(0, 3, "test")


def test_a_volume_is_a_pure_function_of_seed_patient_and_subset(volume):
    again = phantom_volume(0, 3, "test")
    np.testing.assert_array_equal(volume.image, again.image)
    np.testing.assert_array_equal(volume.labels, again.labels)
    assert volume.image.shape == volume.labels.shape


def test_every_slice_has_a_closed_ring_that_grows_to_the_base(volume):
    area = (volume.labels > 0).sum(axis=(1, 2))
    assert (area > 0).all()
    assert area[0] < area[len(area) // 2]
    assert not np.isnan(measure(volume.labels)["infarct_size"]).any()


def test_slice_counts_are_those_of_the_paper():
    expected = {"train": 3163, "val": 139, "test": 255, "d8": 932}
    for subset, patients in SUBSETS.items():
        streams = (Stream(0, _FIRST_PATIENT[subset] + i, Purpose.COHORT) for i in range(patients))
        count = sum(draw_patient(stream, subset).slices for stream in streams)
        assert count == pytest.approx(expected[subset], rel=0.12)


def test_healthy_muscle_is_nulled_and_scar_is_brighter_than_blood():
    for patient in range(20):
        protocol = Protocol.draw(Stream(0, patient, Purpose.COHORT), acute=False)
        signal = protocol.magnetisation(protocol.t1, np.ones(len(protocol.t1)))
        assert abs(signal[Tissue.MYOCARDIUM]) < 0.2
        assert signal[Tissue.MYOCARDIUM] < signal[Tissue.BLOOD] < signal[Tissue.INFARCT]


def test_inversion_time_without_error_nulls_exactly():
    protocol = Protocol(np.array([400.0] * 10), np.ones(10), 0.0, 1800.0, True, 20.0, 1.5, 0.2, 0.0)
    assert protocol.magnetisation(np.array([400.0]), np.ones(1))[0] == pytest.approx(0.0, abs=1e-12)


def test_acute_patients_have_larger_infarcts_and_obstruction():
    def middle_slices(subset):
        streams = (Stream(0, _FIRST_PATIENT[subset] + i, Purpose.COHORT) for i in range(40))
        patients = [draw_patient(stream, subset) for stream in streams]
        return np.stack([label_slice(slice_geometry(who, 0.4, (0.0, 0.0), 144), who.obstruction) for who in patients])

    chronic, acute = middle_slices("train"), middle_slices("d8")
    assert measure(acute)["infarct_size"].mean() > 1.2 * measure(chronic)["infarct_size"].mean()
    assert (acute == 4).any(axis=(1, 2)).sum() > 5


# One with two territories and an effusion, one with a mid-wall scar in a 3-D stack, one acute with an obstructed core.
PINNED = {"val": 9, "train": 10, "d8": 10}


def three_slices(monkeypatch, subset):
    """(3, H, W) images and labels of a pinned patient, below, at and above the middle."""
    monkeypatch.setattr(phantom, "draw_patient", lambda *given: replace(draw_patient(*given), slices=3))
    return phantom_volume(0, PINNED[subset], subset)


def described(volume):
    """A line for each slice: its pixels of each label, and the mean and deviation of the image in 6 x 6 blocks."""
    lines = []
    for image, labels in zip(volume.image, volume.labels, strict=True):
        side = image.shape[0] // 6
        blocks = image[:6 * side, :6 * side].reshape(6, side, 6, side)
        lines.append([*np.bincount(labels.ravel(), minlength=5), *blocks.mean(axis=(1, 3)).ravel(),
                      *blocks.std(axis=(1, 3)).ravel()])
    return np.array(lines)


@pytest.mark.parametrize("number", range(3))
def test_a_patients_number_stands_for_its_scan(monkeypatch, number):
    """Cohorts are named by their patients' numbers: whoever changes the drawing makes other cohorts. Pixels at a border
    may fall to the other side where sin and cos are rounded otherwise."""
    subset = list(PINNED)[number]
    expected = np.loadtxt(Path(__file__).with_name("phantom.csv"), delimiter=",")[3 * number:3 * number + 3]
    found = described(three_slices(monkeypatch, subset))
    assert np.abs(found[:, :5] - expected[:, :5]).max() <= 2
    np.testing.assert_allclose(found[:, 5:], expected[:, 5:], atol=1e-3 * expected[:, 5:].max())


@pytest.mark.parametrize("acute", [False, True])
def test_protocols_stay_within_their_ranges(acute):
    drawn = [Protocol.draw(Stream(0, patient, Purpose.COHORT), acute) for patient in range(300)]
    mean, spread = (np.array([TISSUES[tissue][column] for tissue in Tissue]) for column in (0, 1))
    others = [tissue for tissue in Tissue if spread[tissue] and tissue not in (Tissue.BLOOD, Tissue.INFARCT)]
    off = np.array([(protocol.t1 - mean)[others] / spread[others] for protocol in drawn])
    assert -2 - 1e-9 <= off.min() < -1.9 and 1.9 < off.max() <= 2 + 1e-9
    low, high = ((11, 22) if acute else (13, 28))
    assert all(low <= protocol.snr < high and 1500 <= protocol.repetition_ms < 2200 for protocol in drawn)
    assert all(protocol.t1[Tissue.INFARCT] <= protocol.t1[Tissue.BLOOD] - 12 for protocol in drawn)
    assert {protocol.phase_sensitive for protocol in drawn} == {True, False}


def test_smooth_fields_are_standardised_and_as_fine_as_asked():
    fine, coarse = (smooth_field(Stream(0, 0, Purpose.COHORT), (64, 96), grain) for grain in (1.0, 6.0))
    assert (fine.mean(), fine.std(), coarse.mean(), coarse.std()) == pytest.approx((0, 1, 0, 1), abs=1e-9)
    roughness = [np.abs(np.diff(field, axis=axis)).mean() for field in (fine, coarse) for axis in (0, 1)]
    assert roughness[0] == pytest.approx(roughness[1], rel=0.1) and roughness[2] == pytest.approx(roughness[3], rel=0.2)
    assert roughness[0] > 4 * roughness[2]
