"""The reward of a diffusion model: what a frozen network reads in a denoised latent, against the label map that was
asked for. It counts at little noise alone: at much noise one step leads to a mean of many images, and a reading of it
would reward what no image looks like (as with the consistency loss of ControlNet++, Li et al., ECCV 2024).

The network is trained first, on the latents of the cohort's slices, and never again.
"""

from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cldm_runtime.domains.domain import Domain
from cldm_runtime.files.records import plain

from ..conditions.kind import Design
from ..config import RewardConfig
from ..networks import Affine
from ..networks.latent_reader import LatentReader
from ..training import checkpoint
from ..training.batches import in_batches, one_hot, step_generator
from ..training.log import montage, planes
from ..training.loop import Step, train
from ..training.losses import cross_entropy, soft_dice
from ..training.run_folder import RunFolder
from . import latents as latents_stage
from .label_scores import score_labels
from .latents import Latents, load_affines, load_latents
from .moved import label_maps

STAGE = "reward"
_PICTURES = 8
_BATCH = 32


class Reward:
    """reader: frozen, logits of labels from latents. lesion: the label values whose size counts too."""

    def __init__(self, section: RewardConfig, reader: LatentReader, domain: Domain) -> None:
        self.section, self.reader = section, reader
        self.lesion = list(domain.labels.regions[domain.lesion]) if domain.lesion else []

    def loss(self, x0: Tensor, labels: Tensor, places: Tensor | None) -> Tensor:
        """x0 (N, C, *latent): the clean latent that a step leads to. labels (N, *spatial): what was asked for. places
        (N, 1, *spatial): where it counts, 1; None: everywhere. A mean over the batch."""
        logits: Tensor = self.reader.to(x0.device)(x0)
        counted = torch.ones_like(labels, dtype=x0.dtype) if places is None else places[:, 0]
        return reading_loss(logits, labels, counted, self.lesion, self.section.size_weight)


def reading_loss(logits: Tensor, labels: Tensor, counted: Tensor, lesion: list[int], size_weight: float) -> Tensor:
    """Cross-entropy over the places that count, and `size_weight` times the error of the lesion's share of them.

    logits (N, K, *spatial), labels (N, *spatial), counted (N, *spatial) 0 or 1; lesion: label values.
    """
    axes = tuple(range(1, counted.ndim))
    places = counted.sum(axes).clamp_min(1.0)
    each = torch.nn.functional.cross_entropy(logits, labels.long(), reduction="none")
    loss = ((each * counted).sum(axes) / places).mean()
    if not lesion:
        return loss
    likely = torch.softmax(logits, dim=1)[:, lesion].sum(1)
    true = torch.isin(labels, torch.tensor(lesion, device=labels.device, dtype=labels.dtype)).to(likely.dtype)
    error = ((likely - true) * counted).sum(axes).abs() / places
    return loss + size_weight * error.mean()


class ReaderTask:
    """Cross-entropy and soft Dice of the labels that are read in latents of slices."""

    critic = None
    critic_rate = 0.0

    def __init__(self, reader: LatentReader, latents: tuple[Latents, Latents], maps: tuple[Tensor, Tensor],
                 affine: Affine, domain: Domain) -> None:
        """latents and maps: of the training and of the validation subset."""
        self.model: nn.Module = reader
        (self.training, self.validation), self.maps = latents, maps
        self.affine, self.domain, self.count = affine, domain, len(latents[0])

    def _latents(self, latents: Latents, rows: Any, generator: torch.Generator) -> Tensor:
        mean, deviation = latents.mean[rows].float(), latents.deviation[rows].float()
        return self.affine.standardise(mean + deviation * torch.randn(mean.shape, generator=generator))

    def loss(self, model: nn.Module, critic: nn.Module | None, step: Step) -> tuple[Tensor, dict[str, Tensor]]:
        x0 = step.own(self._latents(self.training, step.rows, step.generator))
        labels = step.own(self.maps[0][step.rows])
        logits = model(x0)
        parts = {"cross_entropy": cross_entropy(logits, labels),
                 "dice_loss": soft_dice(logits, one_hot(labels, len(self.domain.labels)))}
        return parts["cross_entropy"] + parts["dice_loss"], parts

    def critic_loss(self, critic: nn.Module, step: Step) -> Tensor | None:
        return None

    @torch.no_grad()
    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Dice of each label that is read in the latents of unseen patients."""
        drawn = torch.cat([model(self._latents(self.validation, part, step_generator(0, number)).to(device))
                           .argmax(1).to(torch.uint8).cpu()
                           for number, part in enumerate(in_batches(len(self.validation), _BATCH))])
        rows = iter(in_batches(len(drawn), _BATCH))
        dice, wrong = score_labels(lambda maps: drawn[next(rows)], self.maps[1], len(self.domain.labels))
        names = self.domain.labels.names
        return {f"dice_{names[label]}": value for label, value in dice.items()} | {"wrong_pixels": wrong}

    @torch.no_grad()
    def picture(self, model: nn.Module, device: torch.device) -> NDArray[np.uint8]:
        """Label maps of validation slices, and what is read in their latents."""
        rows = np.linspace(0, len(self.validation) - 1, min(_PICTURES, len(self.validation))).astype(int)
        read = model(self._latents(self.validation, rows, step_generator(0, 0)).to(device)).argmax(1).cpu()
        colours = np.array(self.domain.labels.colours, dtype=np.uint8)
        return montage([colours[planes(maps.numpy())] for maps in (self.maps[1][rows], read)])


def run(section: RewardConfig, design: Design, run: RunFolder) -> None:
    """Train the reader, if that is not done."""
    train(partial(_make_task, section, design, run), section.optimiser, run.settings, run.own(STAGE),
          made_from(section, design, run))


def made_from(section: RewardConfig, design: Design, run: RunFolder) -> dict[str, Any]:
    """What the reader's weights depend on."""
    reader = {"channels": section.channels, "blocks": section.blocks, "optimiser": plain(section.optimiser)}
    return {**reader, "latents": latents_stage.fingerprint(design.codecs, run), **run.record}


def trained_reward(section: RewardConfig, design: Design, run: RunFolder) -> Reward:
    """The reward with its trained reader, frozen. Raises InputError if there is none."""
    reader = _reader(section, design)
    checkpoint.load_weights(reader, run.own(STAGE), STAGE, made_from(section, design, run))
    return Reward(section, reader.eval().requires_grad_(False), design.domain)


def _reader(section: RewardConfig, design: Design) -> LatentReader:
    codec = design.codecs.image
    return LatentReader(codec.latent_channels, section.channels, section.blocks, design.classes, codec.stride,
                        design.dims)


def _make_task(section: RewardConfig, design: Design, run: RunFolder) -> ReaderTask:
    moved = design.codecs.latents
    latents = load_latents(design.codecs, run, "train"), load_latents(design.codecs, run, "val")
    maps = label_maps(moved, run, "train"), label_maps(moved, run, "val")
    return ReaderTask(_reader(section, design), latents, maps, load_affines(design.codecs, run)[0], design.domain)
