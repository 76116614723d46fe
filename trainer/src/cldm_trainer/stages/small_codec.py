"""Small stand-ins for the networks of a bundle's codecs that run once an image: the decoder and the mask encoder.

    <run folder>/small-decoder/          learns the mean image of the latents that the trajectories end in
    <run folder>/small-texture/          the large decoder's texture, trained on with what the small one leaves out
    <run folder>/small-mask-encoder/     learns the mask latent of label maps
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cldm_runtime.bundle.declarations import find_domain
from cldm_runtime.errors import InputError
from cldm_runtime.files.digest import sha256_of
from cldm_runtime.files.records import plain

from ..config import Config
from ..networks import Encoder, TexturedDecoder
from ..networks.small import SmallDecoder, SmallMaskEncoder, SmallTexturedDecoder
from ..training import checkpoint
from ..training.batches import Slices, in_batches, load_slices, one_hot, permute_labels
from ..training.log import grey, montage
from ..training.loop import Step, train
from ..training.losses import gradient_l1
from . import trajectories as trajectories_stage
from .from_bundle import load_module, teacher_bundle
from .latents import Latents
from .moved import label_maps
from .texture import TextureTask, make_texture
from .trajectories import load_trajectories

DECODER, TEXTURE, MASK_ENCODER = "small-decoder", "small-texture", "small-mask-encoder"
_BATCH = 32
_PICTURES = 8
_RELABELLED = 0.35  # share of the label maps whose labels are permuted, so that rare ones are learned
DrawBatch = Callable[[Step], tuple[Tensor, Tensor]]


class ImitationTask:
    """Makes a student give what a frozen network gives. `batch` makes inputs and wanted outputs of a process's share
    of a step; `unseen` are those of validation. Images are held to each other's borders too."""

    critic = None
    critic_rate = 0.0

    def __init__(self, student: nn.Module, count: int, batch: DrawBatch, unseen: tuple[Tensor, Tensor],
                 border_weight: float) -> None:
        self.model, self.count, self.unseen = student, count, unseen
        self._batch, self._border_weight = batch, border_weight

    def loss(self, model: nn.Module, critic: nn.Module | None, step: Step) -> tuple[Tensor, dict[str, Tensor]]:
        given, wanted = (value.to(step.device) for value in self._batch(step))
        y = model(given).float()
        parts = {"l1": (y - wanted).abs().mean(), "border": gradient_l1(y, wanted)}
        loss = parts["l1"] + self._border_weight * parts["border"]
        return loss, {name: part.detach() for name, part in parts.items()}

    def critic_loss(self, critic: nn.Module, step: Step) -> Tensor | None:
        return None

    @torch.no_grad()
    def imitate(self, model: nn.Module, device: torch.device) -> Tensor:
        """The student's outputs for the unseen inputs."""
        given = self.unseen[0]
        return torch.cat([model(given[part].to(device)).float().cpu() for part in in_batches(len(given), _BATCH)])

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Root mean square error, and its share of the deviation of what is wanted."""
        wanted = self.unseen[1]
        error = float((self.imitate(model, device) - wanted).square().mean().sqrt())
        return {"error": error, "share": error / float(wanted.std())}

    def picture(self, model: nn.Module, device: torch.device) -> NDArray[np.uint8]:
        """First channel of what is wanted, what the student gives, and five times the difference."""
        rows = np.linspace(0, len(self.unseen[1]) - 1, min(_PICTURES, len(self.unseen[1]))).astype(np.int64)
        wanted, found = self.unseen[1][rows, :1], self.imitate(model, device)[rows, :1]
        low, span = wanted.min(), wanted.max() - wanted.min()
        shown = ((wanted - low) / span, (found - low) / span, 0.5 + 5.0 * (found - wanted) / span)
        return montage([grey(image.numpy()) for image in shown])


def make_decoder_task(config: Config) -> ImitationTask:
    """The large decoder's mean images, computed once."""
    teacher = _large_decoder(config)
    latents, images = [], []
    for subset in trajectories_stage.SUBSETS:
        latents.append(load_trajectories(config, subset).x[:, -1])
        with torch.no_grad():
            images.append(torch.cat([teacher.mean(latents[-1][part].float()).half()
                                     for part in in_batches(len(latents[-1]), _BATCH)]))

    def batch(step: Step) -> tuple[Tensor, Tensor]:
        rows = step.rows[step.share]
        return latents[0][rows].float(), images[0][rows].float()

    unseen = latents[1].float(), images[1].float()
    return ImitationTask(_small_decoder(config), len(latents[0]), batch, unseen, config.small_codec.border_weight)


