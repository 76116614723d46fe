"""What the scanner does to a known object."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import erf

from cldm_runtime.domains.lge.phantom2.acquisition import SLAB, acquire_slice, matrix, noise_map, shading
from cldm_runtime.domains.lge.phantom2.protocol import Artefacts, CoilArray, ScanProtocol
from cldm_runtime.noise import Purpose, Stream

CLEAN = Artefacts(0.0, 50.0, 0.0, True, 0.0)
EVEN = CoilArray(0.0, 0.0, 0.0)


@pytest.fixture
def protocol():
    """A perfect scanner with pixels of 2 mm, shown as 112 pixels."""
    drawn = ScanProtocol.draw(Stream(0, 0, Purpose.PROTOCOL), acute=False)
    return replace(drawn, phase_sensitive=True, noise=0.0, acquired_mm=2.0, reconstructed_mm=2.0, blur_mm=0.0,
                   filter_strength=0.0, coils=EVEN, artefacts=CLEAN, scale=1.0, offset=0.0)


def scan(signal, protocol):
    return acquire_slice(signal, protocol, Stream(0, 0, Purpose.ACQUISITION)).astype(np.float64)


def test_an_even_object_stays_even(protocol):
    image = scan(np.full((256, 256), 0.3), replace(protocol, scale=10.0, offset=0.5))
    assert image.shape == (112, 112) and image == pytest.approx(8.0)


def test_the_sign_is_lost_without_phase(protocol):
    signal = np.full((256, 256), -0.3)
    assert scan(signal, protocol) == pytest.approx(-0.3)
    assert scan(signal, replace(protocol, phase_sensitive=False)) == pytest.approx(0.3)


def test_zero_filling_gives_smaller_pixels_and_no_more_detail(protocol):
    """2 mm acquired reach .25 cycles a mm; in pixels of 1.4 mm nothing lies beyond."""
    fine = replace(protocol, reconstructed_mm=1.4, noise=0.1)
    image = scan(np.zeros((256, 256)), fine)
    assert matrix(fine) == len(image) == 160
    power = np.abs(np.fft.fft2(image)) ** 2
    beyond = np.abs(np.fft.fftfreq(160, 1.4)) > 0.2501
    assert power[beyond].max() < 1e-9 * power.max()


def test_noise_has_the_stated_deviation(protocol):
    image = scan(np.zeros((256, 256)), replace(protocol, noise=0.1))
    assert image.std() == pytest.approx(0.1, rel=0.03)


def test_motion_blurs_as_a_gaussian_does(protocol):
    """Edges at -56 and 56 mm become the error function, and stay where they are."""
    signal = np.zeros((256, 256))
    signal[:, 64:192] = 1.0
    image = scan(signal, replace(protocol, acquired_mm=1.0, reconstructed_mm=1.0, blur_mm=3.0))
    x = np.arange(224) - 111.5
    expected = 0.5 * (erf((x + 56.0) / (3 * 2**0.5)) - erf((x - 56.0) / (3 * 2**0.5)))
    assert image[112, 40:184] == pytest.approx(expected[40:184], abs=0.02)


def test_edges_ring_unless_they_are_filtered(protocol):
    signal = np.zeros((256, 256))
    signal[:, 64:192] = 1.0
    sharp, filtered = (scan(signal, replace(protocol, reconstructed_mm=0.25, filter_strength=strength))[448]
                       for strength in (0.0, 1.0))
    assert sharp.max() == pytest.approx(1.089, abs=0.01)  # Gibbs: 8.9 % of the step
    inside = slice(264, 632)  # 10 mm and more from the edges
    assert np.abs(filtered[inside] - 1).max() < 0.3 * np.abs(sharp[inside] - 1).max()


def test_ghosts_lie_where_and_are_as_strong_as_stated(protocol):
    signal = np.zeros((256, 256))
    signal[124:132, 124:132] = 1.0
    image = scan(signal, replace(protocol, phase_sensitive=False, artefacts=replace(CLEAN, ghost=0.1, ghost_mm=56.0)))
    column = image[:, 54:58].mean(axis=1)
    assert column[[27, 28, 83, 84]].mean() == pytest.approx(0.1 * column[[55, 56]].mean(), rel=0.15)
    assert column[5:22].max() < 0.05 * column.max()


def test_displaced_segments_disturb_lines_but_keep_the_mean(protocol):
    signal = np.zeros((256, 256))
    signal[96:160, 96:160] = 1.0
    still = scan(signal, protocol)
    moved = scan(signal, replace(protocol, artefacts=replace(CLEAN, motion_mm=2.0)))
    assert moved.mean() == pytest.approx(still.mean()) and np.abs(moved - still).max() > 0.05


def test_coils_brighten_their_side(protocol):
    """Towards +x by .4 a 100 mm: e^.4 between pixels that are 100 mm apart; the noise falls."""
    coils = CoilArray(0.0, 0.4, 0.4)
    factor, noise = shading(224, coils), noise_map(224, coils)
    assert factor[7, 150] / factor[7, 50] == pytest.approx(np.exp(0.4)) and factor == pytest.approx(1 / noise)
    assert (factor[:, 100] == factor[0, 100]).all()


def test_a_rim_is_zero_on_two_sides(protocol):
    image = scan(np.ones((256, 256)), replace(protocol, artefacts=replace(CLEAN, rim_mm=20.0)))
    assert (image[:10] == 0).all() and (image[-10:] == 0).all() and image[10:-10] == pytest.approx(1.0)


def test_the_slab_is_symmetric_and_thinner_than_the_pitch():
    depth, weight = np.array(SLAB).T
    assert weight.sum() == pytest.approx(1) and depth @ weight == pytest.approx(0) and np.abs(depth).max() < 0.5
