"""Noise schedules, against hand-computed numbers and diffusers."""

from fractions import Fraction

import numpy as np
import pytest

from cldm_runtime.bundle.manifest import ScheduleSpec
from cldm_runtime.diffusion.schedule import SPACINGS, NoiseSchedule
from cldm_runtime.errors import InputError


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


def test_a_shift_for_large_images_is_added_to_the_log_snr():
    """Against the sigmoid of the shifted log SNR, and by hand: a share of 1/2 at 64 is 1/5 at 128."""
    schedule = NoiseSchedule.cosine(prediction_type="v")
    share = schedule.alphas_cumprod
    log_snr = np.log(share) - np.log1p(-share) + 2.0 * np.log(64 / 256)
    np.testing.assert_allclose(schedule.shifted(256).alphas_cumprod, 1.0 / (1.0 + np.exp(-log_snr)), rtol=1e-12)
    assert NoiseSchedule("v", np.array([0.5])).shifted(128).alphas_cumprod[0] == pytest.approx(0.2)
    np.testing.assert_allclose(schedule.shifted(64).alphas_cumprod, share, rtol=1e-15)


def test_a_shifted_schedule_keeps_its_last_step_of_pure_noise():
    schedule = NoiseSchedule.cosine(prediction_type="v").zero_terminal_snr()
    assert schedule.shifted(128).alphas_cumprod[-1] == 0.0


def with_noise(levels):
    """A schedule of the given sigma / alpha."""
    return NoiseSchedule("v", 1.0 / (1.0 + np.asarray(levels, float) ** 2))


@pytest.mark.parametrize(("spacing", "levels"), [("log-snr", 2.0 ** np.arange(-4, 5)),
                                                 ("karras", np.arange(1.0, 10.0) ** 7)])
def test_spacings_that_are_even_in_the_noise(spacing, levels):
    """sigma / alpha is 2^-4 .. 2^4, and 1^7 .. 9^7: evenly spaced training steps."""
    tables = {steps: with_noise(levels).step_table(steps, spacing).timesteps.tolist() for steps in (1, 2, 3, 5, 9)}
    assert tables == {1: [8], 2: [8, 0], 3: [8, 4, 0], 5: [8, 6, 4, 2, 0], 9: [8, 7, 6, 5, 4, 3, 2, 1, 0]}


def test_a_training_step_that_rounding_would_repeat_becomes_the_next_noisier_one():
    schedule = with_noise([1.0, 1000.0, 1001.0, 1002.0])  # logs 0 and about 6.9, so the thirds lie at 0.67 and 0.33
    assert schedule.step_table(3, "log-snr").timesteps.tolist() == [3, 1, 0]  # a half at 0.5, rounded to 0
    assert schedule.step_table(4, "log-snr").timesteps.tolist() == [3, 2, 1, 0]


def test_pure_noise_takes_the_place_of_the_noisiest_step_with_a_signal():
    shares = np.append(with_noise(2.0 ** np.arange(-4, 5)).alphas_cumprod, 0.0)
    schedule = NoiseSchedule("v", shares)
    assert schedule.step_table(5, "log-snr").timesteps.tolist() == [9, 6, 4, 2, 0]
    assert NoiseSchedule.flow(1).step_table(1, "karras").timesteps.tolist() == [0]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # theirs
@pytest.mark.parametrize("steps", [2, 5, 10, 20])
@pytest.mark.parametrize(("spacing", "theirs"), [("karras", "use_karras_sigmas"), ("log-snr", "use_lu_lambdas")])
def test_steps_even_in_the_noise_agree_with_diffusers(spacing, theirs, steps):
    diffusers, torch = pytest.importorskip("diffusers"), pytest.importorskip("torch")
    schedule = NoiseSchedule.linear(prediction_type="epsilon")
    scheduler = diffusers.DPMSolverMultistepScheduler(1000, **{theirs: True})
    scheduler.alphas_cumprod = torch.from_numpy(schedule.alphas_cumprod)
    scheduler.set_timesteps(steps)
    assert schedule.step_table(steps, spacing).timesteps.tolist() == scheduler.timesteps.tolist()


@pytest.mark.parametrize("make", [NoiseSchedule.cosine, NoiseSchedule.flow])
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("steps", [1, 3, 7, 50, 333, 999, 1000])
def test_every_table_falls_and_lands_on_the_clean_image(spacing, steps, make):
    table = make(prediction_type="v").step_table(steps, spacing)
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
    targets = {"epsilon": eps, "v": alpha * eps - sigma * x0, "sample": x0, "flow": eps - x0}
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
    with pytest.raises(InputError, match="Known: trailing, leading, linspace, log-snr, karras"):
        NoiseSchedule.linear(prediction_type="v").step_table(5, "even")


def test_a_flow_of_four_steps():
    """tau = 1/4, 2/4, 3/4, 1: (1 - tau)^2 over (1 - tau)^2 + tau^2 is 9 / 10, 1 / 2, 1 / 10 and 0."""
    schedule = NoiseSchedule.flow(4)
    np.testing.assert_allclose(schedule.alphas_cumprod, [0.9, 0.5, 0.1, 0.0])
    alpha, sigma = schedule.alpha_sigma(np.arange(4))
    np.testing.assert_allclose(sigma / (alpha + sigma), [0.25, 0.5, 0.75, 1.0])
    assert (schedule.prediction_type, alpha[-1], sigma[-1]) == ("flow", 0.0, 1.0)


def test_a_schedule_is_shifted_and_scaled_to_end_in_pure_noise():
    schedule = NoiseSchedule("v", np.array([0.9, 0.5, 0.1]) ** 2).zero_terminal_snr()
    np.testing.assert_allclose(np.sqrt(schedule.alphas_cumprod), [0.9, 0.45, 0.0])
    assert schedule.alphas_cumprod[-1] == 0.0 and schedule.prediction_type == "v"


def test_zero_terminal_snr_agrees_with_diffusers():
    ddim, torch = pytest.importorskip("diffusers.schedulers.scheduling_ddim"), pytest.importorskip("torch")
    schedule = NoiseSchedule.scaled_linear(prediction_type="v")
    betas = 1.0 - schedule.alphas_cumprod / np.append(1.0, schedule.alphas_cumprod[:-1])
    theirs = torch.cumprod(1.0 - ddim.rescale_zero_terminal_snr(torch.from_numpy(betas)), 0)
    np.testing.assert_allclose(schedule.zero_terminal_snr().alphas_cumprod, theirs.numpy(), atol=1e-12)


@pytest.mark.parametrize("make", [lambda: NoiseSchedule.linear(prediction_type="epsilon").zero_terminal_snr(),
                                  lambda: NoiseSchedule.flow(prediction_type="epsilon")])
def test_epsilon_is_refused_where_the_schedule_ends_in_pure_noise(make):
    with pytest.raises(InputError, match="Predict v, sample or flow"):
        make()


def test_the_manifest_gives_the_numbers_back_exactly():
    numbers = NoiseSchedule.cosine(prediction_type="v").alphas_cumprod
    schedule = ScheduleSpec("v", 1000, tuple(numbers.tolist())).noise_schedule()
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
