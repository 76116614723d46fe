"""Trains one small segmenter on reference slices, on generated images of the same label maps, and on both.

    <run folder>/utility/<kind>-<seed>-<digest>/    as every stage leaves it; the digest is that of all it depends on

Every training has the same network, steps and batch size, whatever it learns from.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cldm_runtime.domains.labels import LabelMap
from cldm_runtime.files.derived import Derivation
from cldm_runtime.files.records import plain
from cldm_runtime.store import open_dataset

from ...config import OptimiserConfig
from ...config.validity import SegmenterRecipe
from ...training import checkpoint
from ...training.loop import train
from ...training.run_folder import RunFolder
from ..validity.networks import FoldedNetwork
from ..validity.sets import SegmentedSet
from ..validity.training import RecipeTask

STAGE = "utility"
_OF_TRAINING = ("network", "channels", "patch", "steps", "batch_size", "learning_rate", "augment")
_CHECKED = 32  # slices of the subset val


@dataclass(frozen=True)
class TrainingPairs:
    """Images (N, C, *spatial) float32 and their label maps (N, *spatial). origin: digest of what they depend on."""

    name: str
    images: NDArray[np.float32]
    masks: LabelMap
    origin: str

    @classmethod
    def of(cls, chosen: SegmentedSet) -> "TrainingPairs":
        """The images of a set, with what a segmenter is to find in them."""
        with open_dataset(chosen.path) as dataset:
            return cls(chosen.name, dataset.images(chosen.rows), dataset.reference(chosen.rows), chosen.origin)

    def joined(self, other: "TrainingPairs", name: str) -> "TrainingPairs":
        """These pairs and others."""
        return TrainingPairs(name, np.concatenate([self.images, other.images]),
                             np.concatenate([self.masks, other.masks]), f"{self.origin} {other.origin}")


def derivation(pairs: TrainingPairs, recipe: SegmenterRecipe, seed: int, run: RunFolder) -> Derivation:
    """What a trained segmenter depends on."""
    settings = {key: value for key, value in plain(recipe).items() if key in _OF_TRAINING}
    return Derivation({"cohort": run.cohort.sha256, "pairs": pairs.origin}, {**settings, "seed": seed})


def trained_on(pairs: TrainingPairs, recipe: SegmenterRecipe, seed: int, run: RunFolder) -> nn.Module:
    """The network, trained on the pairs now unless it was before, in evaluation mode on the CPU."""
    made = derivation(pairs, recipe, seed, run)
    folder = run.own(STAGE) / f"{pairs.name}-{seed}-{made.sha256[:12]}"
    alone = replace(run.settings, devices=1, nodes=1, seed=seed)
    optimiser = OptimiserConfig(recipe.steps, recipe.batch_size, recipe.learning_rate, warmup_steps=20, ema_decay=0.99,
                                validate_every=recipe.steps, picture_every=recipe.steps, checkpoint_every=100)
    record: Mapping[str, Any] = {"derived_from": made.text()}

    def task() -> RecipeTask:
        ours = torch.from_numpy(pairs.images), torch.from_numpy(pairs.masks)
        return RecipeTask(recipe, run.cohort.domain, ours, _validation(run))

    train(task, optimiser, alone, folder, record)
    network = FoldedNetwork(recipe, run.cohort.dims, run.cohort.channels, run.cohort.classes)
    return checkpoint.load_weights(network, folder, STAGE, record)


def _validation(run: RunFolder) -> tuple[torch.Tensor, torch.Tensor]:
    """Some slices of the subset val, which the log is written for; nothing is chosen by them."""
    with open_dataset(run.cohort.file) as dataset:
        rows = dataset.rows("val")
        rows = rows[np.linspace(0, len(rows) - 1, min(_CHECKED, len(rows))).round().astype(int)]
        return torch.from_numpy(dataset.images(rows)), torch.from_numpy(dataset.reference(rows))
