"""MS-SSIM against MONAI and scikit-image, and variety within conditions counted by hand."""

import math

import numpy as np
import pytest

from cldm_runtime.errors import InputError
from cldm_runtime.metrics.similarity import (
    BETA,
    ms_ssim,
    random_pair_ssim,
    scale_weights,
    ssim_terms,
    within_condition_spread,
    within_condition_ssim,
)


def pictures(count: int, size: int = 128, noise: float = 0.1) -> np.ndarray:
    """Discs of several sizes with noise, (count, size, size)."""
    rng, (y, x) = np.random.default_rng(0), np.mgrid[:size, :size] - size / 2
    discs = np.hypot(y, x)[None] < size * np.linspace(0.2, 0.4, count)[:, None, None]
    return np.clip(0.2 + 0.5 * discs + noise * rng.standard_normal(discs.shape), 0, 1).astype(np.float32)


def test_ms_ssim_agrees_with_monai() -> None:
    torch, regression = pytest.importorskip("torch"), pytest.importorskip("monai.metrics.regression")
    a, b = pictures(6), pictures(6)[::-1].copy()
    reference = regression.compute_ms_ssim(torch.from_numpy(a[:, None]), torch.from_numpy(b[:, None]), 2,
                                           weights=scale_weights(128, 128).tolist())
    assert ms_ssim(a, b) == pytest.approx(reference[:, 0].numpy(), abs=2e-5)
    assert np.ptp(ms_ssim(a, b)) > 0.2


def test_one_scale_agrees_with_scikit_image() -> None:
    metrics = pytest.importorskip("skimage.metrics")
    a, b = pictures(3), pictures(3)[::-1].copy()
    reference = [metrics.structural_similarity(x, y, data_range=1, gaussian_weights=True, use_sample_covariance=False)
                 for x, y in zip(a, b, strict=True)]
    assert ssim_terms(a, b)[0] == pytest.approx(reference, abs=1e-5)
    assert ms_ssim(a[:, :16, :16], b[:, :16, :16]) == pytest.approx(
        ssim_terms(a[:, :16, :16], b[:, :16, :16])[0], abs=1e-6)  # too small for a second scale


def test_the_weights_of_the_scales_sum_to_one() -> None:
    assert scale_weights(176, 200) == pytest.approx(BETA, abs=1e-4) and len(scale_weights(175, 200)) == 4
    assert scale_weights(128, 128) == pytest.approx(np.array(BETA[:4]) / 0.8668)


def test_equal_images_are_alike_and_constants_differ_in_luminance_only() -> None:
    assert ms_ssim(pictures(2), pictures(2)) == pytest.approx([1, 1])
    black, grey = np.zeros((1, 16, 16)), np.full((1, 16, 16), 0.5)
    assert ms_ssim(black, grey) == pytest.approx([1e-4 / (0.25 + 1e-4)], rel=1e-3)


def test_opposite_images_count_zero_and_channels_are_averaged() -> None:
    a = pictures(2)
    assert ms_ssim(a, 1 - a) == pytest.approx([0, 0])
    assert ms_ssim(a[:, None].repeat(3, 1), a[::-1, None].repeat(3, 1)) == pytest.approx(ms_ssim(a, a[::-1]))


