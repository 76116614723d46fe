"""Known spectra and Gaussians whose Frechet distance has a closed form."""

import math

import numpy as np
import pytest

from cldm_runtime.errors import InputError
from cldm_runtime.metrics.realism import (
    frechet_distance,
    high_frequency_ratio,
    high_frequency_share,
    kernel_distance,
    latent_spread,
)

ONE_MM = (1.0, 1.0)


def wave(cycles_per_pixel, size=64):
    return np.sin(2 * np.pi * cycles_per_pixel * np.arange(size))[None, None] * np.ones((1, size, 1))


def gaussian(mean, deviation, n=500, seed=0):
    """Samples whose mean and diagonal covariance are exactly as asked."""
    raw = np.random.default_rng(seed).normal(size=(n, len(mean)))
    raw -= raw.mean(0)
    white = raw @ np.linalg.inv(np.linalg.cholesky(np.cov(raw, rowvar=False))).T
    return white * deviation + mean


def test_a_slow_wave_has_no_high_frequencies_and_a_fast_one_only_those():
    assert high_frequency_share(wave(0.125), ONE_MM)[0] < 0.01
    assert high_frequency_share(wave(0.375), ONE_MM)[0] > 0.99


def test_the_cutoff_is_in_cycles_per_mm():
    # 0.125 cycles a pixel of 0.25 mm are 0.5 cycles/mm.
    assert high_frequency_share(wave(0.125), (0.25, 0.25))[0] > 0.99


def test_white_noise_has_the_share_of_the_area():
    noise = np.random.default_rng(0).normal(size=(200, 32, 32))
    f = np.fft.fftfreq(32)
    expected = (np.hypot(f[:, None], f) >= 0.25).mean()
    assert high_frequency_share(noise, ONE_MM).mean() == pytest.approx(expected, abs=0.02)


def test_brightness_and_scale_do_not_count():
    noise = np.random.default_rng(0).normal(size=(4, 32, 32))
    assert high_frequency_ratio(3 * noise + 7, noise, ONE_MM) == pytest.approx(1)


def test_a_constant_slice_has_no_share():
    assert math.isnan(high_frequency_share(np.ones((1, 8, 8)), ONE_MM)[0])


def test_latent_spread_by_channel():
    real = np.random.default_rng(0).normal(size=(50, 2, 4, 4))
    assert latent_spread(real * np.array([0.5, 2.0])[:, None, None], real) == pytest.approx([0.5, 2.0])


def test_frechet_distance_of_gaussians_in_closed_form():
    # |mu|^2 + sum (s1 - s2)^2 = 9 + (2 - 1)^2 + (1 - 3)^2
    a, b = gaussian([0, 0], [2.0, 1.0]), gaussian([3, 0], [1.0, 3.0], seed=1)
    assert frechet_distance(a, b) == pytest.approx(14)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_of_covariances_that_do_not_commute():
    # 2x2: Tr sqrt(AB) = sqrt(Tr AB + 2 sqrt det AB)
    a, b = gaussian([0, 0], [2.0, 1.0]), gaussian([0, 0], [1.0, 3.0], seed=1)
    angle = 0.6
    b = b @ np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    product = np.cov(a, rowvar=False) @ np.cov(b, rowvar=False)
    cross = math.sqrt(np.trace(product) + 2 * math.sqrt(np.linalg.det(product)))
    assert frechet_distance(a, b) == pytest.approx(5 + 10 - 2 * cross)


def test_fewer_samples_than_features():
    features = np.random.default_rng(0).normal(size=(10, 64))
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(features, features + 1) == pytest.approx(64)


def test_features_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="same F"):
        frechet_distance(np.zeros((4, 3)), np.zeros((4, 2)))


def test_kernel_distance_by_hand():
    # F = 1, x = {0, 1}, y = {0, 2}: k(0, .) = 1, k(1, 2) = 27, so 1 + 1 - 2 (1 + 1 + 1 + 27) / 4.
    assert kernel_distance(np.array([[0.0], [1.0]]), np.array([[0.0], [2.0]])) == pytest.approx(2 - 15)


def test_kernel_distance_is_the_sum_over_pairs_of_different_samples():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(7, 5)).astype(np.float32), random.normal(size=(4, 5)).astype(np.float32) + 0.5

    def mean(a, b, same):
        return np.mean([(np.dot(p.astype(float), q) / 5 + 1) ** 3
                        for i, p in enumerate(a) for j, q in enumerate(b) if not (same and i == j)])

    assert kernel_distance(x, y) == pytest.approx(mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False))


def test_features_that_do_not_fit_the_kernel_are_refused():
    with pytest.raises(InputError, match="at least two samples"):
        kernel_distance(np.zeros((1, 3)), np.zeros((4, 3)))


def test_a_volume_of_equal_planes_has_the_power_of_its_frequency() -> None:
    wave = np.cos(2 * np.pi * 0.25 * np.arange(32))  # cycles a voxel
    volume = np.broadcast_to(wave, (1, 16, 16, 32))
    assert high_frequency_share(volume, (1.0, 1.0, 0.5), 0.45)[0] > 0.6  # 0.5 cycles/mm along the last axis
    assert high_frequency_share(volume, (1.0, 1.0, 2.0), 0.45)[0] < 0.01
