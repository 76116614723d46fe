"""Small stand-ins for the networks of a bundle's codecs that run once an image: the decoder and the mask encoder.

    <run folder>/small-decoder/          learns the mean image of the latents that the trajectories end in
    <run folder>/small-texture/          the large decoder's texture, trained on with what the small one leaves out
    <run folder>/small-mask-encoder/     learns the mask latent of label maps
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.errors import InputError
from cldm_runtime.files.records import plain

from ..conditions.kind import Design
from ..config import DistilConfig, SmallCodecConfig, TextureConfig
from ..networks import Encoder, TexturedDecoder
from ..networks.small import SmallDecoder, SmallMaskEncoder, SmallTexturedDecoder
from ..training import checkpoint
from ..training.batches import Slices, in_batches, load_slices, one_hot, permute_labels
from ..training.log import grey, montage
from ..training.loop import Step, train
from ..training.losses import gradient_l1
from ..training.run_folder import RunFolder
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
        inputs, targets = (value.to(step.device) for value in self._batch(step))
        y = model(inputs).float()
        parts = {"l1": (y - targets).abs().mean(), "border": gradient_l1(y, targets)}
        loss = parts["l1"] + self._border_weight * parts["border"]
        return loss, {name: part.detach() for name, part in parts.items()}

    def critic_loss(self, critic: nn.Module, step: Step) -> Tensor | None:
        return None

    @torch.no_grad()
    def imitate(self, model: nn.Module, device: torch.device) -> Tensor:
        """The student's outputs for the unseen inputs."""
        inputs = self.unseen[0]
        return torch.cat([model(inputs[part].to(device)).float().cpu() for part in in_batches(len(inputs), _BATCH)])

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Root mean square error, and its share of the deviation of what is wanted."""
        targets = self.unseen[1]
        error = float((self.imitate(model, device) - targets).square().mean().sqrt())
        return {"error": error, "share": error / float(targets.std())}

    def picture(self, model: nn.Module, device: torch.device) -> NDArray[np.uint8]:
        """First channel of what is wanted, what the student gives, and five times the difference."""
        rows = np.linspace(0, len(self.unseen[1]) - 1, min(_PICTURES, len(self.unseen[1]))).astype(np.int64)
        targets, outputs = self.unseen[1][rows, :1], self.imitate(model, device)[rows, :1]
        low, span = targets.min(), targets.max() - targets.min()
        panels = ((targets - low) / span, (outputs - low) / span, 0.5 + 5.0 * (outputs - targets) / span)
        return montage([grey(image.numpy()) for image in panels])


@dataclass(frozen=True)
class SmallSections:
    """What the stand-ins are built from, and the teacher that they imitate."""

    small: SmallCodecConfig
    texture: TextureConfig
    distil: DistilConfig
    design: Design

    def teacher(self) -> Bundle:
        return teacher_bundle(self.distil.bundle)

    def module(self, role: str) -> nn.Module:
        """A network of the teacher."""
        return load_module(self.design, self.texture, self.teacher(), role)


def make_decoder_task(sections: SmallSections, run: RunFolder) -> ImitationTask:
    """The large decoder's mean images, computed once."""
    teacher = _large_decoder(sections)
    latents, images = [], []
    for subset in trajectories_stage.SUBSETS:
        latents.append(load_trajectories(sections.distil, sections.design.codecs.latents, run, subset).x[:, -1])
        with torch.no_grad():
            images.append(torch.cat([teacher.mean(latents[-1][part].float()).half()
                                     for part in in_batches(len(latents[-1]), _BATCH)]))

    def batch(step: Step) -> tuple[Tensor, Tensor]:
        rows = step.rows[step.share]
        return latents[0][rows].float(), images[0][rows].float()

    unseen = latents[1].float(), images[1].float()
    student = _small_decoder(sections, run.cohort.channels)
    return ImitationTask(student, len(latents[0]), batch, unseen, sections.small.border_weight)


def make_mask_encoder_task(sections: SmallSections, run: RunFolder) -> ImitationTask:
    """The large encoder's latents of label maps, in many of which the labels are permuted."""
    teacher, classes = sections.module("mask_encoder"), sections.design.classes
    moved = sections.design.codecs.latents
    maps, unseen = label_maps(moved, run, "train"), one_hot(label_maps(moved, run, "val"), classes)

    def batch(step: Step) -> tuple[Tensor, Tensor]:
        labels = permute_labels(maps[step.rows], classes, _RELABELLED, step.generator)
        inputs = one_hot(labels[step.share], classes)
        with torch.no_grad():
            return inputs, teacher(inputs)

    with torch.no_grad():
        targets = torch.cat([teacher(unseen[part]) for part in in_batches(len(unseen), _BATCH)])
    return ImitationTask(_small_mask_encoder(sections), len(maps), batch, (unseen, targets), 0.0)


