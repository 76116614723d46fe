"""Samplers, step by step and over whole runs, against diffusers' schedulers in float64."""

import numpy as np
import pytest

from cldm_runtime.diffusion.samplers import SAMPLERS, ddim, ddpm, denoiser, dpm_solver_2m, get_sampler, no_noise, unipc
from cldm_runtime.diffusion.schedule import SPACINGS as ALL_SPACINGS
from cldm_runtime.diffusion.schedule import NoiseSchedule, StepTable
from cldm_runtime.errors import InputError

SHAPE = (2, 3, 4)
KINDS = ("epsilon", "v", "sample")
SPACINGS = ("trailing", "leading", "linspace")
THEIR_KIND = {"epsilon": "epsilon", "v": "v_prediction", "sample": "sample"}


def predict(x, timestep):
    """A dummy network: smooth, depends on both inputs, keeps long runs bounded."""
    return 0.3 * np.tanh(x) + 0.1 * np.sin(timestep + np.arange(x.size).reshape(x.shape))


def noise(step):
    return np.random.default_rng(step).standard_normal(SHAPE)


def start():
    return np.random.default_rng(99).standard_normal(SHAPE)


def their_scheduler(name, schedule, spacing):
    diffusers, torch = pytest.importorskip("diffusers"), pytest.importorskip("torch")
    scheduler = getattr(diffusers, name)(
        len(schedule.alphas_cumprod), prediction_type=THEIR_KIND[schedule.prediction_type], clip_sample=False,
        timestep_spacing=spacing)
    scheduler.alphas_cumprod = torch.from_numpy(schedule.alphas_cumprod)
    scheduler.one = scheduler.final_alpha_cumprod = torch.tensor(1.0, dtype=torch.float64)
    return scheduler


