"""The denoiser that a configuration describes, with the encoder of its condition."""

from ..networks import Conditioned, ConditionInput, Denoiser
from .kind import Design
from .registry import KINDS


def condition_input(design: Design) -> ConditionInput:
    """The condition input of the denoiser that the configuration describes."""
    kind = KINDS[design.diffusion.condition]
    return kind.condition_input(kind.shape(design))


def make_model(design: Design) -> Denoiser | Conditioned:
    """The untrained denoiser, with its condition's encoder where that is learned."""
    denoiser = Denoiser(design.codecs.image.latent_channels, condition_input(design), design.diffusion, design.dims)
    encoder = KINDS[design.diffusion.condition].learned(design)
    return denoiser if encoder is None else Conditioned(denoiser, encoder)
