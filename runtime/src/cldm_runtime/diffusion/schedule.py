"""Noise schedules: the share of signal at each training step, and the few steps that sampling visits.

Papers: DDPM (Ho et al., arXiv 2006.11239), DDIM (Song et al., 2010.02502), v-prediction (Salimans & Ho, 2202.00512),
cosine schedule (Nichol & Dhariwal, 2102.09672), spacings and zero terminal SNR (Lin et al., 2305.08891, table 2 and
algorithm 1), Karras spacing (Karras et al., 2206.00364, equation 5), rectified flow (Liu et al., 2209.03003), shift for
large images (Hoogeboom et al., 2301.11093, equation 4).

    here                paper
    alphas_cumprod[t]   alpha-bar_t of DDPM (alpha_t of DDIM)
    alpha, sigma        sqrt(alpha-bar_t), sqrt(1 - alpha-bar_t):   x_t = alpha x_0 + sigma epsilon
    v                   alpha epsilon - sigma x_0
    u, tau              rectified flow: epsilon - x_0, and the time of (1 - tau) x_0 + tau epsilon, 0 clean to 1 noise

The point of a flow is divided by n = sqrt((1 - tau)^2 + tau^2), which makes it an x_t as above: alpha =
(1 - tau) / n, sigma = tau / n, alpha + sigma = 1 / n. A step of DDIM is then a step of Euler along the flow.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

PredictionType = Literal["epsilon", "v", "sample", "flow"]
Spacing = Literal["trailing", "leading", "linspace", "log-snr", "karras"]
Array = NDArray[np.floating]
Shares = NDArray[np.float64]  # alphas_cumprod


@dataclass(frozen=True)
class StepTable:
    """The steps of one sampling run, from noise to image.

    Step k goes from (alpha[k], sigma[k]), at training step timesteps[k], to (alpha[k+1], sigma[k+1]). The last entry
    is alpha = 1, sigma = 0 exactly: the run lands on the clean image. alpha**2 + sigma**2 = 1.
    """

    timesteps: NDArray[np.int64]  # (K,), falling
    alpha: NDArray[np.float64]  # (K + 1,)
    sigma: NDArray[np.float64]  # (K + 1,)

    def __len__(self) -> int:
        return len(self.timesteps)


@dataclass(frozen=True)
class NoiseSchedule:
    """The schedule a network was trained with: the meaning of its output, and alphas_cumprod (T,) float64, falling.

    The last entry may be 0, pure noise, unless epsilon is predicted. Raises InputError otherwise.
    """

    prediction_type: PredictionType
    alphas_cumprod: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.prediction_type == "epsilon" and self.alphas_cumprod[-1] == 0:
            raise InputError("alphas_cumprod reaches 0, pure noise, where epsilon does not determine the clean image. "
                             "Predict v, sample or flow.")

    @classmethod
    def linear(cls, steps: int = 1000, start: float = 1e-4, end: float = 0.02, *,
               prediction_type: PredictionType) -> Self:
        """Betas that grow linearly (DDPM)."""
        return cls(prediction_type, _signal_share(np.linspace(start, end, steps)))

    @classmethod
    def scaled_linear(cls, steps: int = 1000, start: float = 0.0015, end: float = 0.0195, *,
                      prediction_type: PredictionType) -> Self:
        """Betas whose roots grow linearly (latent diffusion, Rombach et al., arXiv 2112.10752)."""
        return cls(prediction_type, _signal_share(np.linspace(start**0.5, end**0.5, steps) ** 2))

    @classmethod
    def cosine(cls, steps: int = 1000, offset: float = 0.008, largest_beta: float = 0.999, *,
               prediction_type: PredictionType) -> Self:
        """alpha-bar follows a squared cosine; betas are bounded, so that the last one keeps some signal."""
        curve = np.cos((np.arange(steps + 1) / steps + offset) / (1 + offset) * np.pi / 2) ** 2
        return cls(prediction_type, _signal_share(np.minimum(1.0 - curve[1:] / curve[:-1], largest_beta)))

    @classmethod
    def flow(cls, steps: int = 1000, *, prediction_type: PredictionType = "flow") -> Self:
        """Rectified flow, tau = 1/T, 2/T .. 1: the last step is pure noise, and trailing spacing is even in tau."""
        tau = np.arange(1, steps + 1) / steps
        return cls(prediction_type, (1.0 - tau) ** 2 / ((1.0 - tau) ** 2 + tau**2))

    def zero_terminal_snr(self) -> Self:
        """The same schedule, shifted and scaled so that its first step stays and its last is pure noise (Lin et al.).

        Raises InputError for a prediction of epsilon.
        """
        alpha = np.sqrt(self.alphas_cumprod)
        scaled = (alpha - alpha[-1]) * (alpha[0] / (alpha[0] - alpha[-1]))
        return replace(self, alphas_cumprod=scaled**2)

    def shifted(self, side: float, reference: float = 64.0) -> Self:
        """The same schedule with more noise: log SNR + 2 log(reference / side) at every step. In an image of `side`
        pixels, averages over side / reference pixels then have the SNR that this schedule gives to a pixel."""
        signal = self.alphas_cumprod * (reference / side) ** 2
        return replace(self, alphas_cumprod=signal / (signal + (1.0 - self.alphas_cumprod)))

    def alpha_sigma(self, timesteps: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """alpha and sigma of training steps, each of the shape of `timesteps`."""
        share = self.alphas_cumprod[timesteps]
        return np.sqrt(share), np.sqrt(1.0 - share)

    def step_table(self, steps: int, spacing: Spacing = "trailing") -> StepTable:
        """The table of a run of `steps` steps. Raises InputError for a number of steps outside 1..T."""
        total = len(self.alphas_cumprod)
        if not 1 <= steps <= total:
            raise InputError(f"steps = {steps}: expected 1 to {total}, the number of training steps.")
        if spacing not in SPACINGS:
            raise InputError(f"spacing {spacing!r} is unknown. Known: {', '.join(SPACINGS)}.")
        timesteps = SPACINGS[spacing](self.alphas_cumprod, steps)
        alpha, sigma = self.alpha_sigma(timesteps)
        return StepTable(timesteps, np.append(alpha, 1.0), np.append(sigma, 0.0))

    def to_x0(self, prediction: Array, x: Array, alpha: float, sigma: float) -> Array:
        """The clean image that a prediction at x = alpha x_0 + sigma epsilon implies; never clipped."""
        # Python floats: numpy's own float64 would turn float32 arrays into float64
        x0: Array = clean_image(self.prediction_type, prediction, x, float(alpha), float(sigma))
        return x0


def clean_image(prediction_type: PredictionType, prediction: Any, x: Any, alpha: Any, sigma: Any) -> Any:
    """x_0 from a denoiser's prediction at x = alpha x_0 + sigma epsilon.

    Arrays of numpy or tensors of torch, all of one kind and of shapes that broadcast.
    """
    if prediction_type == "epsilon":
        return (x - sigma * prediction) / alpha
    if prediction_type == "v":
        return alpha * x - sigma * prediction
    if prediction_type == "flow":
        return (x - sigma * prediction) / (alpha + sigma)
    return prediction


def _signal_share(betas: Array) -> NDArray[np.float64]:
    return np.cumprod(1.0 - betas, dtype=np.float64)


def _trailing(shares: Shares, steps: int) -> NDArray[np.int64]:
    """From the last training step down; the noisiest step is always visited."""
    return _rounded(len(shares) * np.arange(steps, 0, -1), steps) - 1


def _leading(shares: Shares, steps: int) -> NDArray[np.int64]:
    """Multiples of T // K from 0; with few steps the noisiest visited is far from pure noise."""
    return np.arange(steps, dtype=np.int64)[::-1] * (len(shares) // steps)


def _linspace(shares: Shares, steps: int) -> NDArray[np.int64]:
    """Even, both ends visited (a single step: the noisiest)."""
    last = len(shares) - 1
    return _rounded(last * np.arange(steps - 1, -1, -1), steps - 1) if steps > 1 else np.array([last])


def _log_snr(shares: Shares, steps: int) -> NDArray[np.int64]:
    """Even in log(alpha / sigma), both ends visited (a single step: the noisiest)."""
    if steps == 1:
        return np.array([len(shares) - 1])
    levels = _log_noise(shares)
    return _nearest(np.linspace(levels[-1], levels[0], steps), levels, len(shares))


def _karras(shares: Shares, steps: int) -> NDArray[np.int64]:
    """Even in (sigma / alpha)^(1/7), both ends visited (a single step: the noisiest)."""
    if steps == 1:
        return np.array([len(shares) - 1])
    levels = _log_noise(shares)
    noisiest, cleanest = np.exp(levels[[-1, 0]] / _RHO)
    return _nearest(_RHO * np.log(np.linspace(noisiest, cleanest, steps)), levels, len(shares))


def _log_noise(shares: Shares) -> NDArray[np.float64]:
    """log(sigma / alpha) of the training steps, rising, without a last step of pure noise, where it is infinite."""
    noisy = shares[shares > 0]
    return 0.5 * np.log((1.0 - noisy) / noisy)


def _nearest(targets: NDArray[np.float64], levels: NDArray[np.float64], total: int) -> NDArray[np.int64]:
    """The training steps nearest to falling noise levels; the first is always the noisiest step.

    Clean training steps are wide apart in these levels. A step that rounding would repeat becomes the next noisier one,
    so a table of many steps visits every clean training step once.
    """
    steps = np.rint(np.interp(targets, levels, np.arange(len(levels)))).astype(np.int64)
    steps[0] = total - 1
    place = np.arange(len(steps))
    free = np.maximum.accumulate(steps[::-1] - place)  # rises strictly when `place` is added again
    return (np.minimum(free, total - len(steps)) + place)[::-1]


def _rounded(numerators: NDArray[np.int64], denominator: int) -> NDArray[np.int64]:
    """Quotients of integers, rounded half to even. One division: an accumulated sum would depend on the language."""
    return np.rint(numerators / denominator).astype(np.int64)


_RHO = 7.0  # Karras et al., table 1
SPACINGS: dict[Spacing, Callable[[Shares, int], NDArray[np.int64]]] = {
    "trailing": _trailing, "leading": _leading, "linspace": _linspace, "log-snr": _log_snr, "karras": _karras}
