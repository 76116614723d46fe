"""Makes the decoder a probability distribution: what the codec leaves out is drawn, not blurred.

symbol   meaning
x        slice in [0, 1];  y: its reconstruction from a draw z of the latent;  r = x - y: the residual
e        local energy of r: its square, averaged over a small window
s(z)     deviation map, predicted from the standardised latent, fitted to e by the Gaussian likelihood
K        fixed small kernel of unit energy that colours white noise, so that the draw has the spectrum of r
draw     clip(y + s(z) * (K * white noise), 0, 1)
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from cldm_runtime.realism import high_frequency_ratio

from .. import checkpoint
from ..config import Config, TextureConfig, plain
from ..data import Slices, in_batches, load_slices, step_generator
from ..loop import Step, train_shared
from ..losses import gaussian_nll
from ..networks import Affine, Codec, Texture
from ..records import grey, montage
from . import latents as latents_stage
from .codec import IMAGE_STAGE
from .latents import Latents, load_affines, load_latents, trained_codec

STAGE = "texture"
_PICTURES = 8
_KERNEL_SLICES = 512
_FLOOR = 1e-6  # of the energy: a deviation of 0.001


def local_energy(residual: Tensor, window: int) -> Tensor:
    """(N, 1, H, W) -> mean square over window x window pixels."""
    padded = functional.pad(residual.square(), [window // 2] * 4, mode="reflect")
    energy: Tensor = functional.avg_pool2d(padded, window, stride=1)
    return energy


def colouring_kernel(residual: Tensor, deviation: Tensor, size: int) -> Tensor:
    """The even kernel K of unit energy for which deviation * (K * white noise) has the residual's mean spectrum.

    The autocorrelation of such a product is that of K * noise times that of the deviation. So the quotient of the two
    measured ones, tapered to lags below `size`, gives the power spectrum of K, and its root has zero phase.
    Takes (N, 1, H, W), returns (1, 1, size, size).
    """
    quotient = _autocorrelation(residual) / _autocorrelation(deviation)
    taper = torch.hann_window(2 * size + 1, periodic=False)[1:-1]
    height, width = quotient.shape
    rows, columns = ((torch.arange(n) - n // 2).abs() < size for n in (height, width))
    lags = torch.zeros_like(quotient)
    lags[rows[:, None] & columns] = (quotient[rows][:, columns] * taper[:, None] * taper).flatten()
    power = torch.fft.fft2(torch.fft.ifftshift(lags)).real.clamp_min(0.0)
    kernel = torch.fft.fftshift(torch.fft.ifft2(power.sqrt()).real)
    top, left, half = height // 2, width // 2, size // 2
    cut = kernel[top - half : top + half + 1, left - half : left + half + 1]
    unit: Tensor = cut / cut.square().sum().sqrt()
    return unit[None, None]


def _autocorrelation(x: Tensor) -> Tensor:
    """Mean over (N, 1, H, W), circular, lag 0 in the middle: (H, W)."""
    lags: Tensor = torch.fft.fftshift(torch.fft.ifft2(torch.fft.fft2(x[:, 0]).abs().square().mean(0)).real)
    return lags


def draw_posterior(latents: Latents, count: int, seed: int) -> Tensor:
    """One draw of the raw latent, mean + deviation * noise, for each of the first `count` slices.

    Draws, not means: they are what the denoiser learns to make, so they are what the decoder will see. Channels that
    carry little are almost pure noise in a draw and almost zero in a mean.
    """
    mean, deviation = latents.mean[:count].float(), latents.deviation[:count].float()
    return mean + deviation * torch.randn(mean.shape, generator=step_generator(seed, 0))


@torch.no_grad()
def decode_all(codec: Codec, z: Tensor) -> Tensor:
    """Reconstructions in [0, 1], (N, 1, H, W), from raw latents."""
    parts = [codec.decode(z[part]) for part in in_batches(len(z), 32)]
    return 0.5 * (torch.cat(parts) + 1.0)


class TextureTask:
    """Fits the deviation map; the kernel is computed once, at the start."""

    critic = None
    critic_rate = 0.0

    def __init__(self, config: TextureConfig, codec: Codec, affine: Affine, training: tuple[Slices, Latents],
                 validation: tuple[Slices, Latents], spacing_mm: tuple[float, float]) -> None:
        self.config, self.spacing_mm = config, spacing_mm
        slices, latents = training
        self.count = len(slices)  # the first encodings are those of the slices as they are
        z = draw_posterior(latents, self.count, 0)
        self.latents = affine.standardise(z)
        residual = slices.images - decode_all(codec, z)
        self.energy = local_energy(residual, config.energy_window)
        unseen = draw_posterior(validation[1], len(validation[1]), 1)
        self.real, self.mean = validation[0].images, decode_all(codec, unseen)
        self.validation = affine.standardise(unseen)
        texture = Texture(codec.latent_channels, config.channels, config.kernel_size, codec.stride)
        chosen = np.linspace(0, self.count - 1, min(self.count, _KERNEL_SLICES)).astype(int)
        deviation = self.energy[chosen].clamp_min(_FLOOR).sqrt()
        texture.kernel.copy_(colouring_kernel(residual[chosen], deviation, config.kernel_size))
        last = texture.head[-3]
        assert isinstance(last, nn.Conv2d) and last.bias is not None
        nn.init.constant_(last.bias, 0.5 * float(self.energy.mean().clamp_min(_FLOOR).log()))
        self.model: nn.Module = texture

    def loss(self, model: nn.Module, critic: nn.Module | None, step: Step) -> tuple[Tensor, dict[str, Tensor]]:
        z, energy = self.latents[step.rows].to(step.device), self.energy[step.rows].to(step.device)
        return gaussian_nll(model(z), energy.clamp_min(_FLOOR)), {}

    def critic_loss(self, critic: nn.Module, step: Step) -> Tensor | None:
        return None

    def draw(self, model: nn.Module, rows: slice | NDArray[np.int64], device: torch.device) -> Tensor:
        """Textured reconstructions of validation slices."""
        assert isinstance(model, Texture)
        z, mean = self.validation[rows], self.mean[rows]
        noise = torch.randn(mean.shape, generator=step_generator(0, 0))
        return torch.clamp(mean + model.draw(z.to(device), noise.to(device)).cpu(), 0.0, 1.0)

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """High-frequency share of unseen slices' reconstructions over that of the slices, without and with texture."""
        real, mean = self.real[:, 0].numpy(), self.mean[:, 0].clamp(0.0, 1.0).numpy()
        drawn = self.draw(model, slice(None), device)[:, 0].numpy()
        return {"high_frequency_plain": high_frequency_ratio(mean, real, self.spacing_mm),
                "high_frequency_textured": high_frequency_ratio(drawn, real, self.spacing_mm)}

    def picture(self, model: nn.Module, device: torch.device) -> NDArray[np.uint8]:
        """Slices, plain and textured reconstructions, and five times the deviation map."""
        rows = np.linspace(0, len(self.real) - 1, min(_PICTURES, len(self.real))).astype(np.int64)
        deviation = torch.exp(model(self.validation[rows].to(device))).cpu()
        shown = (self.real[rows], self.mean[rows], self.draw(model, rows, device), 5.0 * deviation)
        return montage([grey(image.numpy()) for image in shown])


def make_task(config: Config) -> TextureTask:
    """The task on the latents of the run."""
    folder = config.codecs_folder / latents_stage.STAGE
    row_mm, column_mm = config.prepare.spacing_mm
    training, validation = ((load_slices(config.cohort_file, subset), load_latents(folder, subset))
                            for subset in ("train", "val"))
    return TextureTask(config.texture, trained_codec(config, IMAGE_STAGE), load_affines(folder)[0], training,
                       validation, (row_mm, column_mm))


def run(config: Config) -> None:
    """Encode the cohort if that is not done, then fit the texture of the image codec."""
    latents_stage.run(config)
    resolved = plain(config.texture) | {IMAGE_STAGE: latents_stage.fingerprint(config)["image_codec"]}
    train_shared(lambda: make_task(config), STAGE, config.texture.optimiser, config, resolved)


def trained_texture(config: Config) -> Texture:
    """The trained texture, frozen, in evaluation mode. Raises InputError if there is none."""
    section, stride = config.texture, config.image_codec.patch * 2 ** (len(config.image_codec.channels) - 1)
    texture = Texture(config.image_codec.latent_channels, section.channels, section.kernel_size, stride)
    checkpoint.load_weights(texture, config.codecs_folder / STAGE, STAGE)
    return texture
