"""Comparing images, label maps and attributes; the numbers are done by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest

from cldm_runtime.domains.attributes import Measurement
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.metrics.parity import attribute_drifts, compare, label_flips, largest_error, psnr_db

LGE = get_domain("lge")
UNIT = (0.0, 1.0)


def maps(*rows):
    return np.array(rows, dtype=np.uint8)


def measuring(found, expected):
    """The lge domain, but its first attribute is `found`, then `expected`; the rest is NaN."""
    answers = iter((found, expected))

    def measure(labels, spacing_mm=None):
        values = np.full((len(labels), len(LGE.attributes)), np.nan, dtype=np.float32)
        values[:, 0] = next(answers)
        return Measurement(LGE.attribute_names, values, np.zeros(values.shape, np.uint8))

    return replace(LGE, measure=measure)


def drift_of(found, expected):
    empty = np.zeros((len(found), 2, 2), np.uint8)
    return attribute_drifts(empty, empty, measuring(found, expected))[0]


def test_largest_error():
    assert largest_error(np.array([1.0, 2.0]), np.array([1.5, 2.0])) == 0.5
    assert math.isnan(largest_error(np.array([1.0, np.nan]), np.array([1.0, 1.0])))
    assert math.isnan(largest_error(np.array([np.inf]), np.array([1.0])))
    assert math.isnan(largest_error(np.zeros(2), np.zeros(3)))


def test_psnr_is_that_of_the_value_range():
    found, expected = np.full((2, 1, 4, 4), 0.6), np.full((2, 1, 4, 4), 0.5)
    assert psnr_db(found, expected, UNIT) == pytest.approx(20.0)  # 10 log10(1 / 0.01)
    assert psnr_db(found, expected, (-1.0, 1.0)) == pytest.approx(26.0206)  # 10 log10(4 / 0.01)


def test_psnr_of_equal_images_is_infinite_and_of_no_numbers_none():
    image = np.array([[0.5, 0.25]])
    assert psnr_db(image, image, UNIT) == math.inf
    assert math.isnan(psnr_db(np.array([[0.5, np.nan]]), image, UNIT))
    assert math.isnan(psnr_db(image[0], image, UNIT))


def test_flips_are_counted_over_all_pixels_and_over_the_lesion_of_either_side():
    found, expected = maps([[0, 1, 2], [3, 3, 2]]), maps([[0, 1, 1], [3, 2, 4]])
    flips = label_flips(found, expected, LGE)  # infarct on either side: 3 and 3, 3 and 2, 2 and 4
    assert (flips.pixels, flips.flipped, flips.share) == (6, 3, 0.5)
    assert (flips.lesion.pixels, flips.lesion.flipped) == (3, 2)


def test_without_a_lesion_there_is_no_share_of_it():
    healthy = maps([[0, 1], [2, 2]])
    assert math.isnan(label_flips(healthy, healthy, LGE).lesion.share)
    assert label_flips(healthy, healthy, replace(LGE, lesion=None)).lesion is None


def test_label_maps_of_other_shapes_do_not_compare():
    with pytest.raises(ValueError, match="do not compare"):
        label_flips(maps([[0, 1]]), maps([[0], [1]]), LGE)


def test_the_drift_of_an_attribute():
    drift = drift_of([0.1, 0.2, 0.304], [0.1, 0.202, 0.3])  # apart by 0, 0.002 and 0.004
    assert (drift.attribute, drift.compared, drift.one_sided, drift.tolerance) == ("infarct_size", 3, 0, 0.01)
    assert (drift.mean, drift.median, drift.largest) == pytest.approx((0.002, 0.002, 0.004), abs=1e-7)
    assert drift.percentile_95 == pytest.approx(0.0038, abs=1e-7)  # linear: 0.9 of the way from 0.002 to 0.004
    assert drift.passed


def test_one_sample_beyond_the_tolerance_fails():
    assert drift_of([0.1, 0.2095], [0.1, 0.2]).passed
    assert not drift_of([0.1, 0.2105], [0.1, 0.2]).passed


def test_what_is_defined_on_one_side_only_is_counted_and_fails():
    drift = drift_of([0.1, np.nan, np.nan], [0.1, 0.2, np.nan])
    assert (drift.compared, drift.one_sided, drift.largest) == (1, 1, 0.0)
    assert not drift.passed


def test_what_is_defined_nowhere_is_no_drift():
    drift = drift_of([np.nan], [np.nan])
    assert (drift.compared, drift.one_sided, drift.passed) == (0, 0, True)
    assert math.isnan(drift.largest)


def test_the_drift_is_that_of_the_domains_measurement():
    ring = np.zeros((1, 24, 24), np.uint8)
    ring[0, 4:20, 4:20], ring[0, 8:16, 8:16] = 2, 1  # 256 - 64 = 192 pixels of wall
    scar = ring.copy()
    scar[0, 4:8, 4:10] = 3  # 24 of them
    size, transmurality, _ = attribute_drifts(scar, ring, LGE)  # no slice position: a label map cannot tell it
    assert size.largest == pytest.approx(24 / 192)
    assert (transmurality.compared, transmurality.one_sided) == (0, 1)


def test_images_alone_have_neither_flips_nor_drifts():
    parity = compare(np.full((2, 1, 2, 2), 0.6), np.full((2, 1, 2, 2), 0.5), UNIT)
    assert (parity.samples, parity.flips, parity.drifts) == (2, None, ())
    assert (parity.max_abs, parity.psnr_db) == pytest.approx((0.1, 20.0))
    labels = np.zeros((2, 2, 2), np.uint8)
    assert len(compare(np.zeros(2), np.zeros(2), UNIT, LGE, (labels, labels)).drifts) == 3
