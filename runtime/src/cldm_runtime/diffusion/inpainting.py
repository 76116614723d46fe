"""Sampling with a part of the clean image known: the rest is drawn to fit it.

At every step the known part of the state is replaced by the given image at that noise level, so the network always sees
it as it is ("RePaint", Lugmayr et al., arXiv 2201.09865, without its resampling). Its noise is that of the sample's
start, so a deterministic sampler ends at the given image there.
"""

from .samplers import Denoise
from .schedule import Array


def with_known(denoise: Denoise, clean: Array, known: Array, noise: Array) -> Denoise:
    """`denoise`, for states whose known part is given.

    clean: the given image, of the shape of the state. known: 1 where it is to be kept, 0 where it is drawn; broadcasts
    to that shape. noise: standard normals of that shape, those that sampling starts from.
    """
    def denoise_around(x: Array, timestep: int, alpha: float, sigma: float) -> Array:
        state = known * (alpha * clean + sigma * noise) + (1.0 - known) * x
        drawn: Array = known * clean + (1.0 - known) * denoise(state.astype(x.dtype), timestep, alpha, sigma)
        return drawn.astype(x.dtype)

    return denoise_around
