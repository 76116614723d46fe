"""The latent diffusion model, conditioned on the latent of the label map.

symbol   meaning
x0       standardised image latent, drawn anew each step: (mean + deviation * noise - m) / s per channel
a, sig   sqrt(abar_t) and sqrt(1 - abar_t)
x_t      a * x0 + sig * eps
"""

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cldm_runtime.realism import latent_spread
from cldm_runtime.samplers import ddim, denoiser, no_noise
from cldm_runtime.schedule import NoiseSchedule, PredictionType

from .. import checkpoint
from ..config import Config, DiffusionConfig, plain
from ..data import in_batches, step_generator
from ..loop import Step, train
from ..losses import diffusion_target, min_snr_weight
from ..networks import Affine, Codec, Denoiser, MaskEncoder
from ..records import grey, montage
from . import latents as latents_stage
from .codec import IMAGE_STAGE, MASK_STAGE
from .latents import Latents, load_affines, load_latents, trained_codec

STAGE = "diffusion"
_PICTURES = 8
_SPREAD_SLICES = 32


def noise_schedule(config: DiffusionConfig) -> NoiseSchedule:
    """The schedule that training uses and that the manifest gets."""
    objective = cast(PredictionType, config.objective)  # load_config has checked it
    if config.schedule == "cosine":
        return NoiseSchedule.cosine(config.timesteps, prediction_type=objective)
    make = NoiseSchedule.linear if config.schedule == "linear" else NoiseSchedule.scaled_linear
    return make(config.timesteps, config.beta_start, config.beta_end, prediction_type=objective)


