"""The band on the cosine transform, against scipy's transform and by hand."""

import numpy as np
import scipy.fft

from cldm_runtime.domains.acquisition.band import SHARP, Taper, cosine_basis, cut_of, frequencies, pass_band


def test_the_basis_is_scipys_orthonormal_transform() -> None:
    line = np.random.default_rng(0).standard_normal(12)
    basis = cosine_basis(12)
    np.testing.assert_allclose(basis @ line, scipy.fft.dct(line, norm="ortho"), atol=1e-12)
    np.testing.assert_allclose(basis.T @ basis, np.eye(12), atol=1e-12)


def test_coefficient_k_is_a_wave_of_its_frequency() -> None:
    assert frequencies(8).tolist() == [0, 1 / 16, 2 / 16, 3 / 16, 4 / 16, 5 / 16, 6 / 16, 7 / 16]
    wave = np.cos(2 * np.pi * 3 / 16 * (np.arange(8) + 0.5))
    assert np.flatnonzero(np.abs(cosine_basis(8) @ wave) > 1e-9).tolist() == [3]


def test_a_pixel_twice_as_wide_halves_the_band() -> None:
    assert cut_of(2.0, 1.0) == 0.25 and cut_of(1.0, 1.0) == 0.5 and cut_of(0.5, 1.0) == 0.5
    assert pass_band(8, 0.25).tolist() == [1, 1, 1, 1, 1, 0, 0, 0]
    assert pass_band(8, np.array([0.5, 0.125])).tolist() == [[1] * 8, [1, 1, 1, 0, 0, 0, 0, 0]]


def test_a_taper_is_linear_between_its_points() -> None:
    falling = Taper((0.5, 1.0), (1.0, 0.0))
    np.testing.assert_allclose(pass_band(8, 0.25, falling), [1, 1, 1, 0.5, 0, 0, 0, 0])
    assert pass_band(100, 0.25, SHARP)[51] == 0.8  # f / c = 0.255 / 0.25 = 1.02, a fifth of the way to 1.1
