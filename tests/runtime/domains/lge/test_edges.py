"""Borders of drawn rings: their distance from the contour and their width are known."""

import numpy as np
import pytest
from scipy import ndimage

from cldm_runtime.domains.lge.edges import RAYS, cast_rays, endocardium, epicardium

Y, X = np.mgrid[:128, :128] - 63.5
RHO = np.hypot(Y, X)
LABELS = np.where(RHO < 20, 1, np.where(RHO < 30, 2, 0)).astype(np.uint8)


def ring(inner: float, outer: float, beyond: float, blur: float) -> np.ndarray:
    """Blood at 1, a wall at 0 between two radii, and `beyond` outside, blurred by a Gaussian (pixels of 1 mm)."""
    fine = np.hypot(*(np.mgrid[:512, :512] - 255.5)) / 4
    image = np.where(fine < inner, 1.0, np.where(fine < outer, 0.0, beyond))
    return ndimage.gaussian_filter(image, 4 * blur).reshape(128, 4, 128, 4).mean(axis=(1, 3))


@pytest.mark.parametrize("offset", [-2.0, 0.0, 1.5])
def test_a_border_is_found_where_it_lies(offset):
    rays = cast_rays(ring(20 + offset, 30 - offset, 1.0, 1.0), LABELS, 1.0)
    inner, outer = endocardium(rays, 1.0, 0.0), epicardium(rays, 1.0, 0.0)
    assert len(inner.offset_mm) == len(outer.offset_mm) == RAYS
    assert inner.offset_mm.mean() == pytest.approx(offset, abs=0.15)
    assert outer.offset_mm.mean() == pytest.approx(-offset, abs=0.15)


@pytest.mark.parametrize("blur", [1.0, 1.5])
def test_the_width_of_a_gaussian_edge_is_2_56_of_its_deviation(blur):
    rays = cast_rays(ring(20, 30, 1.0, blur), LABELS, 1.0)
    assert endocardium(rays, 1.0, 0.0).width_mm == pytest.approx(2.563 * blur, abs=0.35)
    assert epicardium(rays, 1.0, 0.0).width_mm == pytest.approx(2.563 * blur, abs=0.35)


def test_half_of_the_rim_is_brighter_outside():
    image = np.where(X > 0, ring(20, 30, 1.0, 1.0), ring(20, 30, 0.0, 1.0))
    border = epicardium(cast_rays(image, LABELS, 1.0), 1.0, 0.0)
    assert border.share == pytest.approx(0.5, abs=0.03)


def test_rays_through_infarct_are_left_out():
    labels = np.where((LABELS == 2) & (X > 0) & (np.abs(Y) < X), 3, LABELS).astype(np.uint8)
    rays = cast_rays(ring(20, 30, 1.0, 1.0), labels, 1.0)
    assert np.count_nonzero(rays.healthy) == pytest.approx(0.75 * RAYS, abs=2)


def test_an_even_image_has_no_borders():
    border = endocardium(cast_rays(np.full((128, 128), 2.0), LABELS, 1.0), 1.0, 0.0)
    assert border.offset_mm.size == 0 and border.share == 0 and np.isnan(border.width_mm)


def test_without_cavity_there_are_no_rays():
    assert cast_rays(RHO, np.where(LABELS == 2, 2, 0).astype(np.uint8), 1.0) is None