class DiffusionTask:
    """Mean squared error on v, epsilon or x0, optionally with min-SNR weights. x0 is never clipped."""

    critic = None
    critic_rate = 0.0

    def __init__(self, config: DiffusionConfig, training: Latents, validation: Latents, image: Affine, mask: Affine,
                 image_codec: Codec) -> None:
        self.config, self.training, self.validation = config, training, validation
        self.image_affine, self.mask_affine, self.image_codec = image, mask, image_codec
        self.schedule = noise_schedule(config)
        self.cumulative = torch.from_numpy(np.asarray(self.schedule.alphas_cumprod)).float()
        self.model: nn.Module = Denoiser(training.mean.shape[1], training.mask.shape[1], config)
        self.count = len(training)

    def _batch(self, latents: Latents, rows: slice | NDArray[np.int64],
               generator: torch.Generator) -> tuple[Tensor, Tensor]:
        mean, deviation = latents.mean[rows].float(), latents.deviation[rows].float()
        z = mean + deviation * torch.randn(mean.shape, generator=generator)
        return self.image_affine.standardise(z), self.mask_affine.standardise(latents.mask[rows].float())

    def _errors(self, model: nn.Module, x0: Tensor, mask: Tensor, t: Tensor, generator: torch.Generator,
                device: torch.device, dropped: Tensor | None = None) -> Tensor:
        """Weighted squared error of each sample. dropped (N,): which samples are denoised without their condition."""
        eps = torch.randn(x0.shape, generator=generator)
        cumulative = self.cumulative[t].reshape(-1, 1, 1, 1)
        a, sig = cumulative.sqrt(), (1.0 - cumulative).sqrt()
        target = diffusion_target(self.config.objective, x0, eps, a, sig).to(device)
        inputs = [(a * x0 + sig * eps).to(device), t.float().to(device), mask.to(device)]
        said = model(*inputs) if dropped is None else model(*inputs, dropped.to(device))
        weight = min_snr_weight(self.config.objective, a, sig, self.config.min_snr_gamma).to(device)
        errors: Tensor = weight * (said - target).square()
        return errors.mean((1, 2, 3))

    def loss(self, model: nn.Module, critic: nn.Module | None, step: Step) -> tuple[Tensor, dict[str, Tensor]]:
        x0, mask = self._batch(self.training, step.rows, step.generator)
        # Stratified over the batch: one timestep from each of N equal parts, in random order of samples.
        n = len(x0)
        u = (torch.arange(n) + torch.rand(n, generator=step.generator)) / n
        t = (u * self.config.timesteps).long().clamp_max(self.config.timesteps - 1)
        share = self.config.condition_dropout
        dropped = torch.rand(n, generator=step.generator) < share if share > 0 else None
        return self._errors(model, x0, mask, t, step.generator, step.device, dropped).mean(), {}

    def critic_loss(self, critic: nn.Module, step: Step) -> Tensor | None:
        return None

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """The loss on unseen patients, and by quarters of the timesteps; the same noise every time."""
        errors, times = [], []
        for number, part in enumerate(in_batches(len(self.validation), 32)):
            generator = step_generator(0, number)
            x0, mask = self._batch(self.validation, part, generator)
            t = torch.linspace(0, self.config.timesteps - 1, len(x0)).long()
            errors.append(self._errors(model, x0, mask, t, generator, device).cpu())
            times.append(t)
        error, quarter = torch.cat(errors), torch.cat(times) * 4 // self.config.timesteps
        parts = {f"loss_quarter_{q + 1}": float(error[quarter == q].mean()) for q in range(4)}
        return {"loss": float(error.mean()), **parts, "latent_spread": self._spread(model, device)}

    def _spread(self, model: nn.Module, device: torch.device) -> float:
        """Deviation of samples over that of real latents of the same slices: below 1 the samples have shrunk."""
        rows = np.linspace(0, len(self.validation) - 1, min(_SPREAD_SLICES, len(self.validation))).astype(int)
        real, mask = self._batch(self.validation, rows, step_generator(0, 0))
        drawn = self.sample(model, mask, 0, device)
        return float(np.mean(latent_spread(drawn.numpy(), real.numpy())))

    def sample(self, model: nn.Module, mask: Tensor, seed: int, device: torch.device) -> Tensor:
        """Deterministic DDIM from standardised mask latents to standardised image latents."""
        table = self.schedule.step_table(self.config.sample_steps, spacing="trailing")
        shape = (len(mask), *self.training.mean.shape[1:])
        start = torch.randn(shape, generator=step_generator(seed, 0)).numpy()

        def predict(x: NDArray[np.floating], timestep: int) -> NDArray[np.float32]:
            t = torch.full((len(x),), float(timestep), device=device)
            said = model(torch.as_tensor(x, dtype=torch.float32, device=device), t, mask.to(device))
            return np.asarray(said.cpu().numpy(), dtype=np.float32)

        drawn = ddim(denoiser(predict, self.schedule), start, table, no_noise)
        return torch.from_numpy(np.asarray(drawn, dtype=np.float32))

    @torch.no_grad()
    def picture(self, model: nn.Module, device: torch.device) -> NDArray[np.uint8]:
        """Reconstructions of validation slices, and two samples for the mask of each."""
        rows = np.linspace(0, len(self.validation) - 1, min(_PICTURES, len(self.validation))).astype(int)
        mask = self.mask_affine.standardise(self.validation.mask[rows].float())
        drawn = [self.image_affine.restore(self.sample(model, mask, seed, device)) for seed in (0, 1)]
        decoded = [0.5 * (self.image_codec.decode(z) + 1.0) for z in (self.validation.mean[rows].float(), *drawn)]
        return montage([grey(image.numpy()) for image in decoded])


def make_task(config: Config) -> DiffusionTask:
    """The task on the latents of the run."""
    folder = config.run_folder / latents_stage.STAGE
    image, mask = load_affines(folder)
    return DiffusionTask(config.diffusion, load_latents(folder, "train"), load_latents(folder, "val"), image, mask,
                         trained_codec(config, IMAGE_STAGE))


def run(config: Config) -> None:
    """Encode the cohort if that is not done, then train the denoiser."""
    latents_stage.run(config)
    folder = config.run_folder / STAGE
    resolved = plain(config.diffusion) | {"latents": latents_stage.fingerprint(config)}
    train(lambda: make_task(config), config.diffusion.optimiser, config.run, folder, resolved)


def trained_denoiser(config: Config) -> Denoiser:
    """The trained denoiser, frozen, in evaluation mode. Raises InputError if there is none."""
    denoiser = Denoiser(config.image_codec.latent_channels, config.mask_codec.latent_channels, config.diffusion)
    checkpoint.load_weights(denoiser, config.run_folder / STAGE, STAGE)
    return denoiser


def trained_mask_encoder(config: Config) -> MaskEncoder:
    """One-hot label map -> standardised mask latent, frozen."""
    affine = load_affines(config.run_folder / latents_stage.STAGE)[1]
    return MaskEncoder(trained_codec(config, MASK_STAGE), affine).eval().requires_grad_(False)
