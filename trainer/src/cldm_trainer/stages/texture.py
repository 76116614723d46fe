"""Makes the decoder a probability distribution: what the codec leaves out is drawn, not blurred.

symbol   meaning
x        slice in [0, 1];  y: its reconstruction from a draw z of the latent
T        texture of (y, z, white noise), so that y + T is a draw of x
C        critic of (image, y), trained against T: relativistic, on pairs of one y (Jolicoeur-Martineau, arXiv
         1807.00734), with a penalty on its gradient at the cohort's slices (R1: Mescheder, Geiger and Nowozin, ICML
         2018), the pair that Huang et al. (arXiv 2501.05441) find to be stable without further tricks

Where the last graph applies the scanner's noise, T takes none, and what C sees of (y + T) has the noise and the
resolution that were estimated on x: T learns borders, not grain.

The anatomy stays the decoder's: T is held to change nothing coarser than a few pixels. Both are trained on windows of
the slices, the latent's statistics on whole slices.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cldm_runtime.bundle.acquisition_spec import AcquisitionSpec
from cldm_runtime.errors import InputError
from cldm_runtime.files.derived import Derivation
from cldm_runtime.files.records import plain
from cldm_runtime.metrics.realism import high_frequency_ratio

from ..config import AcquisitionConfig, CodecConfig, CodecSections, TextureConfig
from ..networks import Affine, NoTexture, Texture, TextureCritic
from ..networks.scanner import TorchScanner
from ..networks.texture import smoothed
from ..training import checkpoint
from ..training.batches import Slices, in_batches, load_slices, step_generator
from ..training.log import grey, montage
from ..training.loop import Step, train_shared
from ..training.losses import fooled, relativistic_critic
from ..training.run_folder import RunFolder
from . import latents as latents_stage
from .acquisition import NO_ACQUISITION, estimated, load_spec
from .codec import IMAGE_STAGE, trained_image_codec
from .latents import Latents, load_affines, load_latents

STAGE = "texture"
_PICTURES = 8
_COARSE = 5  # pixels: the texture must not change averages over this length


def draw_posterior(latents: Latents, count: int, seed: int) -> Tensor:
    """One draw of the raw latent, mean + deviation * noise, for each of the first `count` slices.

    Draws, not means: they are what the denoiser learns to make, so they are what the decoder will see. Channels that
    carry little are almost pure noise in a draw and almost zero in a mean.
    """
    mean, deviation = latents.mean[:count].float(), latents.deviation[:count].float()
    return mean + deviation * torch.randn(mean.shape, generator=step_generator(seed, 0))


@torch.no_grad()
def decode_all(codec: "Decodes", z: Tensor) -> Tensor:
    """Reconstructions in [0, 1], (N, C, *spatial), from raw latents."""
    parts = [codec.decode(z[part]) for part in in_batches(len(z), 32)]
    return 0.5 * (torch.cat(parts) + 1.0)


def coarse_energy(texture: Tensor) -> Tensor:
    """Mean square of a texture (N, C, *spatial) averaged over squares or cubes of a few pixels."""
    return smoothed(texture, _COARSE).square().mean()


class Decodes(Protocol):
    """What the task needs of a codec."""

    @property
    def latent_channels(self) -> int: ...

    @property
    def stride(self) -> int: ...

    def decode(self, z: Tensor) -> Tensor:
        """Raw latents (N, Cz, *latent) -> images (N, C, *spatial) in [-1, 1]."""


class TextureTask:
    """Trains the texture and its critic on windows of the training slices."""

    def __init__(self, config: TextureConfig, codec: Decodes, affine: Affine, training: tuple[Slices, Latents],
                 validation: tuple[Slices, Latents], spacing_mm: Sequence[float],
                 acquisition: AcquisitionSpec | None = None) -> None:
        self.config, self.spacing_mm, self.stride = config, tuple(spacing_mm), codec.stride
        slices, latents = training
        self.count = len(slices)  # the first encodings are those of the slices as they are
        z = draw_posterior(latents, self.count, 0)
        self.images, self.means, self.latents = slices.images, decode_all(codec, z), affine.standardise(z)
        unseen = draw_posterior(validation[1], len(validation[1]), 1)
        self.unseen_images, self.unseen_means = validation[0].images, decode_all(codec, unseen)
        self.unseen_latents = affine.standardise(unseen)
        channels, dims = self.unseen_images.shape[1], self.unseen_images.ndim - 2
        self.model: nn.Module = Texture(codec.latent_channels, config.channels, codec.stride, channels, dims)
        self.critic: nn.Module | None = TextureCritic(config.critic_channels, channels, dims)
        self.critic_rate = config.optimiser.learning_rate
        side = [part.stop - part.start for part in self._window(step_generator(0, 0))[-2:]]
        self.scanner = None if acquisition is None else TorchScanner(acquisition, [self.stride * size for size in side])
        if acquisition is not None:
            found = estimated(self.images.numpy())
            self.scans = torch.from_numpy(np.column_stack([found.noise_level, found.cuts])).float()
        self._pair: tuple[Tensor, Tensor] | None = None  # what the critic sees of the cohort's and of drawn images

    def _window(self, generator: torch.Generator) -> tuple[slice, ...]:
        """A window of the latent, the same for a whole batch."""
        sizes = self.latents.shape[2:]
        side = min(self.config.window // self.stride, *sizes)
        starts = [int(torch.randint(0, size - side + 1, (1,), generator=generator)) for size in sizes]
        return tuple(slice(start, start + side) for start in starts)

    def loss(self, model: nn.Module, critic: nn.Module | None, step: Step) -> tuple[Tensor, dict[str, Tensor]]:
        assert critic is not None
        window = self._window(step.generator)
        pixels = (slice(None), slice(None),
                  *(slice(part.start * self.stride, part.stop * self.stride) for part in window))
        reference, mean = (images[step.rows][pixels] for images in (self.images, self.means))
        noise = step.own(torch.randn(mean.shape, generator=step.generator))
        reference, mean = step.own(reference), step.own(mean)
        grain = torch.zeros_like(noise) if self.scanner else noise
        texture = model(mean, step.own(self.latents[step.rows]), grain, window)
        drawn = mean + texture
        if self.scanner is not None:
            drawn = self._acquired(self.scanner, drawn, step)
        seen_reference, seen_drawn = TextureCritic.see(reference, mean), TextureCritic.see(drawn, mean)
        self._pair = seen_reference, seen_drawn.detach()
        deceit = fooled(critic, seen_drawn, seen_reference)
        coarse = coarse_energy(texture)
        return deceit + self.config.coarse_weight * coarse, {"fooled": deceit, "coarse": coarse,
                                                             "texture": texture.std(), "lost": (reference - mean).std()}

    def _acquired(self, scanner: TorchScanner, drawn: Tensor, step: Step) -> Tensor:
        """The images of a step with noise and resolution like those of the slices."""
        channels = drawn.shape[1] * (2 if scanner.magnitude else 1)
        noise = step.own(torch.randn((drawn.shape[0], channels, *drawn.shape[2:]), generator=step.generator))
        acquired: Tensor = scanner.to(drawn.device)(drawn, noise, *step.own(self.scans[step.rows]).T)
        return acquired

    def critic_loss(self, critic: nn.Module, step: Step) -> Tensor | None:
        assert self._pair is not None
        reference, drawn = self._pair
        return relativistic_critic(critic, reference, drawn, step.number, self.config.critic_penalty)

    def draw(self, model: nn.Module, rows: slice | NDArray[np.int64], device: torch.device) -> Tensor:
        """Textured reconstructions of validation slices."""
        mean = self.unseen_means[rows]
        noise = torch.randn(mean.shape, generator=step_generator(0, 0)) * (0.0 if self.scanner else 1.0)
        texture = model(*(value.to(device) for value in (mean, self.unseen_latents[rows], noise))).cpu()
        return torch.clamp(mean + texture, 0.0, 1.0)

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """High-frequency share of unseen slices' reconstructions over that of the slices, without and with texture."""
        drawn = self.draw(model, slice(None), device)[:, 0].numpy()
        reference, mean = self.unseen_images[:, 0].numpy(), self.unseen_means[:, 0].clamp(0.0, 1.0).numpy()
        return {"high_frequency_plain": high_frequency_ratio(mean, reference, self.spacing_mm),
                "high_frequency_textured": high_frequency_ratio(drawn, reference, self.spacing_mm)}

    def picture(self, model: nn.Module, device: torch.device) -> NDArray[np.uint8]:
        """Slices, plain and textured reconstructions, and five times what was lost and what was drawn."""
        rows = np.linspace(0, len(self.unseen_images) - 1, min(_PICTURES, len(self.unseen_images))).astype(np.int64)
        reference, mean, drawn = self.unseen_images[rows], self.unseen_means[rows], self.draw(model, rows, device)
        panels = (reference, mean, drawn, 0.5 + 5.0 * (reference - mean), 0.5 + 5.0 * (drawn - mean))
        return montage([grey(image.numpy()) for image in panels])


