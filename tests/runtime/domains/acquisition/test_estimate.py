"""Estimates against known truth: anatomy of soft and hard ellipses, with noise, band and rim that were put in."""

import numpy as np
import pytest
from scipy import ndimage

from cldm_runtime.domains.acquisition.band import NYQUIST, Taper
from cldm_runtime.domains.acquisition.estimate import estimate, taper
from cldm_runtime.domains.acquisition.scanner import Scan, Scanner

COUNT, SIZE = 16, 128
TAPERED = Taper((0.6, 0.9, 1.1), (1.0, 0.5, 0.0))


def anatomy(random: np.random.Generator) -> np.ndarray:
    """A smooth background with 15 ellipses of other greys, borders of about 2 mm."""
    y, x = np.mgrid[:SIZE, :SIZE]
    image = 0.35 + 0.1 * np.sin(x / 30 + random.uniform(0, 6)) * np.cos(y / 25)
    for _ in range(15):
        row, column, long, short, turn = random.uniform((0, 0, 5, 5, 0), (SIZE, SIZE, 30, 30, np.pi))
        down, across = y - row, x - column
        u, v = across * np.cos(turn) + down * np.sin(turn), down * np.cos(turn) - across * np.sin(turn)
        image = np.where(np.hypot(u / long, v / short) < 1, random.uniform(0.25, 0.75), image)
    return ndimage.gaussian_filter(image, 0.9)


def scanned(level: np.ndarray, pixel_mm: tuple[float, float], scanner: Scanner, rim: tuple[int, ...] = (0, 0, 0, 0)
            ) -> np.ndarray:
    random = np.random.default_rng(0)
    images = np.stack([anatomy(random) for _ in range(COUNT)])[:, None]
    values = [level, *(np.full(COUNT, value) for value in (*pixel_mm, *rim))]
    noise = random.standard_normal((COUNT, 2, SIZE, SIZE))
    return np.rint(scanner.acquire(images, noise, Scan(*values))[:, 0] * 65535) / 65535


LEVELS = np.geomspace(0.02, 0.08, COUNT)


@pytest.mark.parametrize("detection", ["real", "magnitude"])
def test_noise_is_found_amid_anatomy_within_a_quarter(detection: str) -> None:
    found = estimate(scanned(LEVELS, (1.4, 1.6), Scanner((1.0, 1.0), detection))).noise_level  # type: ignore[arg-type]
    assert np.abs(found / LEVELS - 1).max() < 0.25 and np.median(found / LEVELS) == pytest.approx(1, abs=0.1)


def test_noise_that_is_hardly_there_is_not_made_larger_than_borders_leave() -> None:
    assert estimate(scanned(np.zeros(COUNT), (1.5, 1.5), Scanner((1.0, 1.0)))).noise_level.max() < 0.02


@pytest.mark.parametrize("pixels", [(1.3, 1.7), (1.5, 1.5), (2.2, 1.3)])
def test_the_cuts_are_found_within_5_percent(pixels: tuple[float, float]) -> None:
    found = estimate(scanned(LEVELS, pixels, Scanner((1.0, 1.0)))).cuts
    np.testing.assert_allclose(0.5 / found, np.tile(pixels, (COUNT, 1)), rtol=0.05)


def test_an_image_as_fine_as_its_pixels_has_no_cut() -> None:
    assert (estimate(scanned(LEVELS, (1.0, 1.0), Scanner((1.0, 1.0)))).cuts == NYQUIST).mean() > 0.9


def test_the_rim_is_found_and_left_out() -> None:
    found = estimate(scanned(LEVELS, (1.5, 1.5), Scanner((1.0, 1.0)), (3, 0, 7, 1)))
    assert found.rim.tolist() == [[3, 0, 7, 1]] * COUNT
    assert np.median(found.noise_level / LEVELS) == pytest.approx(1, abs=0.1)


def test_the_taper_of_a_cohort_is_found_within_a_tenth() -> None:
    images = scanned(np.full(COUNT, 0.05), (1.5, 1.5), Scanner((1.0, 1.0), taper=TAPERED))
    found = taper(list(images), [(1 / 3, 1 / 3)] * COUNT)
    shares = np.array(found.shares[:-1])
    expected = np.interp(shares, TAPERED.shares, TAPERED.weights)
    np.testing.assert_allclose(found.weights[:-1], expected, atol=0.12)


def test_an_empty_image_tells_nothing() -> None:
    found = estimate(np.zeros((1, 64, 64)))
    assert np.isnan(found.noise_level).all() and found.rim.tolist() == [[0, 0, 0, 0]]
