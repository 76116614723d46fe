"""Papillary muscles, trabeculae and the outflow tract."""

import numpy as np
import pytest
from scipy import ndimage

from cldm_runtime.domains.lge.phantom2.cavity import CavityContent, PapillaryHead
from cldm_runtime.domains.lge.phantom2.plane import Placement, Plane
from cldm_runtime.domains.lge.phantom2.scars import wall_radius
from cldm_runtime.noise import Purpose, Stream

STILL = Placement((0.0, 0.0), (0.0, 0.0), 0.0, 0.0, 90.0)
FLAT = np.zeros((320, 320))


def at(z, chamber):
    plane = Plane.at(STILL, z, (0.0, 0.0), 320)
    return plane, wall_radius(chamber, plane)


def content(**changed):
    drawn = CavityContent.draw(Stream(0, 0, Purpose.COHORT))
    return CavityContent(**{**drawn.__dict__, **changed})


def test_a_head_is_an_ellipse_that_overlaps_the_wall():
    head = PapillaryHead(0.0, radial_mm=5.0, tangential_mm=4.0, first=0.1, last=0.9)
    x = np.array([10.9, 11.1, 16.0, 19.9, 16.0])  # the endocardium at 20 mm, the centre at 16 mm
    y = np.array([0.0, 0.0, 3.9, 2.3, 4.1])
    assert head.covers(x, y, 1.0, 20.0, np.zeros(5)).tolist() == [False, True, True, True, False]
    assert (head.swell(0.1), head.swell(0.5), head.swell(0.95)) == (0.0, 1.0, 0.0)


def test_every_papillary_muscle_touches_the_wall(round_chamber):
    plane, radius = at(0.5, round_chamber)
    for number in range(30):
        drawn = CavityContent.draw(Stream(0, number, Purpose.COHORT))
        muscle = drawn.muscle(plane, round_chamber, radius < 0, FLAT)
        pieces, count = ndimage.label(muscle | ((radius >= 0) & (radius < 1)))
        assert count == 1 or np.bincount(pieces.ravel())[2:].max() < 10  # a few pixels may come off where they are cut


def test_at_mid_level_ten_to_thirty_five_percent_of_the_cavity_is_dark_and_little_at_the_base(round_chamber):
    shares = []
    for z in (0.5, 0.95):
        plane, radius = at(z, round_chamber)
        drawn = (CavityContent.draw(Stream(0, number, Purpose.COHORT)) for number in range(25))
        shares.append([c.muscle(plane, round_chamber, radius < 0, FLAT).sum() / (radius < 0).sum() for c in drawn])
    assert min(shares[0]) > 0.08 and max(shares[0]) < 0.37 and 0.15 < np.median(shares[0]) < 0.25
    assert np.median(shares[1]) < 0.05


def test_muscle_lies_in_the_cavity_only(round_chamber):
    plane, radius = at(0.4, round_chamber)
    assert not content().muscle(plane, round_chamber, radius < 0, FLAT)[radius >= 0].any()


def test_the_outflow_tract_opens_a_sector_of_the_ring_at_the_base(round_chamber):
    tract = content(outflow_from=0.85, outflow_angle=np.pi / 2, outflow_half_width=0.4)
    plane, radius = at(0.95, round_chamber)
    opened = tract.outflow(plane, radius)
    wall = (radius >= 0) & (radius < 0.8)
    assert opened.sum() / wall.sum() == pytest.approx(0.4 / np.pi, abs=0.01)
    assert not opened[~wall].any() and opened[:160].sum() == opened.sum()
    assert not tract.outflow(*at(0.8, round_chamber)).any()
