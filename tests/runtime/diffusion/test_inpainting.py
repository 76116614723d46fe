"""Sampling around a known part: it ends as given, and the network always sees it at the right noise."""

import numpy as np
import pytest

from cldm_runtime.diffusion.inpainting import with_known
from cldm_runtime.diffusion.samplers import SAMPLERS, get_sampler
from cldm_runtime.diffusion.schedule import NoiseSchedule

KNOWN = np.array([1.0, 1.0, 0.0, 0.0])
CLEAN, NOISE = np.array([[3.0, -1.0, 7.0, 7.0]]), np.array([[0.5, -2.0, 1.0, 0.1]])


def test_the_network_sees_the_known_part_noised_and_the_rest_as_it_is() -> None:
    def denoise(x, timestep, alpha, sigma):
        np.testing.assert_allclose(x, [[0.8 * 3 + 0.6 * 0.5, -0.8 - 1.2, 10.0, 20.0]])
        return x + timestep

    drawn = with_known(denoise, CLEAN, KNOWN, NOISE)(np.array([[0.0, 0.0, 10.0, 20.0]]), 4, 0.8, 0.6)
    assert drawn.tolist() == [[3.0, -1.0, 14.0, 24.0]]


@pytest.mark.parametrize("name", list(SAMPLERS))
def test_every_sampler_ends_at_the_given_image_where_it_is_known(name: str) -> None:
    schedule = NoiseSchedule("epsilon", np.linspace(0.9999, 0.001, 50))
    around = with_known(lambda x, t, a, s: np.full_like(x, 2.0), CLEAN, KNOWN, NOISE)
    end = get_sampler(name, 0.0)(around, NOISE, schedule.step_table(8, "trailing"), lambda k: NOISE * 0)
    np.testing.assert_allclose(end, [[3.0, -1.0, 2.0, 2.0]], atol=1e-9)
