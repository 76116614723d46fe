"""Mixing a sample's state with a noised image: noise level, signal, the two ends, and a run of diffusers."""

import numpy as np
import pytest

from cldm_runtime.diffusion.interpolation import mixed, nearest_place, towards
from cldm_runtime.diffusion.samplers import SAMPLERS, ddim, denoiser, no_noise
from cldm_runtime.diffusion.schedule import NoiseSchedule
from cldm_runtime.errors import InputError

SHAPE = (2, 3, 4)
SCHEDULE = NoiseSchedule.scaled_linear(prediction_type="epsilon")
TABLE = SCHEDULE.step_table(25)  # 999, 959 .. 39


def predict(x, timestep):
    return 0.3 * np.tanh(x) + 0.1 * np.sin(timestep + np.arange(x.size).reshape(x.shape))


def normals(seed, shape=SHAPE):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("similarity", [0.1, 0.5, 0.9, 1.0])
def test_noise_keeps_its_variance(similarity):
    own, fresh = normals(0, 400_000), normals(1, 400_000)
    state = mixed(0.8 * own, np.zeros(400_000), fresh, similarity, 0.6, 0.8)  # two images of zeros, with noise
    assert state.var() == pytest.approx(0.8**2, rel=0.01)  # weights s and 1 - s would give half of it at 0.5


def test_images_are_mixed_linearly():
    state = mixed(0.6 * np.array([10.0]), np.array([2.0]), np.zeros(1), 0.25, 0.6, 0.8)
    assert state == pytest.approx(0.6 * (0.75 * 10 + 0.25 * 2))


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_at_similarity_1_only_the_given_image_counts(name):
    sampler = towards(SAMPLERS[name], normals(1), normals(2), 1.0, 20)
    one, other = (sampler(denoiser(predict, SCHEDULE), normals(seed), TABLE, lambda k: normals(k)) for seed in (3, 4))
    np.testing.assert_array_equal(one, other)


def test_at_similarity_0_ddim_walks_as_alone():
    denoise = denoiser(predict, SCHEDULE)
    halfway = towards(ddim, normals(1), normals(2), 0.0, 12)(denoise, normals(3), TABLE, no_noise)
    np.testing.assert_array_equal(halfway, ddim(denoise, normals(3), TABLE, no_noise))


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_a_denoiser_that_knows_the_image_gives_it_back(name):
    clean = normals(1)
    made = towards(SAMPLERS[name], clean, normals(2), 0.7, 5)(lambda *_: clean, normals(3), TABLE, lambda k: normals(k))
    np.testing.assert_allclose(made, clean, atol=1e-12)


def test_later_steps_get_the_noise_of_their_number():
    asked = []
    towards(SAMPLERS["ddpm"], normals(1), normals(2), 0.5, 20)(
        denoiser(predict, SCHEDULE), normals(3), TABLE, lambda k: asked.append(k) or normals(k))
    assert asked == list(range(24))  # the last step adds none


# From diffusers 0.42.1, DDIMScheduler with trailing spacing and no clipping, in float64: add_noise at step 239, then
# its six steps 239, 199, 159, 119, 79 and 39; the first channel of both samples.
EXPECTED = [[0.39418, 0.241422, -0.044862, -3.298688], [-0.863153, -0.753122, -0.054079, 0.407068]]


def test_from_a_noised_image_on_it_is_the_ddim_of_diffusers():
    place = nearest_place(TABLE, 240, 1000)
    made = towards(ddim, normals(1), normals(2), 1.0, place)(denoiser(predict, SCHEDULE), normals(3), TABLE, no_noise)
    np.testing.assert_allclose(made[:, 0], EXPECTED, rtol=0, atol=2e-6)


@pytest.mark.parametrize(("from_step", "place"), [(239, 19), (240, 19), (258, 19), (259, 18), (0, 24),
                                                  (978, 1)])
def test_the_nearest_sampling_step_is_taken_the_noisier_of_two(from_step, place):
    assert nearest_place(TABLE, from_step, 1000) == place


@pytest.mark.parametrize(("from_step", "steps", "message"), [
    (-1, 25, "from_step = -1: expected 0 .clean. to 999"), (1000, 25, "expected 0 .clean. to 999"),
    (980, 25, "the nearest of the 25 sampling steps is 999, where sampling begins.*nearer to 959"),
    (240, 1, "nearest of the 1 sampling steps is 999.*Give more sampling steps")])
def test_steps_beyond_the_schedule_are_refused(from_step, steps, message):
    with pytest.raises(InputError, match=message):
        nearest_place(SCHEDULE.step_table(steps), from_step, 1000)
