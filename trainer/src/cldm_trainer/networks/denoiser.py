"""The denoiser: one U-Net, told its condition in one of the ways of the cLDM paper.

condition     strategy   what it takes                    how the U-Net is told
none          -          -                                not at all
mask          3          mask_latent (N, Cm, h, w)        concatenated with the noisy latent, in front of it
attributes    1.1        context (N, T, W)                cross-attention to T tokens
label-vae     1.2, 1.3   context (N, T, W)                cross-attention to T tokens
control       2          control (N, C, h, w)             ControlNet (Zhang et al., ICCV 2023) beside a frozen U-Net
"""

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.nets import ControlNet, DiffusionModelUNet
from torch import Tensor, nn

from ..config import DiffusionConfig


class Denoiser(nn.Module):
    """A U-Net, with a ControlNet beside it where the condition is "control".

    condition_shape: of one sample's condition, as it comes from the condition's encoder: () for none, (Cm, ...) or
    (C, ...) where it is spatial, (T, W) where it is tokens. `null` is what is learned to stand for "no condition",
    where the configuration drops conditions, else None: (Cm,) or (C,), the same at every pixel, or (T, W).
    """

    def __init__(self, latent_channels: int, condition_shape: Sequence[int], config: DiffusionConfig) -> None:
        super().__init__()
        self.condition = config.condition
        tokens, joined = config.condition in ("attributes", "label-vae"), config.condition == "mask"
        common: dict[str, Any] = {
            "spatial_dims": 2,
            "num_res_blocks": config.residual_blocks,
            "channels": config.channels,
            "attention_levels": config.attention,
            "norm_num_groups": config.norm_groups,
            "num_head_channels": config.head_channels,
        }
        self.unet = DiffusionModelUNet(
            in_channels=latent_channels + (condition_shape[0] if joined else 0),
            out_channels=latent_channels,
            with_conditioning=tokens,
            cross_attention_dim=condition_shape[1] if tokens else None,
            **common,
        )
        null_shape = condition_shape if tokens else condition_shape[:1]
        self.null = nn.Parameter(torch.zeros(tuple(null_shape))) if config.condition_dropout > 0 else None
        self.controlnet: nn.Module | None = None
        if config.condition == "control":
            self.controlnet = ControlNet(in_channels=latent_channels, **common)
            # The condition does not depend on the timestep: ControlEncoder embeds it, once a sample.
            self.controlnet.controlnet_cond_embedding = nn.Identity()

    def forward(self, x: Tensor, timestep: Tensor, condition: Tensor | None = None,
                dropped: Tensor | None = None) -> Tensor:
        """x (N, C, h, w), timestep (N,), condition (N, *condition_shape) -> prediction (N, C, h, w).

        dropped (N,), in training only: which samples get `null` in the place of their condition.
        """
        if dropped is not None and condition is not None and self.null is not None:
            spatial = (1,) * (condition.ndim - 1 - self.null.ndim)
            null = self.null.reshape(*self.null.shape, *spatial)
            condition = torch.where(dropped.reshape(-1, *(1,) * (condition.ndim - 1)), null, condition)
        prediction: Tensor = self._predict(x, timestep, condition)
        return prediction

    def _predict(self, x: Tensor, timestep: Tensor, condition: Tensor | None) -> Any:
        if condition is None:
            return self.unet(x, timesteps=timestep)
        if self.condition == "mask":
            return self.unet(torch.cat([condition, x], dim=1), timesteps=timestep)
        if self.controlnet is None:
            return self.unet(x, timesteps=timestep, context=condition)
        down, middle = self.controlnet(x, timestep, condition)
        return self.unet(x, timesteps=timestep, down_block_additional_residuals=down,
                         mid_block_additional_residual=middle)

    @torch.no_grad()
    def begin_with(self, trunk: "Denoiser") -> None:
        """Take the weights of a trained denoiser where the U-Nets are alike; the others stay as they are.

        A trunk conditioned by a mask's latent begins another condition as it predicts with its null condition, which
        its first convolution then holds as a bias (at the border of the image that differs: the convolution's zeros).
        Raises ValueError where the widths differ or the trunk knows another condition.
        """
        if trunk.condition not in ("none", "mask", self.condition):
            raise ValueError(f"conditioned by {trunk.condition}")
        weights, first = trunk.unet.state_dict(), "conv_in.conv."
        if trunk.condition == "mask" != self.condition:
            if trunk.null is None:
                raise ValueError("it was trained without condition_dropout, so it cannot do without its masks")
            width = len(trunk.null)
            told = weights[first + "weight"][:, :width].sum((2, 3))
            weights[first + "bias"] = weights[first + "bias"] + told @ trunk.null
            weights[first + "weight"] = weights[first + "weight"][:, width:]
        own = self.unet.state_dict()
        if trunk.condition == "none" and self.condition == "mask":
            told = torch.zeros_like(own[first + "weight"])
            told[:, -weights[first + "weight"].shape[1]:] = weights[first + "weight"]
            weights[first + "weight"] = told
        faults = [f"{name} {tuple(value.shape)} for {tuple(own[name].shape)}" for name, value in weights.items()
                  if name in own and value.shape != own[name].shape]
        if faults:
            raise ValueError("it has " + ", ".join(faults[:3]))
        self.unet.load_state_dict(weights, strict=False)
        if self.null is not None and trunk.null is not None and self.condition == trunk.condition:
            self.null.copy_(trunk.null)

    def control(self, base: "Denoiser") -> None:
        """Take the weights of a trained unconditional denoiser: for the U-Net, which is frozen, and, as a start, for
        the ControlNet's copy of its encoder. The ControlNet's own convolutions are zero, so both predict the same."""
        assert self.controlnet is not None
        weights = base.unet.state_dict()
        self.unet.load_state_dict(weights)
        self.unet.requires_grad_(False)
        missing, _ = self.controlnet.load_state_dict(weights, strict=False)
        own = [name for name in missing if not name.startswith(("controlnet_down_blocks.", "controlnet_mid_block."))]
        assert not own, f"the unconditional U-Net lacks {own}"


class Conditioned(nn.Module):
    """A denoiser and the encoder of its condition, which learns with it."""

    def __init__(self, denoiser: Denoiser, encoder: nn.Module) -> None:
        super().__init__()
        self.denoiser, self.encoder = denoiser, encoder

    def forward(self, x: Tensor, timestep: Tensor, *sources: Tensor, dropped: Tensor | None = None) -> Tensor:
        """As the denoiser, with what the encoder takes in the place of what it gives."""
        prediction: Tensor = self.denoiser(x, timestep, self.encoder(*sources), dropped)
        return prediction