def run_decoder(sections: SmallSections, run: RunFolder) -> None:
    """Walk the trajectories if that is not done, then train the small decoder."""
    trajectories_stage.run(sections.distil, sections.design, run)
    _train(sections, run, DECODER, "decoder", make_decoder_task)


def run_texture(sections: SmallSections, run: RunFolder) -> None:
    """Train the small decoder's texture against a critic; it begins as the large one's."""
    spec = sections.teacher().manifest.acquisition

    def make() -> TextureTask:
        decoder = _small_decoder(sections, run.cohort.channels)
        checkpoint.load_weights(decoder, run.own(DECODER), DECODER, made_from(sections, run, DECODER))
        encoder = sections.module("encoder")
        assert isinstance(encoder, Encoder)
        sides = [encoded(encoder, load_slices(run.cohort.file, subset)) for subset in ("train", "val")]
        task = TextureTask(sections.texture, Stand(decoder, encoder), encoder.affine, sides[0], sides[1],
                           run.cohort.spacing_mm, spec)
        task.model.load_state_dict(_large_decoder(sections).texture.state_dict())
        return task

    train(make, sections.texture.optimiser, run.settings, run.own(TEXTURE), made_from(sections, run, TEXTURE))


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


def run_mask_encoder(sections: SmallSections, run: RunFolder) -> None:
    """Train the small mask encoder."""
    _train(sections, run, MASK_ENCODER, "mask_encoder", make_mask_encoder_task)


def _train(sections: SmallSections, run: RunFolder, stage: str, role: str,
           make_task: Callable[[SmallSections, RunFolder], ImitationTask]) -> None:
    if role not in sections.teacher().manifest.graphs:
        raise InputError(f"{sections.distil.bundle}: has no {role}, so nothing for {stage} to learn from. Leave the "
                         "stage out.")
    train(lambda: make_task(sections, run), sections.small.optimiser, run.settings, run.own(stage),
          made_from(sections, run, stage))


def made_from(sections: SmallSections, run: RunFolder, stage: str) -> dict[str, Any]:
    """What the weights of DECODER, TEXTURE or MASK_ENCODER depend on."""
    graphs, moved = sections.teacher().manifest.graphs, sections.design.codecs.latents
    if stage == TEXTURE:
        spec = sections.teacher().manifest.acquisition
        last = {} if spec is None else {"detection": spec.detection, "zero": spec.zero}
        decoder = checkpoint.weights_sha256(run.own(DECODER), DECODER, made_from(sections, run, DECODER))
        return {**plain(sections.texture), "teacher": {role: graphs[role].sha256 for role in ("encoder", "decoder")},
                **({"acquisition": last} if last else {}), DECODER: decoder, **run.record}
    of_role: dict[str, Any]
    if stage == DECODER:
        of_role = {"teacher": graphs["decoder"].sha256,
                   "trajectories": trajectories_stage.recipe(sections.distil, moved, run)}
    else:
        of_role = {"teacher": graphs["mask_encoder"].sha256, "latents": plain(moved)}
    return {**plain(sections.small), **of_role, **run.record}


def trained_decoder(sections: SmallSections, run: RunFolder) -> SmallTexturedDecoder:
    """The trained small decoder with its texture, frozen. Raises InputError if there is none."""
    channels, design = run.cohort.channels, sections.design
    decoder = _small_decoder(sections, channels)
    checkpoint.load_weights(decoder, run.own(DECODER), DECODER, made_from(sections, run, DECODER))
    texture = make_texture(sections.texture, design.codecs.image, channels, design.dims)
    checkpoint.load_weights(texture, run.own(TEXTURE), TEXTURE, made_from(sections, run, TEXTURE))
    return SmallTexturedDecoder(decoder, texture).eval().requires_grad_(False)


def trained_mask_encoder(sections: SmallSections, run: RunFolder) -> SmallMaskEncoder:
    """The trained small mask encoder, frozen. Raises InputError if there is none."""
    encoder = _small_mask_encoder(sections)
    checkpoint.load_weights(encoder, run.own(MASK_ENCODER), MASK_ENCODER, made_from(sections, run, MASK_ENCODER))
    return encoder


def _large_decoder(sections: SmallSections) -> TexturedDecoder:
    decoder = sections.module("decoder")
    assert isinstance(decoder, TexturedDecoder)
    return decoder


def _small_decoder(sections: SmallSections, image_channels: int) -> SmallDecoder:
    section, codec = sections.small, sections.design.codecs.image
    return SmallDecoder(codec.latent_channels, section.channels, section.blocks, codec.stride,
                        image_channels, sections.design.dims)


def _small_mask_encoder(sections: SmallSections) -> SmallMaskEncoder:
    section, design, codec = sections.small, sections.design, sections.design.codecs.mask
    return SmallMaskEncoder(design.classes, codec.latent_channels, section.channels, section.blocks,
                            codec.stride, design.dims)