def make_task(section: TextureConfig, codecs: CodecSections, acquisition: AcquisitionConfig,
              run: RunFolder) -> TextureTask:
    """The task on the latents of the run."""
    training, validation = ((load_slices(run.cohort.file, subset), load_latents(codecs, run, subset))
                            for subset in ("train", "val"))
    affine = load_affines(codecs, run)[0]
    codec = trained_image_codec(codecs.image, run)
    return TextureTask(section, codec, affine, training, validation,
                       run.cohort.spacing_mm, load_spec(acquisition, run))


def run(section: TextureConfig, codecs: CodecSections, acquisition: AcquisitionConfig, run: RunFolder) -> None:
    """Encode the cohort if that is not done, then train the texture of the image codec. Raises InputError for an
    identity, and for no texture."""
    if not section.channels:
        raise InputError("texture.channels: found 0: there is no texture to train. Leave the stage out.")
    if codecs.image.is_identity:
        raise InputError("texture: the image codec is the identity, which leaves nothing out. Leave the stage out.")
    latents_stage.run(codecs, run)
    train_shared(lambda: make_task(section, codecs, acquisition, run), STAGE, section.optimiser, run,
                 made_from(section, codecs, acquisition, run))


def made_from(section: TextureConfig, codecs: CodecSections, acquisition: AcquisitionConfig,
              run: RunFolder) -> dict[str, Any]:
    """What the weights depend on: of the latents, those of the images alone."""
    latents = latents_stage.fingerprint(codecs, run)
    del latents["mask_codec"]
    spec = load_spec(acquisition, run)
    last = {} if spec is None else {"acquisition": plain(acquisition),
                                    "distribution": Derivation({}, plain(spec)).sha256}
    return {**plain(section), IMAGE_STAGE: latents["image_codec"], "latents": latents, **last, **run.record}


