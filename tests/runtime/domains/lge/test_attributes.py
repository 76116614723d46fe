"""Attributes on annuli and sectors whose values are known from geometry, and the defined special cases."""

import numpy as np
import pytest

from cldm_runtime.domains.attributes import Reason
from cldm_runtime.domains.lge.attributes import HEALTHY, INFARCT, LV_CAVITY, MVO, LgeReason, find_wall
from cldm_runtime.domains.registry import measure
from cldm_runtime.errors import InputError

CENTRE = 63.5
Y, X = np.mgrid[:128, :128]
RHO = np.hypot(Y - CENTRE, X - CENTRE)
THETA = np.arctan2(CENTRE - Y, X - CENTRE) % (2 * np.pi)
INNER, OUTER = 24.0, 40.0


def annulus(infarct=None, infarct_label=INFARCT):
    labels = np.where(RHO < INNER, LV_CAVITY, np.where(RHO < OUTER, HEALTHY, 0)).astype(np.uint8)
    if infarct is not None:
        labels[(labels == HEALTHY) & infarct] = infarct_label
    return labels


def values_of(labels):
    return measure(labels).values[0]


def test_full_thickness_sector_of_90_degrees():
    size, transmurality, surface, _ = values_of(annulus(np.pi / 2 > THETA))
    assert size == pytest.approx(0.25, abs=0.002)
    assert transmurality == pytest.approx(1.0)
    assert surface == pytest.approx(0.25, abs=0.002)


def test_half_depth_ring_goes_all_the_way_round():
    depth = 0.5
    size, transmurality, surface, _ = values_of(annulus(INNER + depth * (OUTER - INNER) > RHO))
    area = ((INNER + depth * (OUTER - INNER)) ** 2 - INNER**2) / (OUTER**2 - INNER**2)  # 0.4375
    assert size == pytest.approx(area, abs=0.01)
    assert transmurality == pytest.approx(area, abs=0.01)
    assert surface == pytest.approx(1.0)


def test_half_depth_sector():
    half = RHO < INNER + 0.5 * (OUTER - INNER)
    size, transmurality, surface, _ = values_of(annulus(half & (np.pi > THETA)))
    assert size == pytest.approx(0.4375 / 2, abs=0.01)
    assert transmurality == pytest.approx(0.4375, abs=0.01)
    assert surface == pytest.approx(0.5, abs=0.01)


def test_mid_wall_infarct_spares_the_endocardium():
    middle = (RHO > INNER + 0.4 * (OUTER - INNER)) & (RHO < INNER + 0.6 * (OUTER - INNER))
    size, transmurality, surface, _ = values_of(annulus(middle & (np.pi / 2 > THETA)))
    assert size > 0.04
    assert transmurality == pytest.approx(4 * size, rel=0.03)
    assert surface == 0.0


def test_half_a_section_halves_its_share():
    width = 2 * np.pi / 36
    _, transmurality, _, _ = values_of(annulus((3 * width < THETA) & (3.5 * width > THETA)))
    assert transmurality == pytest.approx(0.5, abs=0.06)


def test_two_separate_sectors_average_over_the_sections_that_hold_infarct():
    whole = (np.pi / 6 > THETA)
    shallow = (np.pi < THETA) & (np.pi + np.pi / 6 > THETA) & (RHO < INNER + 0.5 * (OUTER - INNER))
    _, transmurality, _, _ = values_of(annulus(whole | shallow))
    assert transmurality == pytest.approx((1.0 + 0.4375) / 2, abs=0.02)


def test_microvascular_obstruction_counts_as_infarct():
    sector = THETA < 1.0
    np.testing.assert_array_equal(values_of(annulus(sector)), values_of(annulus(sector, MVO)))


def test_without_infarct_transmurality_is_undefined():
    found = measure(annulus())
    assert found.values[0, :3].tolist()[0::2] == [0.0, 0.0]
    assert np.isnan(found["transmurality"][0])
    assert found.reasons[0].tolist() == [Reason.MEASURED, LgeReason.NO_INFARCT, Reason.MEASURED, Reason.NEEDS_STACK]


def test_empty_label_map_is_undefined():
    found = measure(np.zeros((16, 16), np.uint8))
    assert np.isnan(found.values).all()
    assert found.reasons[0, 0] == LgeReason.NO_WALL


def test_open_ring_with_a_cavity_counts_the_wall_that_is_there():
    labels = annulus(np.pi / 2 > THETA)
    labels[(np.pi < THETA) & (RHO >= INNER)] = 0  # the lower half has no wall
    size, transmurality, _, _ = values_of(labels)
    assert size == pytest.approx(0.5, abs=0.01)
    assert transmurality == pytest.approx(1.0)


