"""A reader's contours on rings of known size."""

import numpy as np
import pytest

from cldm_runtime.domains.lge.phantom2.contours import ENDOCARDIUM, EPICARDIUM, Offsets, read_contours
from cldm_runtime.domains.lge.tidy import tidy
from cldm_runtime.noise import Purpose, Stream

SPACING = 1.5


def ring(inner_mm=20.0, outer_mm=30.0, levels=8, pixels=64):
    axis = (np.arange(pixels) - (pixels - 1) / 2) * SPACING
    rho = np.hypot(axis[:, None], axis[None, :])
    labels = np.where(rho < inner_mm, 1, np.where(rho < outer_mm, 2, 0)).astype(np.uint8)
    return np.repeat(labels[None], levels, axis=0)


def read(labels, number=0):
    return read_contours(labels, SPACING, Stream(0, number, Purpose.READER))


def radius(mask):
    return np.sqrt(mask.sum(axis=(1, 2)) / np.pi) * SPACING


def test_contours_miss_the_edges_by_what_was_measured():
    true, found = ring(), [read(ring(), number) for number in range(40)]
    endo = np.array([radius(labels == 1) - radius(true == 1) for labels in found])
    epi = np.array([radius(labels > 0) - radius(true > 0) for labels in found])
    assert (endo.mean(), epi.mean()) == pytest.approx((0.3, -0.7), abs=0.2)
    assert (endo.std(), epi.std()) == pytest.approx((0.6, 0.7), abs=0.15)
    assert endo.mean(axis=1).std() > endo.std(axis=1).mean()  # a reader's habit is stronger than chance


def test_the_stated_deviations_are_those_of_stack_and_slice_together():
    assert np.hypot(ENDOCARDIUM.stack, ENDOCARDIUM.slice) == pytest.approx(0.6, abs=0.01)
    assert np.hypot(EPICARDIUM.stack, EPICARDIUM.slice) == pytest.approx(0.7, abs=0.01)


def test_waves_have_their_deviation():
    stream, theta = Stream(0, 0, Purpose.READER), np.linspace(0, 2 * np.pi, 64, endpoint=False)
    order = np.arange(1.0, 5.0)[:, None]
    drawn = [Offsets(0.0, 0.0, 0.0, 0.5).draw_slice(stream, 0.0)[1:] for _ in range(400)]
    waves = np.array(drawn) @ np.concatenate([np.cos(order * theta), np.sin(order * theta)])
    assert waves.std() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("sizes", [(3.0, 7.0), (20.0, 23.5), (24.0, 34.0)])
def test_the_ring_stays_closed(sizes):
    for number in range(20):
        assert all(tidy(level) is not None for level in read(ring(*sizes), number))


def test_an_infarct_stays_where_it_was_and_about_as_large():
    true = ring()
    true[:, :, 40:][true[:, :, 40:] == 2] = 3
    sizes = [(read(true, number) >= 3).sum() for number in range(30)]
    assert np.std(sizes) / np.mean(sizes) == pytest.approx(0.115, abs=0.05)  # Klem 2017: 8 to 15 %
    assert (read(true)[:, :, :38] < 3).all()


def test_a_speck_is_not_outlined_and_a_hole_is_filled():
    true = ring()
    true[:, 31, 49:51] = 3
    assert (read(true) < 3).all()
    true[:, 26:38, 45:52] = np.where(true[:, 26:38, 45:52] == 2, 3, true[:, 26:38, 45:52])
    true[:, 32, 48] = 2
    assert (read(true)[:, 32, 48] == 3).all()


def test_the_same_reader_draws_the_same_contours():
    np.testing.assert_array_equal(read(ring(), 4), read(ring(), 4))
    assert (read(ring(), 4) != read(ring(), 5)).any()


def test_an_empty_slice_stays_empty_and_the_core_keeps_its_label():
    true = ring()
    true[0] = 0
    true[:, 28:36, 45:50][true[:, 28:36, 45:50] == 2] = 4
    found = read(true)
    assert not found[0].any() and (found[1:, 32, 47] == 4).all()
