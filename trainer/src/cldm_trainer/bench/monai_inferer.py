"""MONAI core's LatentDiffusionInferer as its users write it, with the networks of the cLDM paper and random weights."""

import time
from pathlib import Path
from typing import Any

import torch
from monai.inferers import DiffusionInferer, LatentDiffusionInferer
from monai.networks.nets import AutoencoderKL, DiffusionModelUNet
from monai.networks.schedulers import DDIMScheduler, DDPMScheduler
from torch import Tensor

from cldm_runtime.bench.work import Clock, Parts

from ..config import CodecConfig
from ..stages.config_file import load_config
from .torch_flops import call_flops

ESTIMATE_STEPS = 20
_SCHEDULERS = {"ddpm": DDPMScheduler, "ddim": DDIMScheduler}


class MonaiInferer:
    """A label map through the mask's autoencoder, the sampling loop with its latent next to the noisy one, the image's
    decoder; all as strategy 3 of the paper has it."""

    def __init__(self, paper: str, sampler: str, steps: int, threads: int, seed: int = 0,
                 clock: Clock = time.perf_counter) -> None:
        """paper: a configuration with the sizes of the networks."""
        torch.set_num_threads(threads)
        torch.manual_seed(seed)
        config = load_config(Path(paper))
        axes = len(config.prepare.shape)
        self._image_codec, self._mask_codec = (_autoencoder(section, axes) for section in (config.image_codec,
                                                                                         config.mask_codec))
        section, latents = config.diffusion, config.image_codec.latent_channels
        self._unet = DiffusionModelUNet(
            spatial_dims=axes, in_channels=latents + config.mask_codec.latent_channels, out_channels=latents,
            channels=section.channels, attention_levels=section.attention, num_res_blocks=section.residual_blocks,
            num_head_channels=section.head_channels, norm_num_groups=section.norm_groups).eval()
        self._scheduler = _SCHEDULERS[sampler](num_train_timesteps=section.timesteps, schedule="linear_beta",
                                               beta_start=section.beta_start, beta_end=section.beta_end)
        self._inferer = LatentDiffusionInferer(self._scheduler, scale_factor=1.0)
        self._sampler, self._steps, self._shape, self._clock = sampler, steps, config.prepare.shape, clock
        self._mask, self._noise = torch.zeros(0), torch.zeros(0)
        self.prepare(1)

    def facts(self) -> dict[str, Any]:
        self.prepare(1)
        condition = self._encode()
        both, time_step = torch.cat([self._noise, condition], dim=1), torch.tensor([1])
        once = call_flops(self._encode) + call_flops(lambda: self._image_codec.decode_stage_2_outputs(self._noise))
        each = call_flops(lambda: self._unet(both, timesteps=time_step))
        return {"networks": "the paper's, random weights", "sampler": self._sampler, "steps": self._steps,
                "guidance": 1.0, "precision": "fp32", "evaluations": self._steps,
                "gflop_per_image": (once + each * self._steps) / 1e9}

    def prepare(self, batch: int) -> None:
        """Raw labels in one channel, as the paper's code has them."""
        generator = torch.Generator().manual_seed(batch)
        self._mask = torch.randint(0, 3, (batch, 1, *self._shape), generator=generator).float()
        with torch.no_grad():
            shape = self._encode().shape[2:]
        self._noise = torch.randn((batch, self._unet.out_channels, *shape), generator=generator)

    def complete(self) -> int:
        self._scheduler.set_timesteps(num_inference_steps=self._steps)
        with torch.no_grad():
            self._inferer.sample(input_noise=self._noise, autoencoder_model=self._image_codec,
                                 diffusion_model=self._unet, scheduler=self._scheduler, conditioning=self._encode(),
                                 mode="concat", verbose=False)
        return len(self._noise)

    @torch.no_grad()
    def estimate(self) -> Parts:
        steps = min(ESTIMATE_STEPS, self._steps)
        self._scheduler.set_timesteps(num_inference_steps=steps)
        parts, started = {"images": float(len(self._noise))}, self._clock()
        condition = self._encode()
        parts["condition encoder"], started = self._clock() - started, self._clock()
        # What LatentDiffusionInferer.sample does before it decodes.
        DiffusionInferer(self._scheduler).sample(self._noise, self._unet, self._scheduler, conditioning=condition,
                                                 mode="concat", verbose=False)
        parts["denoiser and sampler"], started = (self._clock() - started) * self._steps / steps, self._clock()
        self._image_codec.decode_stage_2_outputs(self._noise)
        parts["decoder"] = self._clock() - started
        return parts

    def _encode(self) -> Tensor:
        with torch.no_grad():
            mean: Tensor = self._mask_codec.encode(self._mask)[0]
        return mean


def _autoencoder(section: CodecConfig, axes: int) -> AutoencoderKL:
    """One channel in and out, as in the paper, for images and for label maps."""
    return AutoencoderKL(
        spatial_dims=axes, in_channels=1, out_channels=1, num_res_blocks=section.residual_blocks,
        channels=section.channels, attention_levels=section.attention or (False,) * len(section.channels),
        latent_channels=section.latent_channels, norm_num_groups=section.norm_groups,
        with_encoder_nonlocal_attn=section.middle_attention, with_decoder_nonlocal_attn=section.middle_attention).eval()
