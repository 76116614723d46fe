"""Attributes of images with their label maps, of rings with known greys and noise."""

import numpy as np
import pytest

from cldm_runtime.domains.acquisition.scanner import Scan, Scanner
from cldm_runtime.domains.lge.contrast import IMAGE_NAMES, ContrastReason, measure_contrast, remote_wall
from cldm_runtime.errors import InputError

BACKGROUND, BLOOD, REMOTE, SCAR, NO_REFLOW = GREYS = np.array([0.35, 0.6, 0.24, 0.54, 0.3])


def ring(scar: bool = True) -> np.ndarray:
    y, x = np.mgrid[:128, :128] - 63.5
    radius, labels = np.hypot(y, x), np.zeros((128, 128), np.uint8)
    labels[radius < 30], labels[radius < 20] = 2, 1
    labels[(labels == 2) & (np.abs(y) < 12) & (x > 0) & scar] = 3
    return labels


def noisy(labels: np.ndarray, level: float) -> np.ndarray:
    noise, still = np.random.default_rng(0).standard_normal((1, 1, 128, 128)), np.zeros(1)
    scan = Scan(np.array([level]), *np.full((2, 1), 1.4), still, still, still, still)
    return Scanner((1.0, 1.0)).acquire(GREYS[labels][None, None], noise, scan)


@pytest.mark.parametrize("level", [0.03, 0.06])
def test_contrast_noise_and_nulling_are_those_that_were_drawn(level: float) -> None:
    found = measure_contrast(noisy(ring(), level), ring()[None])
    assert found.names == IMAGE_NAMES == ("lesion_contrast", "noise_level", "remote_nulling")
    assert not found.reasons.any()
    np.testing.assert_allclose(found.values[0], [0.3 / level, level, 0.24 / 0.6], rtol=0.12)


def test_no_reflow_is_no_contrast() -> None:
    labels = ring()
    labels[(labels == 3) & (np.mgrid[:128, :128][0] > 64)] = 4
    found = measure_contrast(noisy(labels, 0.03), labels[None])
    assert found.values[0, 0] == pytest.approx(10, rel=0.12)


def test_what_is_not_there_has_a_reason() -> None:
    blank, whole = np.zeros((128, 128), np.uint8), np.where(ring() == 2, 3, ring()).astype(np.uint8)
    images = np.concatenate([noisy(labels, 0.03) for labels in (ring(scar=False), blank, whole)])
    found = measure_contrast(images, np.stack([ring(scar=False), blank, whole]))
    assert found.reasons[:, 0].tolist() == [1, 1, ContrastReason.NO_REMOTE]
    assert found.reasons[:, 2].tolist() == [0, ContrastReason.NO_REMOTE, ContrastReason.NO_REMOTE]
    assert np.isnan(found.values[found.reasons > 0]).all() and np.isfinite(found.values[:, 1]).all()


def test_an_image_without_noise_has_no_contrast_over_it() -> None:
    found = measure_contrast(np.full((1, 1, 128, 128), 0.5), ring()[None])
    assert found.reasons[0].tolist() == [ContrastReason.NO_NOISE, ContrastReason.NO_NOISE, 0]


def test_remote_wall_is_away_from_infarct_and_borders() -> None:
    remote, labels = remote_wall(ring()), ring()
    assert remote.sum() > 100 and (labels[remote] == 2).all()
    assert not remote[52 - 3 : 76 + 3, 84:93].any() and not remote_wall(np.zeros((9, 9), np.uint8)).any()


def test_images_that_do_not_fit_the_label_maps_are_refused() -> None:
    with pytest.raises(InputError, match=r"found images \(1, 1, 8, 9\)"):
        measure_contrast(np.zeros((1, 1, 8, 9)), np.zeros((1, 8, 8), np.uint8))
