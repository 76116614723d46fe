"""Networks that were trained elsewhere, with our inputs and outputs: images and label maps as a bundle's user has them.

Nothing in here is learned. `Imported` holds what a bundle is made of.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from cldm_runtime.diffusion.schedule import NoiseSchedule
from cldm_runtime.domains.domain import Domain

from .description import ForeignCondition


@dataclass(frozen=True)
class Imported:
    """roles: graph role -> module, in evaluation mode. schedule: that the denoiser was trained with. latent: shape of
    the denoiser's x. condition: shape of what it is fed, None for an unconditional one. files: name -> SHA-256 of what
    the weights were read from. source: what they are, for the model card. notes: what a user must know."""

    roles: Mapping[str, nn.Module]
    schedule: NoiseSchedule
    latent: tuple[int, ...]
    condition: tuple[int, ...] | None
    files: Mapping[str, str]
    source: str
    notes: tuple[str, ...] = field(default=())


ENCODERS = {"concatenated": "mask_encoder", "controlnet": "control_encoder", "tokens": "attribute_encoder"}


def encoder_role(condition: ForeignCondition) -> str:
    """The role of the condition's graph."""
    return ENCODERS[condition.kind]


class ImportedDenoiser(nn.Module):
    """A U-Net that takes its condition in the way that it was trained with: see `ForeignCondition.kind`."""

    def __init__(self, unet: nn.Module, condition: ForeignCondition | None, controlnet: nn.Module | None = None
                 ) -> None:
        super().__init__()
        self.unet, self.controlnet = unet, controlnet
        self.kind = "" if condition is None else condition.kind
        self.condition_first = condition is not None and condition.order == "condition first"

    def forward(self, x: Tensor, timestep: Tensor, condition: Tensor | None = None) -> Tensor:
        """x (N, C, *latent), timestep (N,) -> prediction, of x's shape."""
        prediction: Tensor = self._predict(x, timestep, condition)
        return prediction

    def _predict(self, x: Tensor, timestep: Tensor, condition: Tensor | None) -> Any:
        if condition is None:
            return self.unet(x, timestep)
        if self.kind == "tokens":
            return self.unet(x, timestep, context=condition)
        if self.controlnet is not None:
            down, middle = self.controlnet(x, timestep, condition)
            return self.unet(x, timestep, down_block_additional_residuals=down,
                             mid_block_additional_residual=middle)
        both = (condition, x) if self.condition_first else (x, condition)
        return self.unet(torch.cat(both, dim=1), timestep)


class LabelNumbers(nn.Module):
    """One-hot label map (N, K, *spatial) -> the map as the network took it, (N, channels, *spatial): one channel of
    numbers, or one channel for each label."""

    table: Tensor

    def __init__(self, condition: ForeignCondition, domain: Domain, then: nn.Module) -> None:
        super().__init__()
        numbers = [condition.labels[name] for name in domain.labels.names]
        table = torch.zeros(condition.channels, len(numbers))
        for label, number in enumerate(numbers):
            table[int(number) if condition.channels > 1 else 0, label] = 1.0 if condition.channels > 1 else number
        self.register_buffer("table", table / condition.divide_by)
        self.then = then

    def forward(self, one_hot: Tensor) -> Tensor:
        numbers = torch.einsum("ck,nk...->nc...", self.table, one_hot)
        condition: Tensor = self.then(numbers)
        return condition


class AttributeNumbers(nn.Module):
    """Attributes and where they are defined (N, A) -> (N, T, 1): bare numbers, 0 where undefined."""

    mean: Tensor
    std: Tensor
    chosen: Tensor

    def __init__(self, condition: ForeignCondition, domain: Domain) -> None:
        super().__init__()
        count = len(condition.attributes)
        self.register_buffer("chosen", torch.tensor([domain.attribute_names.index(a) for a in condition.attributes]))
        self.register_buffer("mean", torch.tensor(condition.mean or (0.0,) * count))
        self.register_buffer("std", torch.tensor(condition.std or (1.0,) * count))

    def forward(self, attributes: Tensor, defined: Tensor) -> Tensor:
        known = defined[:, self.chosen]
        return (((attributes[:, self.chosen] - self.mean) / self.std) * known)[..., None]


class MeanLatent(nn.Module):
    """What an autoencoder's encoder says of its input: the mean, times `scale`."""

    autoencoder: Any  # MONAI's AutoencoderKL

    def __init__(self, autoencoder: nn.Module, scale: float) -> None:
        super().__init__()
        self.autoencoder, self.scale = autoencoder, scale

    def forward(self, x: Tensor) -> Tensor:
        mean: Tensor = self.autoencoder.encode(x)[0]
        return mean * self.scale


class ImageDecoder(nn.Module):
    """Latent of the diffusion -> image in [0, 1]. autoencoder: None where the diffusion is one of images."""

    autoencoder: Any  # MONAI's AutoencoderKL, or None

    def __init__(self, autoencoder: nn.Module | None, scale: float, network_range: tuple[float, float]) -> None:
        super().__init__()
        self.autoencoder, self.scale, (self.low, self.high) = autoencoder, scale, network_range

    def forward(self, latent: Tensor) -> Tensor:
        decoded: Tensor = latent if self.autoencoder is None else self.autoencoder.decode(latent / self.scale)
        return ((decoded - self.low) / (self.high - self.low)).clamp(0.0, 1.0)


class ImageEncoder(nn.Module):
    """Image in [0, 1] and white noise of the latent's shape -> a draw from the latent's distribution."""

    autoencoder: Any  # MONAI's AutoencoderKL

    def __init__(self, autoencoder: nn.Module, scale: float, network_range: tuple[float, float]) -> None:
        super().__init__()
        self.autoencoder, self.scale, (self.low, self.high) = autoencoder, scale, network_range

    def forward(self, image: Tensor, posterior_noise: Tensor) -> Tensor:
        mean, deviation = self.autoencoder.encode(image * (self.high - self.low) + self.low)
        drawn: Tensor = (mean + deviation * posterior_noise) * self.scale
        return drawn
