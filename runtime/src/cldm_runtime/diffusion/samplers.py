"""Samplers: pure functions from noise to image. They know nothing of networks or engines.

    here              DDIM paper (arXiv 2010.02502)    DDPM paper (arXiv 2006.11239)
    a, s              sqrt(alpha_t), sqrt(1-alpha_t)   sqrt(alpha-bar_t), sqrt(1-alpha-bar_t)
    a_next, s_next    the same at t-1 of the table     the same at t-1
    x0, eps           f_theta (9), epsilon_theta       x_0 (15), epsilon_theta
    spread            sigma_t (16)                     sigma_t, the second choice of 3.2 ("fixed small")

    here              DPM-Solver++ (arXiv 2211.01095)   UniPC (arXiv 2302.04867)
    h                 h_i = lambda_i - lambda_(i-1)     h_i;  lambda = log(a / s)
    x0s               x_theta at t_(i-2), t_(i-1)       the same; r = h_before / h is -r_1
    -expm1(-h)        1 - e^-h                          B_2 of data prediction

"t-1" is the next entry of the step table, for any spacing. x0 is never clipped. A table may begin at a = 0, which
is pure noise and lambda = -infinity; it always ends at s = 0.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .schedule import Array, NoiseSchedule, StepTable

Noise = Callable[[int], Array]  # step k of the table -> fresh standard normals of the shape of x
Predict = Callable[[Array, int], Array]  # (x, training step) -> the network's prediction
Sampler = Callable[["Denoise", Array, StepTable, Noise], Array]


class Denoise(Protocol):
    def __call__(self, x: Array, timestep: int, alpha: float, sigma: float) -> Array:
        """The predicted clean image x0 of x = alpha x0 + sigma noise; same shape as x."""


def ddim(denoise: Denoise, x: Array, table: StepTable, noise: Noise, eta: float = 0.0) -> Array:
    """DDIM, equations 12 and 16. eta = 0 is deterministic and never calls `noise`; eta = 1 is DDPM."""
    for k in range(len(table)):
        a, s, a_next, s_next = _coefficients(table, k)
        x0 = denoise(x, int(table.timesteps[k]), a, s)
        eps = (x - a * x0) / s
        spread = eta * _posterior_deviation(a, s, a_next, s_next)
        x = a_next * x0 + math.sqrt(max(s_next**2 - spread**2, 0.0)) * eps
        if spread > 0:
            x = x + spread * noise(k)
    return x


def ddpm(denoise: Denoise, x: Array, table: StepTable, noise: Noise) -> Array:
    """Ancestral sampling of DDPM, equations 6 and 7, with the variance of the posterior ("fixed small").

    With fewer steps than in training, alpha_t is the ratio of the alpha-bars of neighbouring entries of the table.
    """
    for k in range(len(table)):
        a, s, a_next, s_next = _coefficients(table, k)
        x0 = denoise(x, int(table.timesteps[k]), a, s)
        alpha_t = (a / a_next) ** 2
        beta_t = s**2 - alpha_t * s_next**2  # is 1 - alpha_t, and in the last step s**2 to the last bit
        x = (a_next * beta_t / s**2) * x0 + (math.sqrt(alpha_t) * s_next**2 / s**2) * x
        spread = _posterior_deviation(a, s, a_next, s_next)
        if spread > 0:
            x = x + spread * noise(k)
    return x


def dpm_solver_2m(denoise: Denoise, x: Array, table: StepTable, noise: Noise) -> Array:
    """DPM-Solver++(2M), algorithm 2 of arXiv 2211.01095: second order in log(alpha / sigma) from the step before.

    Deterministic. The first step has no step before it and is of first order, which is DDIM. So is the last step, to
    sigma = 0: it is infinite in lambda.
    """
    x0s: list[Array] = []
    h = 0.0
    for k in range(len(table)):
        a, s, a_next, s_next = _coefficients(table, k)
        x0s = [*x0s[-1:], denoise(x, int(table.timesteps[k]), a, s)]
        h_before, h = h, _log_ratio(a_next, s_next) - _log_ratio(a, s)
        x = (s_next / s) * x - a_next * math.expm1(-h) * _extrapolated(x0s, h, h_before)
    return x


def unipc(denoise: Denoise, x: Array, table: StepTable, noise: Noise) -> Array:
    """UniPC of order 2 with B_2(h) and data prediction (arXiv 2302.04867): each step is that of DPM-Solver++(2M).

    Deterministic. Each step is corrected (UniC) with x0 at its end, which the next step needs anyway, so the network is
    evaluated no more often. The last step, to sigma = 0, is that of DDIM.
    """
    x0s: list[Array] = []
    start, s_start, h, h_before = x, 1.0, 0.0, 0.0
    for k in range(len(table)):
        a, s, a_next, s_next = _coefficients(table, k)
        x0 = denoise(x, int(table.timesteps[k]), a, s)
        if x0s:
            x = (s / s_start) * start - a * math.expm1(-h) * _interpolated(x0s, x0, h, h_before)
        x0s = [*x0s[-1:], x0]
        h_before, h = h, _log_ratio(a_next, s_next) - _log_ratio(a, s)
        start, s_start = x, s
        x = (s_next / s) * x - a_next * math.expm1(-h) * _extrapolated(x0s, h, h_before)
    return x


SAMPLERS: dict[str, Callable[..., Array]] = {"ddim": ddim, "ddpm": ddpm, "dpm++2m": dpm_solver_2m, "unipc": unipc}


def get_sampler(name: str, eta: float = 0.0) -> Sampler:
    """The sampler of that name. Raises InputError for an unknown name, and for an eta that it does not take."""
    if name not in SAMPLERS:
        raise InputError(f"sampler {name!r} is unknown. Known: {', '.join(SAMPLERS)}.")
    if not 0.0 <= eta <= 1.0:
        raise InputError(f"eta = {eta}: expected 0 (deterministic) to 1.")
    if name == "ddim":
        return partial(ddim, eta=eta)
    if eta:
        raise InputError(f"eta = {eta}: sampler {name} has none. Use ddim, or leave eta out.")
    return SAMPLERS[name]


def denoiser(predict: Predict, schedule: NoiseSchedule) -> Denoise:
    """Turn a network's prediction into the predicted clean image."""
    def denoise(x: Array, timestep: int, alpha: float, sigma: float) -> Array:
        return schedule.to_x0(predict(x, timestep), x, alpha, sigma)

    return denoise


