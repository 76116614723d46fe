"""SPADE, trained as a GAN on the images and label maps that the diffusion models learn from: a comparator.

The losses are SPADE's, but for the perceptual one, which needs a network trained on photographs: an adversarial loss,
here of least squares, and the L1 distance between images and slices in the critic's features.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cldm_runtime.files.records import plain

from ..conditions.kind import SUBSETS, Design
from ..conditions.registry import KINDS
from ..config import GanConfig
from ..networks import Affine
from ..networks.spade import SpadeGenerator, spade_critic
from ..training import checkpoint
from ..training.batches import in_batches, step_generator
from ..training.log import grey, montage
from ..training.loop import Step, train
from ..training.losses import least_squares_critic, least_squares_generator
from ..training.run_folder import RunFolder
from . import latents as latents_stage
from .latents import load_affines, load_latents
from .trained import TrainedStages

STAGE = "gan"
_BATCH, _PICTURES = 32, 8


class SpadeTask:
    """slices: subset -> standardised images (N, C, *spatial), float16, and what makes the one-hot maps of some rows."""

    def __init__(self, config: GanConfig, model: nn.Module, critic: nn.Module, slices: dict[str, Any],
                 affine: Affine) -> None:
        self.config, self.model, self.critic, self.slices, self.affine = config, model, critic, slices, affine
        self.critic_rate, self.count = config.critic_rate, len(slices["train"][0])
        self._pair: tuple[Tensor, Tensor] | None = None  # what the critic is to tell apart

    def _batch(self, subset: str, rows: Any, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Images, their one-hot maps, and standard normal numbers."""
        images, maps = self.slices[subset]
        chosen = self.affine.standardise(images[rows].float())
        return chosen, maps(rows)[0], torch.randn(chosen.shape, generator=generator)

    def loss(self, model: nn.Module, critic: nn.Module | None, step: Step) -> tuple[Tensor, dict[str, Tensor]]:
        assert critic is not None
        x, one_hot, noise = map(step.own, self._batch("train", step.rows, step.generator))
        y = model(noise, torch.zeros(len(x), device=x.device), one_hot)
        self._pair = torch.cat([x, one_hot], dim=1), torch.cat([y.detach(), one_hot], dim=1)
        *features, answer = critic(torch.cat([y, one_hot], dim=1))
        with torch.no_grad():
            *wanted, _ = critic(self._pair[0])
        distance = torch.stack([(a - b).abs().mean() for a, b in zip(features, wanted, strict=True)]).mean()
        parts = {"adversarial": least_squares_generator(answer), "features": distance}
        return parts["adversarial"] + self.config.feature_weight * distance, parts

    def critic_loss(self, critic: nn.Module, step: Step) -> Tensor | None:
        assert self._pair is not None  # `loss` comes first
        return least_squares_critic(*(critic(seen)[-1] for seen in self._pair))

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """l1: mean absolute difference from unseen slices, in standardised units; style: deviation between two images
        of one label map, over that of the slices."""
        errors, between, count = 0.0, 0.0, 0
        for number, rows in enumerate(in_batches(len(self.slices["val"][0]), _BATCH)):
            x, one_hot, noise = self._batch("val", rows, step_generator(0, number))
            time = torch.zeros(len(x))
            one, other = (model(*(value.to(device) for value in (each, time, one_hot))).cpu()
                          for each in (noise, noise.flip(0).neg()))
            errors += float((one - x).abs().mean((1, 2, 3)).sum())
            between += float((one - other).std((1, 2, 3)).sum()) / 2**0.5
            count += len(x)
        return {"l1": errors / count, "style": between / count}

    @torch.no_grad()
    def picture(self, model: nn.Module, device: torch.device) -> NDArray[np.uint8]:
        """Validation slices, and two images for the label map of each."""
        total = len(self.slices["val"][0])
        rows = np.linspace(0, total - 1, min(_PICTURES, total)).astype(int)
        x, one_hot, noise = self._batch("val", rows, step_generator(0, 0))
        shown = [x] + [model(*(value.to(device) for value in (each, torch.zeros(len(x)), one_hot))).cpu()
                       for each in (noise, noise.neg())]
        return montage([grey((0.5 * (self.affine.restore(each) + 1.0)).numpy()) for each in shown])


def make_task(section: GanConfig, design: Design, run: RunFolder) -> SpadeTask:
    """The task on the images of the run, moved copies included."""
    tables = KINDS[design.diffusion.condition].tables(design, TrainedStages(design, run))
    slices = {subset: (load_latents(design.codecs, run, subset).mean, tables[subset]) for subset in SUBSETS}
    channels = run.cohort.drawn_channels
    return SpadeTask(section, SpadeGenerator(channels, design.classes, design.shape, section),
                     spade_critic(channels, design.classes, design.dims, section), slices,
                     load_affines(design.codecs, run)[0])


def run(section: GanConfig, design: Design, run: RunFolder) -> None:
    """Train the network."""
    latents_stage.run(design.codecs, run)
    train(lambda: make_task(section, design, run), section.optimiser, run.settings, run.own(STAGE),
          made_from(section, design, run))


def made_from(section: GanConfig, design: Design, run: RunFolder) -> dict[str, Any]:
    """What the weights depend on."""
    return {**plain(section), "latents": latents_stage.fingerprint(design.codecs, run), **run.record}


def trained_generator(section: GanConfig, design: Design, run: RunFolder) -> SpadeGenerator:
    """The trained network, frozen, in evaluation mode. Raises InputError if there is none."""
    network = SpadeGenerator(run.cohort.drawn_channels, design.classes, design.shape, section)
    checkpoint.load_weights(network, run.own(STAGE), STAGE, made_from(section, design, run))
    return network
