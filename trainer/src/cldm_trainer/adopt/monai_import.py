"""Diffusion models of MONAI and monai-generative: a U-Net, with autoencoders or a ControlNet at its side."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from cldm_runtime.domains.domain import Domain
from cldm_runtime.errors import InputError
from cldm_runtime.files.digest import sha256_of

from ..graphs.accurate_norm import use_accurate_norms
from .description import Description
from .monai_networks import build
from .networks import (
    AttributeNumbers,
    ImageDecoder,
    ImageEncoder,
    Imported,
    ImportedDenoiser,
    LabelNumbers,
    MeanLatent,
    encoder_role,
)
from .schedules import described_schedule
from .shapes import require_shape, shape_of

_UNSUPPORTED = {"num_class_embeds": "classes", "with_conditioning": "cross-attention"}


@dataclass(frozen=True)
class MonaiNetworks:
    """Builds the networks of a description with a U-Net. folder: that its paths are relative to."""

    description: Description
    domain: Domain
    folder: Path

    def read(self) -> Imported:
        """Raises InputError for weights or options that do not fit each other."""
        image, latent, condition = self.description.image, self.description.latent, self.description.condition
        autoencoder, shape = None, (image.channels, *image.shape)
        if self.description.autoencoder is not None:
            autoencoder = self._build("autoencoder", in_channels=image.channels, out_channels=image.channels)
            encoded = MeanLatent(autoencoder, latent.scale)
            shape = shape_of("autoencoder.options, image.shape", encoded, shape)
        controlnet = self._controlnet(shape[0])
        encoder = self._encoder(controlnet)
        fed = None if encoder is None else shape_of("condition, image.shape", encoder, *self._sources())
        denoiser = ImportedDenoiser(self._unet(shape[0], fed), condition, controlnet)
        require_shape("unet, condition, image.shape", denoiser, shape, shape, (), *([fed] if fed else []))
        roles: dict[str, nn.Module] = {"denoiser": denoiser}
        if encoder is not None and condition is not None:
            use_accurate_norms(encoder)  # label maps are constant over large regions
            roles[encoder_role(condition)] = encoder
        roles["decoder"] = ImageDecoder(autoencoder, latent.scale, image.network_range)
        require_shape("autoencoder, image.shape", roles["decoder"], (image.channels, *image.shape), shape)
        if autoencoder is not None:
            roles["encoder"] = ImageEncoder(autoencoder, latent.scale, image.network_range)
        assert self.description.schedule is not None  # the description was checked
        return Imported(roles, described_schedule(self.description.schedule), shape, fed, self._files(), self._source())

    def _build(self, role: str, **fixed: Any) -> nn.Module:
        described = getattr(self.description, role)
        for option, what in _UNSUPPORTED.items():
            if described.options.get(option) and option not in fixed:
                raise InputError(f"{role}.options.{option}: a network that takes {what} is supported only as "
                                 "condition.kind = \"tokens\" of a U-Net with cross-attention to attributes.")
        return build(role, described, self.folder, self.description.dims, fixed)

    def _unet(self, channels: int, fed: tuple[int, ...] | None) -> nn.Module:
        condition = self.description.condition
        kind = "" if condition is None else condition.kind
        added = fed[0] if kind == "concatenated" and fed else 0
        tokens = {"with_conditioning": True, "cross_attention_dim": 1} if kind == "tokens" else {}
        return self._build("unet", in_channels=channels + added, out_channels=channels, **tokens)

    def _controlnet(self, channels: int) -> nn.Module | None:
        condition = self.description.condition
        if self.description.controlnet is None or condition is None:
            return None
        return self._build("controlnet", in_channels=channels, conditioning_embedding_in_channels=condition.channels)

    def _encoder(self, controlnet: nn.Module | None) -> nn.Module | None:
        """From label maps or attributes to what the denoiser is fed. The part of a ControlNet that does not depend on
        the timestep moves there, to run once a sample."""
        condition = self.description.condition
        if condition is None:
            return None
        if condition.kind == "tokens":
            return AttributeNumbers(condition, self.domain)
        then: nn.Module = nn.Identity()
        if self.description.mask_autoencoder is not None:
            codec = self._build("mask_autoencoder", in_channels=condition.channels)
            then = MeanLatent(codec, self.description.latent.mask_scale)
        if controlnet is not None:
            then = controlnet.get_submodule("controlnet_cond_embedding")
            controlnet.controlnet_cond_embedding = nn.Identity()
        return LabelNumbers(condition, self.domain, then)

    def _sources(self) -> list[tuple[int, ...]]:
        """Shapes of what the condition's encoder takes, of one sample."""
        condition = self.description.condition
        if condition is not None and condition.kind == "tokens":
            return [(len(self.domain.attributes),)] * 2
        return [(len(self.domain.labels), *self.description.image.shape)]

    def _files(self) -> dict[str, str]:
        described = [getattr(self.description, role) for role in self._roles()]
        return {Path(network.weights).name: sha256_of(self.folder / network.weights) for network in described}

    def _roles(self) -> list[str]:
        roles = ("autoencoder", "mask_autoencoder", "unet", "controlnet")
        return [role for role in roles if getattr(self.description, role) is not None]

    def _source(self) -> str:
        return f"MONAI's {', '.join(role.replace('_', ' ') for role in self._roles())}"
