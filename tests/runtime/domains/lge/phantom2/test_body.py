"""A whole level: tissues and labels agree, nothing lies where it cannot."""

import numpy as np
import pytest
from scipy import ndimage

from cldm_runtime.domains.lge.phantom2.body import anatomy_slice
from cldm_runtime.domains.lge.phantom2.patient import draw_patient
from cldm_runtime.domains.lge.phantom2.tissue import BodyTissue
from cldm_runtime.domains.lge.tidy import tidy
from cldm_runtime.domains.registry import measure
from cldm_runtime.noise import Purpose, Stream

FATS = (BodyTissue.SUBCUTANEOUS_FAT, BodyTissue.EPICARDIAL_FAT, BodyTissue.PERICARDIAL_FAT, BodyTissue.VISCERAL_FAT)


def stack(number, subset="train", pixels=128):
    who = draw_patient(Stream(0, number, Purpose.COHORT), subset)
    return [anatomy_slice(who, (i + 0.5) / who.slices, (0.0, 0.0), pixels) for i in range(who.slices)]


@pytest.fixture(scope="module")
def patients():
    return [stack(number) for number in range(12)]


def slices(patients):
    return [level for levels in patients for level in levels]


def test_every_label_map_is_a_closed_ring(patients):
    for level in slices(patients):
        cavity, heart = level.labels == 1, level.labels > 0
        assert tidy(level.labels) is not None
        assert ndimage.label(heart)[1] == 1 and ndimage.label(cavity)[1] == 1


def test_hearts_grow_from_the_apex(patients):
    for levels in patients:
        area = [(level.labels > 0).sum() * level.spacing_mm**2 for level in levels]
        assert area[0] < 0.5 * area[len(area) // 2]


def test_tissues_of_the_wall_follow_the_labels(patients):
    for level in slices(patients):
        infarct, healthy = level.labels == 3, level.labels == 2
        assert set(np.unique(level.tissue[infarct])) <= {BodyTissue.INFARCT, BodyTissue.GREY_ZONE}
        assert set(np.unique(level.tissue[healthy])) <= {BodyTissue.MYOCARDIUM, BodyTissue.GREY_ZONE, BodyTissue.BLOOD}
        assert (level.scar[infarct] < 1).all() and (level.viable[~(level.labels >= 2)] == 1).all()
        assert (level.radius[level.labels >= 2] >= 0).all() and (level.radius[level.labels == 1] < 0).all()


def test_fat_lies_outside_the_ventricle_and_touches_it(patients):
    for level in slices(patients):
        fat = np.isin(level.tissue, FATS)
        assert not fat[level.labels > 0].any()
        assert fat[ndimage.binary_dilation(level.labels > 0, iterations=3)].any()


def test_blood_of_the_ring_is_outflow_tract_of_the_base_only(patients):
    opened = [[((level.tissue == BodyTissue.BLOOD) & (level.labels >= 2)).sum() for level in levels]
              for levels in patients]
    assert sum(sum(counts[: int(0.8 * len(counts))]) for counts in opened) == 0
    assert 0.3 < np.mean([counts[-1] > 0 for counts in opened]) <= 1.0


def test_infarcts_are_mostly_one_piece(patients):
    largest = []
    for level in slices(patients):
        pieces, count = ndimage.label(level.labels >= 3)
        if count:
            largest.append(np.bincount(pieces.ravel())[1:].max() / (pieces > 0).sum())
    assert np.median(largest) >= 0.96 and np.mean(np.array(largest) >= 0.96) > 0.7


def test_acute_patients_have_larger_infarcts_and_no_reflow():
    def middle(subset):
        people = (draw_patient(Stream(0, number, Purpose.COHORT), subset) for number in range(24))
        return np.stack([anatomy_slice(who, 0.4, (0.0, 0.0), 80).labels for who in people])

    chronic, acute = middle("train"), middle("d8")
    assert measure(acute)["infarct_size"].mean() > 1.2 * measure(chronic)["infarct_size"].mean()
    assert (acute == 4).any(axis=(1, 2)).sum() > 4


def test_the_same_patient_is_drawn_in_the_same_bytes(patients):
    again = stack(1)
    for first, second in zip(patients[1], again, strict=True):
        assert first.tissue.tobytes() == second.tissue.tobytes() and first.viable.tobytes() == second.viable.tobytes()
    assert stack(2)[3].tissue.tobytes() != again[3].tissue.tobytes()


def test_a_shifted_slice_is_the_same_slice_elsewhere():
    who = draw_patient(Stream(0, 5, Purpose.COHORT), "train")
    here, there = (anatomy_slice(who, 0.5, jitter, 112).labels for jitter in ((0.0, 0.0), (4.0, -2.0)))  # 2 mm
    np.testing.assert_array_equal(there, np.roll(here, (2, -1), axis=(0, 1)))


def test_the_whole_body_is_there(patients):
    found = set(np.unique([level.tissue for level in slices(patients)]))
    assert found >= set(BodyTissue) - {BodyTissue.MVO, BodyTissue.FLUID}