def test_closed_ring_without_a_labelled_cavity_uses_its_hole():
    labels = annulus(np.pi / 2 > THETA)
    unlabelled = np.where(labels == LV_CAVITY, 0, labels).astype(np.uint8)
    np.testing.assert_allclose(values_of(unlabelled), values_of(labels))


def test_solid_wall_has_no_endocardium():
    found = measure(np.where(RHO < 10, INFARCT, 0).astype(np.uint8))
    assert found.values[0, 0] == 1.0
    assert found.reasons[0, 1] == found.reasons[0, 2] == LgeReason.NO_ENDOCARDIUM


def test_radius_of_a_thick_wall_is_the_geometric_one():
    wall = find_wall(annulus())
    expected = (RHO.reshape(-1)[wall.index] - INNER) / (OUTER - INNER) < 0.25
    assert np.mean(wall.inner == expected) > 0.95


def slab(thickness):
    """A wall of so many pixels above and below a cavity of 5 x 41 pixels, seen far from its ends."""
    labels = np.zeros((5 + 2 * thickness, 41 + 2 * thickness), np.uint8)
    labels[:], labels[thickness:-thickness, thickness:-thickness] = HEALTHY, LV_CAVITY
    return labels


@pytest.mark.parametrize(("thickness", "inner"), [
    (1, 0),  # r = 0.5
    (2, 0),  # r = 0.25 and 0.75, and 0.25 is not below a quarter
    (3, 1),  # r = 1/6, ...
    (4, 1),  # r = 1/8, 3/8, ...
    (6, 1),  # r = 1/12, 1/4, ...
    (7, 2),  # r = 1/14, 3/14, 5/14, ...
    (12, 3)])  # r = 1/24, 3/24, 5/24, 7/24, ...
def test_distances_run_from_pixel_centres_to_the_boundary(thickness, inner):
    labels = slab(thickness)
    wall, found = find_wall(labels), np.zeros(labels.size, bool)
    found[wall.index] = wall.inner
    column = found.reshape(labels.shape)[:, labels.shape[1] // 2]
    assert column[:thickness].tolist() == [False] * (thickness - inner) + [True] * inner
    assert column[-thickness:].tolist() == [True] * inner + [False] * (thickness - inner)


def test_angles_run_about_the_centroid_of_the_cavity():
    labels = np.full((12, 14), HEALTHY, np.uint8)
    labels[4:8, 4], labels[7, 5:9] = LV_CAVITY, LV_CAVITY  # mean row (4 + 5 + 6 + 7 + 4 x 7) / 8 = 6.25, column 5.25
    wall, sections = find_wall(labels), np.full(labels.size, -1)
    sections[wall.index] = wall.section
    found = sections.reshape(labels.shape)
    assert (found[6, 13], found[7, 13]) == (0, 35)  # 0.25 / 7.75 above the centre is 1.8 degrees, 0.75 below
    assert (found[0, 5], found[0, 6], found[11, 5], found[11, 6]) == (9, 8, 26, 27)  # 92.3, 83.2, 267, 279 degrees
    assert (found[6, 0], found[7, 0]) == (17, 18)


def test_a_section_holds_the_angle_that_it_begins_at():
    labels = np.full((11, 11), HEALTHY, np.uint8)
    labels[5, 5] = LV_CAVITY
    wall, sections = find_wall(labels), np.full(labels.size, -1)
    sections[wall.index] = wall.section
    found = sections.reshape(labels.shape)
    assert [found[5, 10], found[0, 5], found[5, 0], found[10, 5]] == [0, 9, 18, 27]


def test_a_label_map_is_measured_wherever_it_lies():
    small = slab(4)
    small[0, 10:20] = INFARCT  # 10 of 13 x 49 - 5 x 41 = 432 pixels of wall, all outside the inner quarter
    for top, left in ((0, 0), (3, 0), (0, 5), (2, 7)):
        large = np.zeros((20, 60), np.uint8)
        large[top:top + small.shape[0], left:left + small.shape[1]] = small
        found = find_wall(large)
        assert values_of(large)[[0, 2]] == pytest.approx([10 / 432, 0.0])
        assert np.array_equal(np.flatnonzero(large.ravel() >= HEALTHY), found.index)


def test_position_and_rotation_do_not_matter():
    labels = annulus(np.pi / 2 > THETA)
    np.testing.assert_allclose(values_of(np.roll(labels, (9, -7), (0, 1))), values_of(labels))
    np.testing.assert_allclose(values_of(np.rot90(labels)), values_of(labels), atol=1e-6)


def test_unknown_label_is_refused():
    with pytest.raises(InputError, match=r"unknown label values \[7\]"):
        measure(np.full((8, 8), 7, np.uint8))


def test_batch_and_single_agree():
    maps = np.stack([annulus(THETA < 1), annulus()])
    np.testing.assert_array_equal(measure(maps).values[0], values_of(maps[0]))