def no_noise(step: int) -> NDArray[np.float64]:
    """The noise of a deterministic sampler, which must never be called."""
    raise AssertionError(f"a deterministic sampler asked for noise in step {step}")


def _coefficients(table: StepTable, k: int) -> tuple[float, float, float, float]:
    """Python floats: numpy's own float64 would turn float32 arrays into float64."""
    return float(table.alpha[k]), float(table.sigma[k]), float(table.alpha[k + 1]), float(table.sigma[k + 1])


def _log_ratio(alpha: float, sigma: float) -> float:
    """lambda of DPM-Solver, half the log of the signal-to-noise ratio; infinite at either end of the schedule."""
    if alpha <= 0.0 or sigma <= 0.0:
        return math.inf if sigma <= 0.0 else -math.inf
    return math.log(alpha / sigma)


def _extrapolated(x0s: list[Array], h: float, h_before: float) -> Array:
    """x0 in the middle of a step of length h, from x0 at its start and, if there is one, at the start of the step
    before (known, the latest last). An infinite step uses the latest alone. After one, h / h_before is 0."""
    if len(x0s) == 1 or not math.isfinite(h):
        return x0s[-1]
    return x0s[1] + (h / (2.0 * h_before)) * (x0s[1] - x0s[0])


def _interpolated(x0s: list[Array], x0: Array, h: float, h_before: float) -> Array:
    """The same once x0 at the end of the step is known too: UniC, whose rho solves R_2(h) rho = phi_2(h) / B_2(h)."""
    if len(x0s) == 1:
        return 0.5 * (x0s[0] + x0)  # rho_1 = 1/2 for any h, as in the authors' code; h is infinite from pure noise
    b_1 = -1.0 / h - 1.0 / math.expm1(-h)
    b_2 = -2.0 * b_1 / h - 1.0 / math.expm1(-h)
    r = h_before / h
    rho_1 = (b_1 - b_2) / (1.0 + r)
    return x0s[1] + (rho_1 / r) * (x0s[1] - x0s[0]) + (b_1 - rho_1) * (x0 - x0s[1])


def _posterior_deviation(a: float, s: float, a_next: float, s_next: float) -> float:
    """sqrt of beta-tilde_t (DDPM, equation 7), which is sigma_t at eta = 1 (DDIM, equation 16)."""
    return s_next / s * math.sqrt(max(1.0 - (a / a_next) ** 2, 0.0))
