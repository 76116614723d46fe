"""The encoders and models of each kind of condition."""

from torch import nn

from cldm_runtime.bundle.declarations import find_domain

from ..config import Config
from ..networks import AttributeTokens, Conditioned, ControlEncoder, Denoiser


def condition_shape(config: Config) -> tuple[int, ...]:
    """Of one sample's condition as the denoiser takes it, as far as `Denoiser` asks."""
    encoder = make_encoder(config)
    if isinstance(encoder, AttributeTokens):
        return encoder.shape
    kind = config.diffusion.condition
    widths = {"none": (), "mask": (config.mask_codec.latent_channels,), "control": (config.diffusion.channels[0],)}
    return widths[kind]


def make_encoder(config: Config) -> nn.Module | None:
    """The untrained encoder that learns together with the denoiser; None where there is none."""
    kind, domain, section = config.diffusion.condition, find_domain(config.cohort.domain), config.diffusion
    if kind == "attributes":
        return AttributeTokens(len(domain.attributes), section.tokens, section.context_width)
    if kind == "label-vae":
        return AttributeTokens(config.label_vae.dimensions, "corrected", section.context_width)
    if kind == "control":
        return ControlEncoder(len(domain.labels), config.control.channels, section.channels[0])
    return None


def make_model(config: Config) -> Denoiser | Conditioned:
    """The untrained denoiser, with its condition's encoder where that is learned."""
    denoiser = Denoiser(config.image_codec.latent_channels, condition_shape(config), config.diffusion)
    encoder = make_encoder(config)
    return denoiser if encoder is None else Conditioned(denoiser, encoder)
