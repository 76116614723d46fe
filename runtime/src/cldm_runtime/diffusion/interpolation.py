"""Samples between a free one and a given image: their noisy states are mixed at one step, and denoised from there.

SegGuidedDiff does so in image space. Here the states are whatever the denoiser works on, pixels or latents.

    here                  the paper
    similarity            1 - lambda: ours is 1 at the given image
    place                 the entry of the step table where the states are mixed; the paper mixes at t = 240 of 1000
"""

import math

import numpy as np

from ..errors import InputError
from .samplers import Denoise, Noise, Sampler
from .schedule import Array, StepTable


def mixed(own: Array, clean: Array, fresh: Array, similarity: float, alpha: float, sigma: float) -> Array:
    """The state between a sample's own state and a given clean image, at the noise level (alpha, sigma).

    own = alpha x_own + sigma e_own; fresh: standard normals that are independent of it. With s = similarity this is

        alpha (s clean + (1 - s) x_own) + sigma ((1 - s) e_own + sqrt(1 - (1 - s)^2) fresh)

    Clean images are mixed linearly. Noise is not: s and 1 - s times two independent noises would leave the variance
    s^2 + (1 - s)^2, at most half too little, where the denoiser expects 1. It would take the missing noise for signal,
    and images would come out smooth. The weights of the noises here have squares that sum to 1.
    """
    free = 1.0 - similarity
    state: Array = free * own + (similarity * alpha) * clean + (sigma * math.sqrt(1.0 - free**2)) * fresh
    return state


def towards(sampler: Sampler, clean: Array, fresh: Array, similarity: float, place: int) -> Sampler:
    """`sampler`, which goes from noise to `place`, is mixed with the noised image there, and goes on from the mixture.

    The second part starts afresh: samplers of second order forget the predictions before the mixture, which are of
    other states. At similarity 1 nothing of the first part is left, and it is left out.
    """
    def walk(denoise: Denoise, x: Array, table: StepTable, noise: Noise) -> Array:
        if similarity < 1:
            before = StepTable(table.timesteps[:place], table.alpha[:place + 1], table.sigma[:place + 1])
            x = sampler(denoise, x, before, noise)
        x = mixed(x, clean, fresh, similarity, float(table.alpha[place]), float(table.sigma[place]))
        after = StepTable(table.timesteps[place:], table.alpha[place:], table.sigma[place:])
        return sampler(denoise, x, after, lambda k: noise(place + k))

    return walk


def nearest_place(table: StepTable, from_step: int, train_timesteps: int) -> int:
    """The entry of the table whose training step is nearest to `from_step`, the noisier one of two.

    Raises InputError for a step beyond the schedule, and where the nearest is the first: sampling begins there, at
    almost pure noise, and nothing of a given image would be left.
    """
    if not 0 <= from_step < train_timesteps:
        raise InputError(f"from_step = {from_step}: expected 0 (clean) to {train_timesteps - 1} (noise), the training "
                         "steps of this bundle.")
    place = int(np.abs(table.timesteps - from_step).argmin())
    if place:
        return place
    first = int(table.timesteps[0])
    others = f"a smaller one, nearer to {int(table.timesteps[1])}" if len(table) > 1 else "more sampling steps"
    raise InputError(f"from_step = {from_step}: the nearest of the {len(table)} sampling steps is {first}, where "
                     f"sampling begins: the given image would drown in noise there. Give {others}.")
