"""Codecs, the discriminator that may sharpen one, and the encoders that are exported."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from monai.networks.nets import AutoencoderKL, PatchDiscriminator
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..config import CodecConfig
from .affine import Affine
from .components import BlockComponents
from .identity import IdentityCodec
from .rank import CONVOLUTION, DepthToSpace, SpaceToDepth


class RecomputedBlocks(nn.ModuleList):
    """Blocks that keep only their inputs in training, and are computed again in the backward pass."""

    def __iter__(self) -> Iterator[Any]:
        for block in super().__iter__():
            yield partial(checkpoint, block, use_reentrant=False) if self.training else block


class Codec(nn.Module):
    """A KL autoencoder (Rombach et al., CVPR 2022), for images and for masks (one-hot in, logits out).

    With `patch` > 1, pixels are moved to channels before the first convolution, so that all heavy convolutions run at
    1/patch of the resolution. Behind the pixel-shuffle two small convolutions at full resolution join the patches.

    With `components`, the network adds to a linear codec of blocks, and begins by adding nothing: label maps with few
    voxels of a label are then drawn from the first step on.
    """

    def __init__(self, image_channels: int, config: CodecConfig, dims: int = 2) -> None:
        super().__init__()
        patch, levels = config.patch, len(config.channels)
        hidden = config.hidden_channels if patch > 1 else image_channels
        self.fold = SpaceToDepth(patch)
        self.autoencoder = AutoencoderKL(
            spatial_dims=dims,
            in_channels=image_channels * patch**dims,
            out_channels=hidden * patch**dims,
            num_res_blocks=config.residual_blocks,
            channels=config.channels,
            attention_levels=config.attention or (False,) * levels,
            latent_channels=config.latent_channels,
            norm_num_groups=config.norm_groups,
            with_encoder_nonlocal_attn=config.middle_attention,
            with_decoder_nonlocal_attn=config.middle_attention,
        )
        if config.recompute:
            for half in (self.autoencoder.encoder, self.autoencoder.decoder):
                half.blocks = RecomputedBlocks(half.blocks)
        self.unfold = DepthToSpace(patch)
        self.join: nn.Module = nn.Identity()
        if patch > 1:
            convolution = CONVOLUTION[dims]
            self.join = nn.Sequential(
                nn.SiLU(), convolution(hidden, hidden, 3, padding=1),
                nn.SiLU(), convolution(hidden, image_channels, 3, padding=1),
            )
        self.image_channels, self.latent_channels, self.dims = image_channels, config.latent_channels, dims
        self.stride = patch * 2 ** (levels - 1)
        self.components: BlockComponents | None = None
        if config.components:
            self.components = BlockComponents(image_channels, config.latent_channels, self.stride, dims)
            last = self.join[-1] if isinstance(self.join, nn.Sequential) else self.autoencoder.decoder.blocks[-1]
            for parameter in (*self.autoencoder.quant_conv_mu.parameters(), *last.parameters()):
                nn.init.zeros_(parameter)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, image channels, *spatial) -> mean and deviation, each (N, latent channels, *(spatial / stride))."""
        mean, deviation = self.autoencoder.encode(self.fold(x))
        return mean if self.components is None else mean + self.components.encode(x), deviation

    def features(self, z: Tensor) -> Tensor:
        """What the last convolutions see: (N, hidden, *spatial)."""
        features: Tensor = self.unfold(self.autoencoder.decode(z))
        return features

    def decode(self, z: Tensor) -> Tensor:
        """Raw latent -> (N, image channels, *spatial)."""
        decoded: Tensor = self.join(self.features(z))
        return decoded if self.components is None else decoded + self.components.decode(z)

    def begin_certain(self) -> None:
        """Give untrained weights a small deviation: e^-3, and e^-6 beside components, the finest of which are small.
        Where a label fills few voxels, the noise of a deviation of 1 hides it at first, and the codec learns to draw
        none."""
        log_variance = -6.0 if self.components is None else -12.0
        nn.init.constant_(self.autoencoder.quant_conv_log_sigma.conv.bias, log_variance)

    def forward(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruction from mean + deviation * noise, the mean, the deviation."""
        mean, deviation = self.encode(x)
        return self.decode(mean + deviation * noise), mean, deviation


def make_image_codec(section: CodecConfig, channels: int, dims: int) -> Codec | IdentityCodec:
    """The untrained codec for images with that number of channels and spatial dimensions."""
    return IdentityCodec(channels, dims) if section.is_identity else Codec(channels, section, dims)


def discriminator(channels: int = 1, dims: int = 2) -> nn.Module:
    """The PatchGAN of the cLDM paper for images with that number of channels; use the last entry of its output."""
    critic: nn.Module = PatchDiscriminator(spatial_dims=dims, channels=64, in_channels=channels, num_layers_d=3)
    return critic


class Encoder(nn.Module):
    """Image in [0, 1] and white noise of the latent's shape -> a draw from the standardised latent's posterior.

    Zeros instead of the noise give the mean. Draws, not means, are what the diffusion model learns.
    """

    def __init__(self, codec: Codec | IdentityCodec, affine: Affine) -> None:
        super().__init__()
        self.codec, self.affine = codec, affine

    def forward(self, image: Tensor, posterior_noise: Tensor) -> Tensor:
        mean, deviation = self.codec.encode(2.0 * image - 1.0)
        return self.affine.standardise(mean + deviation * posterior_noise)


class LabelDecoder(nn.Module):
    """Standardised latent -> channels of a label map, in [0, 1]."""

    def __init__(self, codec: Codec, affine: Affine) -> None:
        super().__init__()
        self.codec, self.affine = codec, affine

    def forward(self, latent: Tensor) -> Tensor:
        channels: Tensor = torch.clamp(0.5 * (self.codec.decode(self.affine.restore(latent)) + 1.0), 0.0, 1.0)
        return channels


class MaskEncoder(nn.Module):
    """One-hot label map -> mean of the standardised mask latent."""

    def __init__(self, codec: Codec, affine: Affine) -> None:
        super().__init__()
        self.codec, self.affine = codec, affine

    def forward(self, one_hot: Tensor) -> Tensor:
        return self.affine.standardise(self.codec.encode(one_hot)[0])
