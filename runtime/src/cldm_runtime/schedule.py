"""Noise schedules: how much signal is left at each training step, and the few steps that sampling visits.

Papers: DDPM (Ho et al., arXiv 2006.11239), DDIM (Song et al., 2010.02502), v-prediction (Salimans & Ho, 2202.00512),
cosine schedule (Nichol & Dhariwal, 2102.09672), spacings (Lin et al., 2305.08891, table 2).

    here                paper
    alphas_cumprod[t]   alpha-bar_t of DDPM (alpha_t of DDIM)
    alpha, sigma        sqrt(alpha-bar_t), sqrt(1 - alpha-bar_t):   x_t = alpha x_0 + sigma epsilon
    v                   alpha epsilon - sigma x_0
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .manifest import ScheduleSpec

PredictionType = Literal["epsilon", "v", "sample"]
Spacing = Literal["trailing", "leading", "linspace"]
Array = NDArray[np.floating]


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
    """What a network was trained with: the meaning of its output, and alphas_cumprod (T,) float64, falling."""

    prediction_type: PredictionType
    alphas_cumprod: NDArray[np.float64]

    @classmethod
    def from_spec(cls, spec: ScheduleSpec) -> Self:
        return cls(spec.prediction_type, np.array(spec.alphas_cumprod, dtype=np.float64))

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

    def alpha_sigma(self, timesteps: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """alpha and sigma of training steps, each of the shape of `timesteps`."""
        share = self.alphas_cumprod[timesteps]
        return np.sqrt(share), np.sqrt(1.0 - share)

    def step_table(self, steps: int, spacing: Spacing = "trailing") -> StepTable:
        """The table of a run of `steps` steps. Raises InputError for a number of steps outside 1..T."""
        total = len(self.alphas_cumprod)
        if not 1 <= steps <= total:
            raise InputError(f"steps = {steps}: expected 1 to {total}, the number of training steps.")
        if spacing not in _SPACINGS:
            raise InputError(f"spacing {spacing!r} is unknown. Known: {', '.join(_SPACINGS)}.")
        timesteps = _SPACINGS[spacing](total, steps)
        alpha, sigma = self.alpha_sigma(timesteps)
        return StepTable(timesteps, np.append(alpha, 1.0), np.append(sigma, 0.0))

    def to_x0(self, prediction: Array, x: Array, alpha: float, sigma: float) -> Array:
        """The clean image that a prediction at x = alpha x_0 + sigma epsilon implies; never clipped."""
        alpha, sigma = float(alpha), float(sigma)  # numpy's own float64 would turn float32 arrays into float64
        if self.prediction_type == "epsilon":
            return (x - sigma * prediction) / alpha
        if self.prediction_type == "v":
            return alpha * x - sigma * prediction
        return prediction


def _signal_share(betas: Array) -> NDArray[np.float64]:
    return np.cumprod(1.0 - betas, dtype=np.float64)


def _trailing(total: int, steps: int) -> NDArray[np.int64]:
    """From the last training step down; the noisiest step is always visited."""
    return _rounded(total * np.arange(steps, 0, -1), steps) - 1


def _leading(total: int, steps: int) -> NDArray[np.int64]:
    """Multiples of T // K from 0; with few steps the noisiest visited is far from pure noise."""
    return np.arange(steps, dtype=np.int64)[::-1] * (total // steps)


def _linspace(total: int, steps: int) -> NDArray[np.int64]:
    """Even, both ends visited (a single step: the noisiest)."""
    return _rounded((total - 1) * np.arange(steps - 1, -1, -1), steps - 1) if steps > 1 else np.array([total - 1])


def _rounded(numerators: NDArray[np.int64], denominator: int) -> NDArray[np.int64]:
    """Quotients of integers, rounded half to even. One division: an accumulated sum would depend on the language."""
    return np.rint(numerators / denominator).astype(np.int64)


_SPACINGS: dict[str, Callable[[int, int], NDArray[np.int64]]] = {
    "trailing": _trailing, "leading": _leading, "linspace": _linspace}
