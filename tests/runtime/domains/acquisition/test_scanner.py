"""The physics of the last graph, by hand and by the laws of the noise."""

import numpy as np
import pytest
import scipy.fft

from cldm_runtime.domains.acquisition.band import Taper
from cldm_runtime.domains.acquisition.scanner import Scan, Scanner


def scan_of(level: float = 0.0, pixel_mm: float = 1.0, rim: tuple[int, int, int, int] = (0, 0, 0, 0)) -> Scan:
    return Scan(*(np.array([value], dtype=np.float64) for value in (level, pixel_mm, pixel_mm, *rim)))


GREY, NOISE = np.full((1, 1, 64, 64), 0.5), np.random.default_rng(0).standard_normal((1, 2, 64, 64))


def test_without_noise_and_cut_nothing_changes() -> None:
    image = np.random.default_rng(1).random((1, 1, 8, 8))
    np.testing.assert_allclose(Scanner((1.0, 1.0)).acquire(image, image, scan_of()), image, atol=1e-12)


def test_noise_has_the_level_and_stays_within_the_band() -> None:
    image = Scanner((1.0, 1.0)).acquire(GREY, NOISE, scan_of(0.05, 2.0))
    power = np.square(scipy.fft.dctn(image[0, 0] - 0.5, norm="ortho"))
    assert np.sqrt(power[1:31, 1:31].mean()) == pytest.approx(0.05, rel=0.05)
    assert power[36:].max() < 1e-20 and power[:, 36:].max() < 1e-20


def test_a_taper_damps_noise_and_not_the_signal() -> None:
    half = Scanner((1.0, 1.0), taper=Taper((0.0, 1.0), (0.5, 0.5)))
    wave = 0.5 + 0.1 * np.cos(np.pi * 20 * (np.arange(64) + 0.5) / 64)[:, None] * np.ones(64)
    np.testing.assert_allclose(half.acquire(wave[None, None], NOISE, scan_of())[0, 0], wave, atol=1e-12)
    assert half.acquire(GREY, NOISE, scan_of(0.05)).std() == pytest.approx(0.5 * 0.5 * 0.1 * 0.5, rel=0.05)


def test_magnitude_noise_without_signal_is_of_rayleigh() -> None:
    image = Scanner((1.0, 1.0), "magnitude", zero=0.2).acquire(0 * GREY + 0.2, NOISE, scan_of(0.05)) - 0.2
    assert image.min() >= 0 and image.mean() == pytest.approx(0.05 * np.sqrt(np.pi / 2), rel=0.03)
    assert image.std() == pytest.approx(0.05 * np.sqrt(2 - np.pi / 2), rel=0.05)


def test_the_rim_is_empty() -> None:
    image = Scanner((1.0, 1.0)).acquire(GREY, NOISE, scan_of(0.01, 1.0, (2, 0, 1, 3)))[0, 0] > 0
    assert np.flatnonzero(image.any(axis=1)).tolist() == list(range(2, 64))
    assert np.flatnonzero(image.any(axis=0)).tolist() == list(range(1, 61))