def trained_texture(section: TextureConfig, codecs: CodecSections, run: RunFolder,
                    acquisition: AcquisitionConfig = NO_ACQUISITION) -> Texture | NoTexture:
    """The trained texture, frozen, in evaluation mode. Raises InputError if there is none, or if it was trained for
    another kind of last graph."""
    texture = make_texture(section, codecs.image, run.cohort.channels, run.cohort.dims)
    if isinstance(texture, NoTexture):
        return texture
    checkpoint.load_weights(texture, run.lent(STAGE), STAGE, made_from(section, codecs, acquisition, run))
    wanted = plain(acquisition) if acquisition.detection else None
    if (found := _acquisition_of(run.lent(STAGE))) != wanted:
        raise InputError(f"{run.lent(STAGE)}: was trained for the [acquisition] {found or 'without detection'}, the "
                         f"configuration has {wanted or 'none'}. Delete the folder and train it again, or set that.")
    return texture


def _acquisition_of(folder: Path) -> Any:
    """The [acquisition] that the texture in `folder` was trained for, here or in the bundle that the run began with."""
    stored, adopted = checkpoint.stored_config(folder), folder.with_name(checkpoint.ADOPTED)
    if not stored and adopted.exists():
        stored = json.loads(adopted.read_text(encoding="utf-8"))
    return stored.get("acquisition")


def make_texture(section: TextureConfig, codec: CodecConfig, channels: int, dims: int) -> Texture | NoTexture:
    """The untrained texture of a codec for images with that number of channels and spatial dimensions."""
    if not section.channels:
        return NoTexture()
    return Texture(codec.latent_channels, section.channels, codec.stride, channels, dims)
