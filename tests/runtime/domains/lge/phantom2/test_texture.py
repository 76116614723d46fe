"""Random fields of a patient."""

import numpy as np
import pytest

from cldm_runtime.domains.lge.phantom2.texture import GRAINS_MM, TissueTexture
from cldm_runtime.noise import Purpose, Stream


@pytest.fixture(scope="module")
def texture():
    return TissueTexture.draw(Stream(0, 0, Purpose.COHORT))


def test_fields_are_standardised_and_the_coarse_one_is_coarsest(texture):
    assert texture.lattice.mean(axis=(2, 3)) == pytest.approx(0.0, abs=1e-9)
    assert texture.lattice.std(axis=(2, 3)) == pytest.approx(1.0)
    steps = [np.abs(np.diff(field, axis=0)).mean() for field in texture.at(0.0, 224)]
    assert steps[0] < steps[1] < steps[2] and steps[2] / steps[0] == pytest.approx(GRAINS_MM[0] / GRAINS_MM[2], rel=0.4)


def test_pixels_of_a_millimetre_are_the_lattice_and_half_as_many_lie_between(texture):
    assert texture.at(0.0, 224)[1] == pytest.approx(texture.lattice[1, 0])
    four = texture.lattice[1, 0].reshape(112, 2, 112, 2).mean(axis=(1, 3))
    assert texture.at(0.0, 112)[1] == pytest.approx(four)


def test_near_levels_resemble_each_other_and_far_ones_do_not(texture):
    here, near, far = (texture.at(depth, 64)[0].ravel() for depth in (0.0, 2.0, 9.0 * np.pi))
    assert np.corrcoef(here, near)[0, 1] > 0.95
    assert abs(np.corrcoef(here, far)[0, 1]) < 0.4
