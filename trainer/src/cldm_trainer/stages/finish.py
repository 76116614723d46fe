"""Makes decoded images look like a scanner's: decoder, texture and a last touch learn against a critic.

A codec's images and real ones are told apart at a glance by a small network, however alike they look: by the spectrum
of their noise, which differs from scan to scan, and by what convolutions leave behind. Here the critic says so, and the
decoder learns to leave it off. The encoder stays as it is, so latents and denoisers stay valid.

symbol   meaning
x        slice in [0, 1];  z: a draw of its latent
y, d     mean image and draw of the finished decoder
loss     l1 |y - x| + gradients of the same + w (critic(d) - 1)^2
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cldm_runtime.realism import high_frequency_ratio

from .. import checkpoint
from ..config import Config, FinishConfig, plain
from ..data import Slices, in_batches, load_slices, step_generator, turn_and_mirror
from ..loop import Step, train_shared
from ..losses import gradient_l1, least_squares_critic, least_squares_generator
from ..networks import Critic, Finish, FinishedDecoder, TexturedDecoder
from ..records import grey, montage
from . import latents as latents_stage
from . import texture
from .codec import IMAGE_STAGE
from .latents import Latents, load_affines, load_latents, trained_codec

STAGE = "finish"
_PICTURES = 8


class Learner(nn.Module):
    """The decoder with both of its outputs, as training needs them."""

    def __init__(self, decoder: FinishedDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, latent: Tensor, texture_noise: Tensor, scan: Tensor) -> tuple[Tensor, Tensor]:
        return self.decoder.parts(latent, texture_noise, scan)


class FinishTask:
    """Adversarial training of everything behind the latent."""

    def __init__(self, config: FinishConfig, decoder: FinishedDecoder, training: tuple[Slices, Latents],
                 validation: tuple[Slices, Latents], spacing_mm: tuple[float, float]) -> None:
        self.config, self.spacing_mm = config, spacing_mm
        self.training, self.validation = training, validation
        self.affine, self.noise = decoder.affine, decoder.noise
        decoder.requires_grad_(True)
        autoencoder = decoder.textured.codec.autoencoder
        for part in (autoencoder.encoder, autoencoder.quant_conv_mu, autoencoder.quant_conv_log_sigma):
            part.requires_grad_(False)
        self.model: nn.Module = Learner(decoder)
        self.critic: nn.Module | None = Critic(config.critic_channels)
        self.critic_rate = config.critic_rate
        self.count = len(training[0])  # the first encodings are those of the slices as they are
        self._pair: tuple[Tensor, Tensor] | None = None

    def _inputs(self, latents: Latents, rows: Any, generator: torch.Generator) -> list[Tensor]:
        """Standardised draws of latents, and the noise for them."""
        mean, deviation = latents.mean[rows].float(), latents.deviation[rows].float()
        z = self.affine.standardise(mean + deviation * torch.randn(mean.shape, generator=generator))
        return [z, *self.noise(z, generator).values()]

    def loss(self, model: nn.Module, critic: nn.Module | None, step: Step) -> tuple[Tensor, dict[str, Tensor]]:
        c, x = self.config, self.training[0].images[step.rows]
        inputs = self._inputs(self.training[1], step.rows, step.generator)
        y, d = model(*(value.to(step.device) for value in inputs))
        x = x.to(step.device)
        parts = {"l1": (y - x).abs().mean(), "gradient": gradient_l1(y, x)}
        loss = c.l1_weight * parts["l1"] + c.gradient_weight * parts["gradient"]
        # The same turn for both: the critic is to learn how images look, not which way up they are.
        both = torch.cat([x, d.clamp(0.0, 1.0)], dim=1)
        real, fake = turn_and_mirror(both, step.generator).chunk(2, dim=1)
        assert critic is not None
        # Real images beside the drawn ones, as where the critic learns: it normalises over the batch.
        parts["adversarial"] = least_squares_generator(critic(torch.cat([real, fake]))[len(real):])
        self._pair = (real.detach(), fake.detach())
        return loss + c.adversarial_weight * parts["adversarial"], parts

    def critic_loss(self, critic: nn.Module, step: Step) -> Tensor | None:
        assert self._pair is not None
        real, fake = self._pair
        verdicts = critic(torch.cat([real, fake]))
        return least_squares_critic(verdicts[:len(real)], verdicts[len(real):])

    def draw(self, model: nn.Module, rows: Any, device: torch.device) -> tuple[Tensor, Tensor]:
        """Means and draws of validation slices, both in [0, 1]."""
        slices, latents = self.validation
        images, means, draws = slices.images[rows], [], []
        inputs = self._inputs(latents, rows, step_generator(0, 0))
        for part in in_batches(len(images), 32):
            y, d = model(*(value[part].to(device) for value in inputs))
            means.append(y.clamp(0.0, 1.0).cpu())
            draws.append(d.clamp(0.0, 1.0).cpu())
        return torch.cat(means), torch.cat(draws)

    @torch.no_grad()
    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Error of the mean image, and high-frequency share of mean and draw over that of the slices."""
        real = self.validation[0].images
        mean, drawn = self.draw(model, slice(None), device)
        mse = float((mean - real).square().mean())
        return {"l1": float((mean - real).abs().mean()), "psnr_db": -10.0 * float(np.log10(max(mse, 1e-12))),
                "high_frequency_plain": high_frequency_ratio(mean[:, 0].numpy(), real[:, 0].numpy(), self.spacing_mm),
                "high_frequency_finished": high_frequency_ratio(drawn[:, 0].numpy(), real[:, 0].numpy(),
                                                                self.spacing_mm)}

    @torch.no_grad()
    def picture(self, model: nn.Module, device: torch.device) -> NDArray[np.uint8]:
        """Slices, means and draws."""
        real = self.validation[0].images
        rows = np.linspace(0, len(real) - 1, min(_PICTURES, len(real))).astype(np.int64)
        mean, drawn = self.draw(model, rows, device)
        return montage([grey(image.numpy()) for image in (real[rows], mean, drawn)])