@pytest.mark.parametrize(("a", "b", "message"), [
    (np.zeros((1, 16, 16)), np.zeros((2, 16, 16)), "expected one shape"),
    (np.zeros((1, 16)), np.zeros((1, 16)), r"expected \(N, H, W\)"),
    (np.zeros((1, 10, 16)), np.zeros((1, 10, 16)), "at least 11 along each axis"),
    (np.zeros((1, 16, 16)), np.full((1, 16, 16), 2.0), "expected 0 to 1"),
    (np.zeros((1, 16, 16)), np.eye(16)[None] * 1.1, "reach from 0.0 to 1.1, expected 0 to 1"),
    (np.zeros((1, 16, 16)), np.eye(16)[None] * -0.1, "reach from -0.1 to -0.0, expected 0 to 1"),
    (np.full((1, 16, 16), np.nan), np.zeros((1, 16, 16)), "from nan to nan"),
])
def test_what_cannot_be_compared_is_refused(a: np.ndarray, b: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ms_ssim(a, b)


def test_each_condition_counts_alike() -> None:
    images = pictures(6)[[0, 3, 5, 1, 1, 2]]
    found = within_condition_ssim(images, ["a", "a", "a", "b", "b", "c"])
    three = ms_ssim(images[[0, 0, 1]], images[[1, 2, 2]]).mean()
    assert (found.n_conditions, found.n_pairs, found.n_alone) == (2, 4, 1)
    assert found.ms_ssim.value == pytest.approx((three + 1) / 2)  # the two of b are equal
    assert found.ms_ssim.low == pytest.approx(three) and found.ms_ssim.high == pytest.approx(1)


def test_without_repeated_conditions_there_is_no_value() -> None:
    found = within_condition_ssim(pictures(3, 16), [0, 1, 2])
    assert math.isnan(found.ms_ssim.value) and (found.n_conditions, found.n_alone) == (0, 3)
    with pytest.raises(InputError, match="expected a condition for each of 3"):
        within_condition_ssim(pictures(3, 16), [0, 1])


def test_random_pairs_use_each_image_once() -> None:
    images = np.stack([np.full((16, 16), grey) for grey in (0.0, 0.0, 0.0, 1.0, 1.0)])
    values = {random_pair_ssim(images, seed=seed).ms_ssim.value for seed in range(20)}
    assert {round(value, 3) for value in values} == {0.0, 0.5, 1.0}
    found = random_pair_ssim(images, pairs=7)
    assert (found.n_pairs, found.n_alone) == (2, 1) and found == random_pair_ssim(images, pairs=7)


def test_no_image_is_in_two_random_pairs() -> None:
    images = np.stack([np.full((16, 16), grey) for grey in (0.0, 0.0, 1.0, 1.0)])  # both pairs differ, or none
    values = {round(random_pair_ssim(images, seed=seed).ms_ssim.value, 3) for seed in range(20)}
    assert values == {0.0, 1.0}


def test_spread_is_a_ratio_of_variances() -> None:
    features = np.array([[0.0, 1], [2, 1], [5, 5], [5, 9], [8, 8]])
    reference = np.array([[0.0, 0], [4, 8]])  # variances 8 and 32
    assert within_condition_spread(features, [0, 0, 1, 1, 2], reference) == pytest.approx((2 + 8) / 2 / 40)
    assert within_condition_spread(reference, [0, 0], reference) == pytest.approx(1)
    assert math.isnan(within_condition_spread(features, range(5), reference))


@pytest.mark.parametrize(("features", "message"), [
    (np.zeros((2, 3)), "with the same F"), (np.full((2, 2), np.nan), "finite numbers")])
def test_features_that_do_not_fit_are_refused(features: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        within_condition_spread(features, [0, 0], np.zeros((4, 2)))


def test_volumes_by_the_same_rules() -> None:
    volume = np.random.default_rng(0).uniform(0, 1, (2, 12, 24, 24)).astype(np.float32)
    assert ms_ssim(volume, volume, axes=3) == pytest.approx([1, 1])
    assert ms_ssim(volume, volume[::-1], axes=3) == pytest.approx([0, 0], abs=0.2)
    constant = np.repeat(volume[:, :1], 12, axis=1)  # planes that are alike: the window along them changes nothing
    other = np.repeat(volume[::-1, :1], 12, axis=1)
    assert scale_weights(12, 24, 24) == pytest.approx([1])
    assert ms_ssim(constant, other, axes=3) == pytest.approx(
        [ssim_terms(constant[:, 0], other[:, 0])[0].clip(0)[row] for row in (0, 1)], abs=1e-4)


def test_intervals_of_conditions_run_over_patients_where_they_are_known() -> None:
    """Conditions of patient a hold equal images, those of b opposite ones."""
    black, white = np.zeros((16, 16)), np.ones((16, 16))
    images = np.stack([black, black] * 6 + [black, white] * 6)
    groups, patients = np.repeat(np.arange(12), 2), np.repeat(["a", "b"], 12)
    found = within_condition_ssim(images, groups, patients=patients).ms_ssim
    assert (found.low, found.high) == pytest.approx((0.0, 1.0), abs=1e-3)
    assert within_condition_ssim(images, groups).ms_ssim.low > 0.1
