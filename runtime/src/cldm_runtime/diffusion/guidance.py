"""Classifier-free guidance (Ho and Salimans, arXiv 2207.12598), on an interval (Kynkäänniemi et al., 2404.07724).

    here                       papers
    weight                     1 + w of 2207.12598, equation 6; w of 2404.07724
    conditional, null          epsilon(z, c), epsilon(z), or the same of v, x0 or a flow
    interval                   2404.07724, section 3, in shares of the training timesteps instead of noise levels

    guided = null + weight (conditional - null)

weight 1 is the conditional prediction, 0 the unconditional one, and more than 1 goes past the conditional one, away
from the unconditional. Predictions mix linearly, so the formula is the same for epsilon, v, x0 and a flow.
"""

import math
from collections.abc import Callable

from .samplers import Predict
from .schedule import Array

PredictBoth = Callable[[Array, int], tuple[Array, Array]]  # (x, training step) -> (conditional, null) prediction
Interval = tuple[float, float]
EVERYWHERE: Interval = (0.0, 1.0)


def guide(predict: Predict, predict_both: PredictBoth, weight: float, interval: Interval,
          train_timesteps: int) -> Predict:
    """A guided prediction. At weight 1 and outside the interval it is `predict`, the conditional prediction alone."""
    if weight == 1.0:
        return predict

    def guided(x: Array, timestep: int) -> Array:
        if not acts(timestep, interval, train_timesteps):
            return predict(x, timestep)
        conditional, null = predict_both(x, timestep)
        return null + weight * (conditional - null)

    return guided


def acts(timestep: int, interval: Interval, train_timesteps: int) -> bool:
    """Whether training step 0 (share 0, clean) to T - 1 (share 1, noise) lies in the interval, both ends included."""
    low, high = interval
    return low <= timestep / max(train_timesteps - 1, 1) <= high


def guidance_faults(weight: float, interval: Interval) -> list[str]:
    """The faults of a weight and an interval, one line each; empty if both are valid."""
    faults = []
    if not (math.isfinite(weight) and weight >= 0):
        faults.append(f"guidance = {weight:g}: expected a finite number of 0 or more; 1 is none.")
    low, high = interval
    if not 0 <= low < high <= 1:
        faults.append(f"guidance_interval = {low:g} to {high:g}: expected 0 <= low < high <= 1, shares of the training "
                      "timesteps (0 clean, 1 noise).")
    return faults