def their_ddim_step(scheduler, k, timesteps, x, prediction, eta):
    """One step of theirs. They recompute the next timestep as t - T // K instead of reading their list, so K is
    chosen anew for each step to make the two agree."""
    import torch

    following = timesteps[k + 1] if k + 1 < len(timesteps) else -1
    gap, total = int(timesteps[k] - following), len(scheduler.alphas_cumprod)
    scheduler.num_inference_steps = next((n for n in range(1, total + 1) if total // n == gap), None)
    if scheduler.num_inference_steps is None:
        pytest.skip(f"diffusers cannot take a step of {gap}")
    return scheduler.step(torch.from_numpy(prediction), int(timesteps[k]), torch.from_numpy(x), eta=eta,
                          variance_noise=torch.from_numpy(noise(k)) if eta else None).prev_sample.numpy()


def one_step(table, k):
    """The table of step k alone."""
    return StepTable(table.timesteps[k:k + 1], table.alpha[k:k + 2], table.sigma[k:k + 2])


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_ddim_step_agrees_with_diffusers(kind, spacing, eta):
    schedule = NoiseSchedule.scaled_linear(prediction_type=kind)
    table, x = schedule.step_table(50, spacing), start()
    theirs = their_scheduler("DDIMScheduler", schedule, spacing)
    for k, timestep in enumerate(table.timesteps):
        ours = ddim(denoiser(predict, schedule), x, one_step(table, k), lambda _, k=k: noise(k), eta)
        expected = their_ddim_step(theirs, k, table.timesteps, x, predict(x, int(timestep)), eta)
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-6)
        x = ours


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("spacing", ["trailing", "leading"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_ddim_run_agrees_with_diffusers(kind, spacing, eta):
    torch = pytest.importorskip("torch")
    schedule = NoiseSchedule.cosine(prediction_type=kind)
    theirs = their_scheduler("DDIMScheduler", schedule, spacing)
    theirs.set_timesteps(20)
    x = torch.from_numpy(start())
    for k, t in enumerate(theirs.timesteps.tolist()):
        prediction, fresh = torch.from_numpy(predict(x.numpy(), t)), torch.from_numpy(noise(k)) if eta else None
        x = theirs.step(prediction, t, x, eta=eta, variance_noise=fresh).prev_sample
    ours = ddim(denoiser(predict, schedule), start(), schedule.step_table(20, spacing), noise, eta)
    np.testing.assert_allclose(ours, x.numpy(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("steps", [1000, 50, 7])
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_ddpm_run_agrees_with_diffusers(kind, spacing, steps, monkeypatch):
    torch = pytest.importorskip("torch")
    schedule = NoiseSchedule.linear(prediction_type=kind)
    theirs = their_scheduler("DDPMScheduler", schedule, spacing)
    theirs.set_timesteps(steps)
    scheduling = __import__("diffusers.schedulers.scheduling_ddpm", fromlist=["randn_tensor"])
    x = torch.from_numpy(start())
    for k, t in enumerate(theirs.timesteps.tolist()):
        monkeypatch.setattr(scheduling, "randn_tensor", lambda *_, k=k, **__: torch.from_numpy(noise(k)))
        before = x.numpy()
        x = theirs.step(torch.from_numpy(predict(before, t)), t, x).prev_sample
        table = one_step(schedule.step_table(steps, spacing), k)
        ours = ddpm(denoiser(predict, schedule), before, table, lambda _, k=k: noise(k))
        np.testing.assert_allclose(ours, x.numpy(), rtol=0, atol=1e-6)
    whole = ddpm(denoiser(predict, schedule), start(), schedule.step_table(steps, spacing), noise)
    np.testing.assert_allclose(whole, x.numpy(), rtol=0, atol=1e-6)


def test_ddim_with_eta_1_is_ddpm():
    schedule = NoiseSchedule.cosine(prediction_type="v")
    table, denoise = schedule.step_table(25), denoiser(predict, schedule)
    np.testing.assert_allclose(ddim(denoise, start(), table, noise, eta=1.0), ddpm(denoise, start(), table, noise))


@pytest.fixture
def double(monkeypatch):
    """diffusers' DPM-Solver rounds x to single precision in each step: here, to double."""
    torch = pytest.importorskip("torch")

    class Double:
        float32 = torch.float64

        def __getattr__(self, name):
            return getattr(torch, name)

    module = pytest.importorskip("diffusers.schedulers.scheduling_dpmsolver_multistep")
    monkeypatch.setattr(module, "torch", Double())


def their_multistep_run(name, schedule, table):
    """A whole run of theirs on our table: they keep sigma / alpha in single precision, and place linspace and leading
    for one step more. A flow's x is the plain (1 - tau) x0 + tau eps there, divided by its norm for the network."""
    diffusers, torch = pytest.importorskip("diffusers"), pytest.importorskip("torch")
    flow = schedule.prediction_type == "flow"
    solver = {"UniPCMultistepScheduler": "bh2", "DPMSolverMultistepScheduler": "midpoint"}[name]
    scheduler = getattr(diffusers, name)(  # sigma 0 at the end, which makes the last step one of first order
        len(schedule.alphas_cumprod), solver_order=2, solver_type=solver, final_sigmas_type="zero",
        lower_order_final=True, use_flow_sigmas=flow,
        prediction_type="flow_prediction" if flow else THEIR_KIND[schedule.prediction_type])
    scheduler.num_inference_steps = len(table)
    norm = 1.0 / (table.alpha + table.sigma) if flow else np.ones(len(table))
    scheduler.sigmas = torch.from_numpy(table.sigma * norm if flow else table.sigma / table.alpha)
    scheduler.timesteps = torch.from_numpy(table.timesteps.copy())
    x = start() * norm[0]
    for t, n in zip(table.timesteps.tolist(), norm, strict=False):
        x = scheduler.step(torch.from_numpy(predict(x / n, t)), t, torch.from_numpy(x)).prev_sample.numpy()
    return x


@pytest.mark.parametrize("steps", [1, 2, 3, 20])
@pytest.mark.parametrize("spacing", ALL_SPACINGS)
@pytest.mark.parametrize("kind", [*KINDS, "flow"])
@pytest.mark.parametrize(("sampler", "theirs"), [(dpm_solver_2m, "DPMSolverMultistepScheduler"),
                                                 (unipc, "UniPCMultistepScheduler")])
def test_a_multistep_run_agrees_with_diffusers(sampler, theirs, kind, spacing, steps, double):
    schedule = NoiseSchedule.flow() if kind == "flow" else NoiseSchedule.scaled_linear(prediction_type=kind)
    table = schedule.step_table(steps, spacing)
    if table.alpha[0] == 0 and steps > 2 and sampler is unipc:
        pytest.skip("diffusers' UniPC gives NaN from pure noise")
    expected = their_multistep_run(theirs, schedule, table)
    np.testing.assert_allclose(sampler(denoiser(predict, schedule), start(), table, no_noise), expected, atol=1e-9)


def test_a_ddim_run_on_a_flow_is_eulers():
    schedule = NoiseSchedule.flow(1000)
    x, tau = start(), np.linspace(1.0, 0.0, 9)
    for k in range(8):
        u = predict(x / np.hypot(1.0 - tau[k], tau[k]), round(1000 * tau[k]) - 1)
        x = x + (tau[k + 1] - tau[k]) * u
    ours = ddim(denoiser(predict, schedule), start(), schedule.step_table(8), no_noise)
    np.testing.assert_allclose(ours, x, atol=1e-12)


def test_a_ddim_run_on_a_flow_agrees_with_diffusers_euler():
    torch, diffusers = pytest.importorskip("torch"), pytest.importorskip("diffusers")
    schedule, theirs = NoiseSchedule.flow(1000), diffusers.FlowMatchEulerDiscreteScheduler(1000)
    theirs.set_timesteps(sigmas=np.linspace(1.0, 0.1, 10))
    x = torch.from_numpy(start())
    for t in theirs.timesteps:
        tau = float(t) / 1000
        u = predict(x.numpy() / np.hypot(1.0 - tau, tau), round(float(t)) - 1)
        x = theirs.step(torch.from_numpy(u), t, x).prev_sample
    ours = ddim(denoiser(predict, schedule), start(), schedule.step_table(10), no_noise)
    np.testing.assert_allclose(ours, x.numpy(), atol=1e-5)  # they keep x and tau in single precision


@pytest.mark.parametrize(("sampler", "order"), [(ddim, 1), (dpm_solver_2m, 2), (unipc, 2)])
def test_the_error_falls_with_the_order(sampler, order):
    """Images of N(0, 1/4): x0 has a closed form, and so has the way from pure noise, which ends at x / 2."""
    schedule = NoiseSchedule.flow(10**6)
    errors = [abs(sampler(lambda x, _, a, s: 0.25 * a * x / (0.25 * a**2 + s**2), np.ones(1),
                          schedule.step_table(steps), no_noise)[0] - 0.5) for steps in (200, 400)]
    assert errors[0] / errors[1] > 0.8 * 2**order  # 2 and 4 in the limit


@pytest.mark.parametrize("spacing", ALL_SPACINGS)
@pytest.mark.parametrize("steps", [1, 2, 3, 20])
@pytest.mark.parametrize("sampler", SAMPLERS.values())
def test_a_run_may_begin_at_pure_noise(sampler, steps, spacing):
    for schedule in (NoiseSchedule.flow(), NoiseSchedule.linear(prediction_type="v").zero_terminal_snr(),
                     NoiseSchedule.linear(prediction_type="sample").zero_terminal_snr()):
        with np.errstate(all="raise"):
            found = sampler(denoiser(predict, schedule), start(), schedule.step_table(steps, spacing), noise)
        assert np.isfinite(found).all() and np.abs(found).max() < 10


@pytest.mark.parametrize("sampler", SAMPLERS.values())
def test_the_network_is_asked_once_a_step(sampler):
    table, asked = NoiseSchedule.cosine(prediction_type="v").step_table(5), []
    sampler(lambda x, timestep, *_: asked.append(timestep) or 0.5 * x, start(), table, noise)
    assert asked == table.timesteps.tolist()


@pytest.mark.parametrize("steps", [1, 2, 10])
@pytest.mark.parametrize("sampler", SAMPLERS.values())
def test_a_perfect_denoiser_gives_the_image_exactly(sampler, steps):
    image = np.arange(24.0).reshape(SHAPE)
    table = NoiseSchedule.cosine(prediction_type="v").step_table(steps)
    np.testing.assert_array_equal(sampler(lambda *_: image, start(), table, noise), image)


def test_one_ddim_step_by_hand():
    table = StepTable(np.array([5, 2]), np.array([0.6, 0.8, 1.0]), np.array([0.8, 0.6, 0.0]))
    seen = []

    def denoise(x, timestep, alpha, sigma):
        seen.append((timestep, alpha, sigma))
        return np.array([1.0])

    # x = 1.4: eps = (1.4 - 0.6) / 0.8 = 1, so the next x is 0.8 + 0.6 = 1.4; the last step gives x0.
    assert ddim(denoise, np.array([1.4]), one_step(table, 0), no_noise) == pytest.approx([1.4])
    assert ddim(denoise, np.array([1.4]), table, no_noise) == pytest.approx([1.0])
    assert seen[-2:] == [(5, 0.6, 0.8), (2, 0.8, 0.6)]


def test_noise_is_asked_for_by_step_and_never_for_the_last():
    table, asked = NoiseSchedule.cosine(prediction_type="v").step_table(4), []

    def recording(step):
        asked.append(step)
        return noise(step)

    ddpm(lambda *_: start(), start(), table, recording)
    assert asked == [0, 1, 2]


@pytest.mark.parametrize("sampler", SAMPLERS.values())
def test_single_precision_stays_single_and_the_input_is_not_changed(sampler):
    schedule = NoiseSchedule.linear(prediction_type="v")
    x = start().astype(np.float32)
    before = x.copy()
    result = sampler(lambda x, *_: 0.5 * x, x, schedule.step_table(4), lambda k: noise(k).astype(np.float32))
    assert result.dtype == np.float32
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize(("name", "eta", "message"), [("euler", 0.0, "ddpm, .*, unipc"), ("ddpm", 0.5, "has none"),
                                                      ("ddim", 1.5, "expected 0")])
def test_unknown_samplers_and_settings_are_refused(name, eta, message):
    with pytest.raises(InputError, match=message):
        get_sampler(name, eta)


@pytest.mark.parametrize(("name", "eta"), [("ddim", 0.0), ("ddim", 1.0), ("ddpm", 0.0), ("dpm++2m", 0.0)])
def test_samplers_are_found_by_name(name, eta):
    table = NoiseSchedule.cosine(10, prediction_type="v").step_table(3)
    found = get_sampler(name, eta)(lambda x, *_: 0.5 * x, start(), table, noise)
    expected = SAMPLERS[name](lambda x, *_: 0.5 * x, start(), table, noise, **({"eta": eta} if eta else {}))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("name", "eta", "message"), [
    ("euler", 0.0, "Known: ddim, ddpm"), ("ddim", -0.01, "expected 0"), ("ddim", 1.01, "expected 0"),
    ("ddpm", 0.5, "sampler ddpm has none")])
def test_unknown_samplers_and_etas_are_refused(name, eta, message):
    with pytest.raises(InputError, match=message):
        get_sampler(name, eta)
