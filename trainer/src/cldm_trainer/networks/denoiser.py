"""The denoiser: one U-Net, which takes its condition in one of four ways.

way        what it takes                  how the U-Net takes it
nothing    -                              not at all
channels   latent (N, C, *latent)         concatenated with the noisy latent, in front of it
tokens     context (N, T, W)              cross-attention to T tokens
control    control (N, C, *latent)        ControlNet (Zhang et al., ICCV 2023) at a frozen U-Net
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from monai.networks.nets import ControlNet, DiffusionModelUNet
from torch import Tensor, nn

from ..config import DiffusionConfig
from .rank import CONVOLUTION, DepthToSpace, SpaceToDepth, spatial_axes

Way = Literal["nothing", "channels", "tokens", "control"]


@dataclass(frozen=True)
class ConditionInput:
    """What a denoiser takes as its condition. condition: name of the kind. shape: of one sample's condition, as it
    comes from the condition's encoder: () for nothing, (C, ...) where it is spatial, (T, W) where it is tokens.
    extends: name of the kind whose channels come first among these; empty for none."""

    condition: str = "none"
    way: Way = "nothing"
    shape: tuple[int, ...] = ()
    extends: str = ""


class FoldedUNet(nn.Module):
    """A U-Net at 1/patch of the resolution, between an input and a head that see every pixel: pixels become channels in
    front of it, and are put back behind it; two convolutions then join its answer with the input (the stem of "simple
    diffusion", Hoogeboom et al., arXiv 2301.11093)."""

    def __init__(self, in_channels: int, out_channels: int, config: DiffusionConfig, dims: int,
                 **settings: Any) -> None:
        super().__init__()
        hidden, pixels, convolution = config.hidden_channels, config.patch**dims, CONVOLUTION[dims]
        self.fold, self.unfold = SpaceToDepth(config.patch), DepthToSpace(config.patch)
        self.inner = DiffusionModelUNet(in_channels=in_channels * pixels, out_channels=hidden * pixels, **settings)
        self.head = nn.Sequential(convolution(hidden + in_channels, hidden, 3, padding=1), nn.SiLU(),
                                  convolution(hidden, out_channels, 3, padding=1))

    def forward(self, x: Tensor, timesteps: Tensor, context: Tensor | None = None) -> Tensor:
        """x (N, in channels, *spatial) -> (N, out channels, *spatial)."""
        hidden = self.unfold(self.inner(self.fold(x), timesteps=timesteps, context=context))
        prediction: Tensor = self.head(torch.cat([hidden, x], dim=1))
        return prediction


class Denoiser(nn.Module):
    """A U-Net, with a ControlNet at its side where that is how it takes its condition.

    `null` is what is learned to stand for "no condition", where the configuration drops conditions, else None: (C,),
    the same at every pixel, or (T, W).
    """

    def __init__(self, latent_channels: int, taken: ConditionInput, config: DiffusionConfig, dims: int = 2) -> None:
        super().__init__()
        self.condition, self.way, self.extends = taken.condition, taken.way, taken.extends
        self.latent_channels = latent_channels
        tokens = taken.way == "tokens"
        common: dict[str, Any] = {
            "spatial_dims": dims,
            "num_res_blocks": config.residual_blocks,
            "channels": config.channels,
            "attention_levels": config.attention,
            "norm_num_groups": config.norm_groups,
            "num_head_channels": config.head_channels,
        }
        in_channels = latent_channels + (taken.shape[0] if taken.way == "channels" else 0)
        taking = common | {"with_conditioning": tokens, "cross_attention_dim": taken.shape[1] if tokens else None}
        self.unet: nn.Module = (
            FoldedUNet(in_channels, latent_channels, config, dims, **taking) if config.patch > 1 else
            DiffusionModelUNet(in_channels=in_channels, out_channels=latent_channels, **taking))
        null_shape = taken.shape if tokens else taken.shape[:1]
        self.null = nn.Parameter(torch.zeros(null_shape)) if config.condition_dropout > 0 else None
        self.controlnet: nn.Module | None = None
        if taken.way == "control":
            self.controlnet = ControlNet(in_channels=latent_channels, **common)
            # The condition does not depend on the timestep: ControlEncoder embeds it, once a sample.
            self.controlnet.controlnet_cond_embedding = nn.Identity()

    def forward(self, x: Tensor, timestep: Tensor, condition: Tensor | None = None,
                dropped: Tensor | None = None) -> Tensor:
        """x (N, C, *latent), timestep (N,), condition (N, *shape) -> prediction (N, C, *latent).

        dropped (N,), in training only: which samples get `null` instead of their condition.
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
        if self.way == "channels":
            return self.unet(torch.cat([condition, x], dim=1), timesteps=timestep)
        if self.controlnet is None:
            return self.unet(x, timesteps=timestep, context=condition)
        down, middle = self.controlnet(x, timestep, condition)
        return self.unet(x, timesteps=timestep, down_block_additional_residuals=down,
                         mid_block_additional_residual=middle)

    @torch.no_grad()
    def begin_with(self, trunk: "Denoiser") -> None:
        """Take the weights of a trained denoiser where the U-Nets are alike; the others stay as they are.

        A trunk that takes another condition as channels begins this one as it predicts with its null condition, which
        its first convolution then holds as a bias (at the border of the image that differs: the convolution's zeros).
        A condition that extends the trunk's begins as the trunk predicts with its own: what it adds does nothing yet.
        Raises ValueError where the widths differ, or the trunk takes another condition: in another way, or with
        diffusion.patch above 1.
        """
        another = trunk.condition != self.condition
        if another and isinstance(self.unet, FoldedUNet):
            raise ValueError(f"conditioned by {trunk.condition}, which only diffusion.patch = 1 can exchange")
        if another and trunk.way not in ("nothing", "channels"):
            raise ValueError(f"conditioned by {trunk.condition}")
        weights, own, first = trunk.unet.state_dict(), self.unet.state_dict(), "conv_in.conv."
        extended = another and trunk.way == "channels" and trunk.condition == self.extends
        latent = self.latent_channels
        if another and trunk.way == "channels" and not extended:
            if trunk.null is None:
                raise ValueError("it was trained without condition_dropout, so it cannot do without its "
                                 f"{trunk.condition}s")
            width, kernel = len(trunk.null), weights[first + "weight"]
            weights[first + "bias"] = weights[first + "bias"] + kernel[:, :width].sum(spatial_axes(kernel)) @ trunk.null
            weights[first + "weight"] = kernel[:, width:]
        if another and self.way == "channels":
            begun, kernel = weights[first + "weight"], torch.zeros_like(own[first + "weight"])
            kernel[:, -latent:] = begun[:, -latent:]
            kernel[:, :begun.shape[1] - latent] = begun[:, :-latent]
            weights[first + "weight"] = kernel
        faults = [f"{name} {tuple(value.shape)} for {tuple(own[name].shape)}" for name, value in weights.items()
                  if name in own and value.shape != own[name].shape]
        if faults:
            raise ValueError("it has " + ", ".join(faults[:3]))
        self.unet.load_state_dict(weights, strict=False)
        if self.null is not None and trunk.null is not None and (extended or not another):
            self.null[:len(trunk.null)] = trunk.null

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
        """As the denoiser, with the encoder's inputs instead of its output."""
        prediction: Tensor = self.denoiser(x, timestep, self.encoder(*sources), dropped)
        return prediction
