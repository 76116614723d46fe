"""The right ventricle, the atria, fat and pericardium."""

import numpy as np
import pytest

from cldm_runtime.domains.lge.phantom2.plane import Placement, Plane
from cldm_runtime.domains.lge.phantom2.right_heart import Bulge, Envelope, RightHeart
from cldm_runtime.domains.lge.phantom2.tissue import BodyTissue
from cldm_runtime.domains.lge.ventricle import Waves
from cldm_runtime.noise import Purpose, Stream

STILL = Placement((0.0, 0.0), (0.0, 0.0), 0.0, 0.0, 90.0)
FLAT = np.zeros((224, 224))
FAR = np.full((224, 224), 1000.0)
LEVEL = Waves(np.array([2.0]), np.array([0.0]), np.array([0.0]), np.array([0.0]))


def at(z):
    return Plane.at(STILL, z, (0.0, 0.0), 224)  # pixels of 1 mm


def heart(**changed):
    drawn = RightHeart.draw(Stream(0, 0, Purpose.COHORT))
    return RightHeart(**{**drawn.__dict__, "first": 0.1, "reach_mm": 30.0, "angle": np.pi, "wall_mm": 4.0, **changed})


def envelope(**changed):
    return Envelope(**{"left_mm": 3.0, "right_mm": 6.0, "outside_mm": 5.0, "groove_mm": 4.0, "waves": LEVEL,
                       "outside_waves": LEVEL, "effusion_mm": 0.0, "line_mm": 1.0, "vessels": ()} | changed)


def test_the_free_wall_reaches_as_far_as_it_should():
    distance = heart(tract=Bulge(0.0, 0.0, 1.0, 1.0, 2.0)).distance(at(0.6), 30.0)
    inside = np.flatnonzero((distance < 0).any(axis=0))
    assert inside[0] == pytest.approx(111.5 - 60, abs=1.0)  # 30 mm beyond the left ventricle's 30


def test_it_begins_above_the_apex():
    assert heart().distance(at(0.1), 20.0).min() == 1000.0
    assert (heart().distance(at(0.6), 30.0) < 0).sum() > (heart().distance(at(0.25), 25.0) < 0).sum() > 0


def test_a_wall_of_four_millimetres_surrounds_the_blood():
    tissue = np.zeros((224, 224), dtype=np.uint8)
    distance = heart().distance(at(0.6), 30.0)
    heart().paint(tissue, at(0.6), distance, FLAT)
    assert (tissue == BodyTissue.RV_BLOOD).sum() == (distance < -4.0).sum()
    assert (tissue == BodyTissue.RV_WALL).sum() == ((distance < 0) & (distance >= -4.0)).sum()


def test_the_moderator_band_crosses_the_right_ventricle_at_its_level():
    dark = []
    for z in (0.3, 0.6):
        tissue, right = np.zeros((224, 224), dtype=np.uint8), heart(band=(0.3, 0.0, 0.0))
        right.paint(tissue, at(z), right.distance(at(z), 28.0), FLAT)
        dark.append((tissue[111:113] == BodyTissue.RV_BLOOD).any())
    assert dark == [False, True]


def test_an_oval_chamber_has_its_height_and_width():
    inside = Bulge(np.pi / 2, gap_mm=2.0, radius_mm=10.0, flatness=1.5, first=0.5).distance(at(0.9), 30.0) < 0
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    assert (len(rows), len(columns)) == (20, 30)
    assert 111.5 - rows[-1] == pytest.approx(32.0, abs=1.0)  # 2 mm beyond the left ventricle
    assert Bulge(0.0, 2.0, 10.0, 1.5, first=0.5).distance(at(0.4), 30.0) is None


def test_fat_then_pericardium_then_fat_lie_around_the_left_ventricle():
    plane, tissue = at(0.5), np.zeros((224, 224), dtype=np.uint8)
    left = plane.rho - 30.0
    envelope().paint(tissue, plane, envelope().sac(plane, left, FAR, FAR))
    along = tissue[112, 112 + 30:112 + 41]  # to the right of the ventricle
    # 3 mm of fat, a line of 1 mm, and half of 5 mm of fat beside the lung, 2.5 mm from the edge of the first fat
    assert along.tolist() == [BodyTissue.EPICARDIAL_FAT] * 3 + [BodyTissue.PERICARDIUM, BodyTissue.PERICARDIAL_FAT] + [
        0] * 6


def test_the_groove_between_two_chambers_holds_more_fat():
    plane = at(0.5)
    left, right = plane.rho - 30.0, np.hypot(plane.x + 35.0, plane.y) - 30.0
    sac = envelope().sac(plane, left, right, FAR)
    notch = (np.abs(left) < 0.6) & (np.abs(right) < 0.6)
    assert sac[notch].mean() == pytest.approx(-4.5 - 1.0, abs=0.5)  # the mean of 3 and 6 mm, and a quarter of the width
    assert -sac[(np.abs(right) < 0.6) & (left > 20)].mean() == pytest.approx(6.0, abs=0.3)


def test_an_effusion_gathers_below():
    plane, tissue = at(0.5), np.zeros((224, 224), dtype=np.uint8)
    wet = envelope(effusion_mm=2.0)
    wet.paint(tissue, plane, wet.sac(plane, plane.rho - 30.0, FAR, FAR))
    rows = np.nonzero(tissue == BodyTissue.FLUID)[0]
    assert rows.size and rows.min() > 90


def test_arteries_lie_in_the_fat():
    plane, tissue = at(0.5), np.full((224, 224), BodyTissue.EPICARDIAL_FAT, dtype=np.uint8)
    tissue[:, 112:] = BodyTissue.LUNG
    envelope(vessels=((0.0, 2.0), (np.pi, 2.0))).paint_vessels(tissue, plane, 30.0)
    columns = np.nonzero(tissue == BodyTissue.VESSEL)[1]
    assert columns.mean() == pytest.approx(111.5 - 34, abs=0.1)  # none at the right, where there is no fat
    assert len(columns) == pytest.approx(np.pi * 4, abs=2)


def test_drawn_fat_is_as_thick_as_measured():
    drawn = [Envelope.draw(Stream(0, i, Purpose.COHORT)) for i in range(400)]
    assert np.median([e.left_mm for e in drawn]) == pytest.approx(2.0, abs=0.2)
    assert all(2.5 <= e.right_mm <= 7.0 for e in drawn)
    assert np.mean([e.effusion_mm > 0 for e in drawn]) < 0.35
