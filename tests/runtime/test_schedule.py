"""Noise schedules, against hand-computed numbers and diffusers."""

from fractions import Fraction

import numpy as np
import pytest

from cldm_runtime.errors import InputError
from cldm_runtime.manifest import ScheduleSpec
from cldm_runtime.schedule import NoiseSchedule


def test_a_two_step_linear_schedule():
    schedule = NoiseSchedule.linear(2, prediction_type="epsilon", start=0.1, end=0.2)
    np.testing.assert_allclose(schedule.alphas_cumprod, [0.9, 0.9 * 0.8])


def test_scaled_linear_squares_the_roots():
    schedule = NoiseSchedule.scaled_linear(3, prediction_type="epsilon", start=0.01, end=0.09)
    np.testing.assert_allclose(schedule.alphas_cumprod, np.cumprod([0.99, 0.96, 0.91]))


@pytest.mark.parametrize(("kind", "name"), [("linear", "linear"), ("scaled_linear", "scaled_linear"),
                                            ("cosine", "squaredcos_cap_v2")])
def test_schedules_agree_with_diffusers(kind, name):
    diffusers = pytest.importorskip("diffusers")
    ours = getattr(NoiseSchedule, kind)(prediction_type="v")
    settings = {} if kind == "cosine" else {"linear": (1e-4, 0.02), "scaled_linear": (0.0015, 0.0195)}
    limits = dict(zip(("beta_start", "beta_end"), settings[kind], strict=True)) if settings else {}
    theirs = diffusers.DDPMScheduler(1000, beta_schedule=name, **limits)
    np.testing.assert_allclose(ours.alphas_cumprod, theirs.alphas_cumprod.numpy(), atol=1e-6)


def test_a_schedule_falls_and_stays_in_0_to_1():
    for kind in ("linear", "scaled_linear", "cosine"):
        share = getattr(NoiseSchedule, kind)(prediction_type="v").alphas_cumprod
        assert np.all(np.diff(share) < 0)
        assert 0 < share[-1] < share[0] < 1


@pytest.mark.parametrize(("spacing", "expected"), [("trailing", [9, 7, 4, 1]), ("leading", [6, 4, 2, 0]),
                                                   ("linspace", [9, 6, 3, 0])])
def test_four_steps_of_ten(spacing, expected):
    table = NoiseSchedule.linear(10, prediction_type="v").step_table(4, spacing)
    assert table.timesteps.tolist() == expected


@pytest.mark.parametrize("spacing", ["trailing", "leading", "linspace"])
@pytest.mark.parametrize("steps", [1, 3, 7, 50, 333, 1000])
def test_every_table_falls_and_lands_on_the_clean_image(spacing, steps):
    table = NoiseSchedule.cosine(prediction_type="v").step_table(steps, spacing)
    assert len(table) == steps
    assert np.all(np.diff(table.timesteps) < 0)
    assert (table.alpha[-1], table.sigma[-1]) == (1.0, 0.0)
    np.testing.assert_allclose(table.alpha**2 + table.sigma**2, 1.0, rtol=1e-15)


@pytest.mark.parametrize("spacing", ["trailing", "leading", "linspace"])
@pytest.mark.parametrize("steps", [2, 4, 50, 130, 1000])
def test_timesteps_agree_with_diffusers(spacing, steps):
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.DDIMScheduler(1000, timestep_spacing=spacing)
    theirs.set_timesteps(steps)
    ours = NoiseSchedule.linear(prediction_type="epsilon").step_table(steps, spacing)
    assert ours.timesteps.tolist() == theirs.timesteps.tolist()


def test_to_x0_undoes_each_kind_of_prediction():
    x0, eps = np.array([2.0, -1.0]), np.array([0.5, 1.0])
    alpha, sigma = 0.6, 0.8
    x = alpha * x0 + sigma * eps
    targets = {"epsilon": eps, "v": alpha * eps - sigma * x0, "sample": x0}
    for kind, target in targets.items():
        schedule = NoiseSchedule(kind, np.array([0.36]))
        np.testing.assert_allclose(schedule.to_x0(target, x, alpha, sigma), x0)


def test_to_x0_keeps_single_precision():
    x = np.ones(3, np.float32)
    schedule = NoiseSchedule.linear(prediction_type="epsilon")
    table = schedule.step_table(2)
    assert schedule.to_x0(x, x, table.alpha[0], table.sigma[0]).dtype == np.float32


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_a_number_of_steps_outside_the_schedule_is_refused(steps):
    with pytest.raises(InputError, match="expected 1 to 1000"):
        NoiseSchedule.linear(prediction_type="v").step_table(steps)


def test_an_unknown_spacing_is_refused():
    with pytest.raises(InputError, match="Known: trailing, leading, linspace"):
        NoiseSchedule.linear(prediction_type="v").step_table(5, "karras")


def test_the_manifest_gives_the_numbers_back_exactly():
    numbers = NoiseSchedule.cosine(prediction_type="v").alphas_cumprod
    schedule = NoiseSchedule.from_spec(ScheduleSpec("v", 1000, tuple(numbers.tolist())))
    assert schedule.prediction_type == "v"
    np.testing.assert_array_equal(schedule.alphas_cumprod, numbers)


@pytest.mark.parametrize("steps", [48, 59, 96, 999])
def test_steps_are_rounded_from_exact_quotients(steps):
    """Sums of floats, as in numpy.arange and linspace, are off by one here."""
    schedule = NoiseSchedule.linear(prediction_type="v")
    trailing = [round(Fraction(1000 * (steps - k), steps)) - 1 for k in range(steps)]
    linspace = [round(Fraction(999 * (steps - 1 - k), steps - 1)) for k in range(steps)]
    assert schedule.step_table(steps, "trailing").timesteps.tolist() == trailing
    assert schedule.step_table(steps, "linspace").timesteps.tolist() == linspace