def make_mask_encoder_task(config: Config) -> ImitationTask:
    """The large encoder's latents of label maps, in many of which the labels are permuted."""
    teacher = load_module(config, teacher_bundle(config), "mask_encoder")
    classes = len(find_domain(config.cohort.domain).labels)
    maps, unseen = label_maps(config, "train"), one_hot(label_maps(config, "val"), classes)

    def batch(step: Step) -> tuple[Tensor, Tensor]:
        labels = permute_labels(maps[step.rows], classes, _RELABELLED, step.generator)
        given = one_hot(labels[step.share], classes)
        with torch.no_grad():
            return given, teacher(given)

    with torch.no_grad():
        wanted = torch.cat([teacher(unseen[part]) for part in in_batches(len(unseen), _BATCH)])
    return ImitationTask(_small_mask_encoder(config), len(maps), batch, (unseen, wanted), 0.0)


def run_decoder(config: Config) -> None:
    """Walk the trajectories if that is not done, then train the small decoder."""
    trajectories_stage.run(config)
    _train(config, DECODER, "decoder", make_decoder_task)


def run_texture(config: Config) -> None:
    """Train the small decoder's texture against a critic; it begins as the large one's."""
    teacher = _large_decoder(config)

    def make() -> TextureTask:
        decoder = _small_decoder(config)
        checkpoint.load_weights(decoder, config.run_folder / DECODER, DECODER)
        encoder = load_module(config, teacher_bundle(config), "encoder")
        assert isinstance(encoder, Encoder)
        sides = [encoded(encoder, load_slices(config.cohort_file, subset)) for subset in ("train", "val")]
        row_mm, column_mm = config.prepare.spacing_mm
        task = TextureTask(config.texture, Stand(decoder, encoder), encoder.affine, sides[0], sides[1],
                           (row_mm, column_mm))
        task.model.load_state_dict(teacher.texture.state_dict())
        return task

    resolved = plain(config.texture) | {
        DECODER: sha256_of(config.run_folder / DECODER / checkpoint.MODEL)}
    train(make, config.texture.optimiser, config.run, config.run_folder / TEXTURE, resolved)


class Stand:
    """A small decoder where the texture's task expects a codec: raw latents to images in [-1, 1]."""

    def __init__(self, decoder: SmallDecoder, encoder: Encoder) -> None:
        self._decoder, self._affine = decoder, encoder.affine
        self.latent_channels, self.stride = encoder.codec.latent_channels, encoder.codec.stride

    def decode(self, z: Tensor) -> Tensor:
        image: Tensor = self._decoder(self._affine.standardise(z))
        return 2.0 * image - 1.0


@torch.no_grad()
def encoded(encoder: Encoder, slices: Slices) -> tuple[Slices, Latents]:
    """Slices and their raw latents."""
    parts = [encoder.codec.encode(2.0 * slices.images[part] - 1.0) for part in in_batches(len(slices), _BATCH)]
    mean, deviation = (torch.cat(column) for column in zip(*parts, strict=True))
    return slices, Latents(mean, deviation, torch.zeros(len(mean), 0))


def run_mask_encoder(config: Config) -> None:
    """Train the small mask encoder."""
    _train(config, MASK_ENCODER, "mask_encoder", make_mask_encoder_task)


def _train(config: Config, stage: str, role: str, make_task: Callable[[Config], ImitationTask]) -> None:
    section, graphs = config.small_codec, teacher_bundle(config).manifest.graphs
    if role not in graphs:
        raise InputError(f"{config.distil.bundle}: has no {role}, so nothing for {stage} to learn from. Leave the "
                         "stage out.")
    resolved = plain(section) | {"teacher": graphs[role].sha256}
    train(lambda: make_task(config), section.optimiser, config.run, config.run_folder / stage, resolved)


def trained_decoder(config: Config) -> SmallTexturedDecoder:
    """The trained small decoder with its texture, frozen. Raises InputError if there is none."""
    decoder = _small_decoder(config)
    checkpoint.load_weights(decoder, config.run_folder / DECODER, DECODER)
    texture = make_texture(config)
    checkpoint.load_weights(texture, config.run_folder / TEXTURE, TEXTURE)
    return SmallTexturedDecoder(decoder, texture).eval().requires_grad_(False)


def trained_mask_encoder(config: Config) -> SmallMaskEncoder:
    """The trained small mask encoder, frozen. Raises InputError if there is none."""
    encoder = _small_mask_encoder(config)
    checkpoint.load_weights(encoder, config.run_folder / MASK_ENCODER, MASK_ENCODER)
    return encoder


def _large_decoder(config: Config) -> TexturedDecoder:
    decoder = load_module(config, teacher_bundle(config), "decoder")
    assert isinstance(decoder, TexturedDecoder)
    return decoder


def _small_decoder(config: Config) -> SmallDecoder:
    section, codec = config.small_codec, config.image_codec
    return SmallDecoder(codec.latent_channels, section.channels, section.blocks, _stride(codec.patch, codec.channels))


def _small_mask_encoder(config: Config) -> SmallMaskEncoder:
    section, codec = config.small_codec, config.mask_codec
    classes = len(find_domain(config.cohort.domain).labels)
    return SmallMaskEncoder(classes, codec.latent_channels, section.channels, section.blocks,
                            _stride(codec.patch, codec.channels))


def _stride(patch: int, channels: tuple[int, ...]) -> int:
    return int(patch * 2 ** (len(channels) - 1))