def untrained(config: Config) -> FinishedDecoder:
    """The textured decoder of the run, with a finish that does nothing yet. Raises InputError where it has none."""
    codec, affine = trained_codec(config, IMAGE_STAGE), load_affines(config.codecs_folder / latents_stage.STAGE)[0]
    return finished(config, TexturedDecoder(codec, affine, texture.trained_texture(config)))


def finished(config: Config, textured: TexturedDecoder) -> FinishedDecoder:
    """A decoder with a finish that does nothing yet."""
    section = config.finish
    return FinishedDecoder(textured, Finish(section.channels, section.kernel_size, section.numbers))


def make_task(config: Config) -> FinishTask:
    """The task on the latents of the run."""
    folder = config.codecs_folder / latents_stage.STAGE
    row_mm, column_mm = config.prepare.spacing_mm
    training, validation = ((load_slices(config.cohort_file, subset), load_latents(folder, subset))
                            for subset in ("train", "val"))
    return FinishTask(config.finish, untrained(config), training, validation, (row_mm, column_mm))


def run(config: Config) -> None:
    """Fit the texture if that is not done, then finish the decoder."""
    texture.run(config)
    resolved = plain(config.finish) | {
        IMAGE_STAGE: latents_stage.fingerprint(config)["image_codec"],
        texture.STAGE: checkpoint.sha256(config.codecs_folder / texture.STAGE / checkpoint.MODEL)}
    train_shared(lambda: make_task(config), STAGE, config.finish.optimiser, config, resolved)


def trained_decoder(config: Config) -> TexturedDecoder | FinishedDecoder:
    """The decoder to export: finished where the configuration says so. Raises InputError if it has not been trained."""
    decoder = untrained(config)
    if not config.finish.enabled:
        return decoder.textured
    learner = Learner(decoder)
    checkpoint.load_weights(learner, config.codecs_folder / STAGE, STAGE)
    return learner.decoder
