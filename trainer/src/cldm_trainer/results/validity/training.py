"""Trains small segmenters from recipes: those of `validity` on the cohort's training patients. A trained one is used
again.

    <run folder>/validity/<name>-<digest>/    as every stage leaves it; the digest is that of recipe, seed and cohort
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cldm_runtime.domains.domain import Domain
from cldm_runtime.domains.labels import LabelMap
from cldm_runtime.files.derived import Derivation
from cldm_runtime.files.records import plain
from cldm_runtime.store import Dataset, open_dataset

from ...config import OptimiserConfig
from ...config.validity import SegmenterRecipe
from ...training import checkpoint
from ...training.batches import one_hot, turn_and_mirror
from ...training.log import grey, montage, planes
from ...training.loop import Step, train
from ...training.losses import cross_entropy, soft_dice
from ...training.run_folder import RunFolder
from .lesions import hide
from .networks import FoldedNetwork, label_maps

STAGE = "validity"
_AFTERWARDS = ("bundle", "largest_piece", "fewest_pixels", "darker_than")  # keys that the weights do not depend on
_CHECKED, _PICTURED = 32, 8  # validation slices
_CONTRAST, _SHIFT = 0.2, 0.1  # of the intensities, at most, by augmentation


class RecipeTask:
    """Cross-entropy and soft Dice of one small segmenter."""

    critic = None
    critic_rate = 0.0

    def __init__(self, recipe: SegmenterRecipe, domain: Domain, training: tuple[Tensor, Tensor],
                 validation: tuple[Tensor, Tensor]) -> None:
        """training, validation: images (N, C, *spatial) as the network gets them, and label maps (N, *spatial)."""
        self.recipe, self.domain, self.training, self.validation = recipe, domain, training, validation
        images = training[0]
        self.model: nn.Module = FoldedNetwork(recipe, images.ndim - 2, images.shape[1], len(domain.labels))
        self.count = len(images)

    def loss(self, model: nn.Module, critic: nn.Module | None, step: Step) -> tuple[Tensor, dict[str, Tensor]]:
        classes = len(self.domain.labels)
        images, labels = (column[step.rows] for column in self.training)
        target = one_hot(labels, classes)
        if self.recipe.augment:
            images, target = _augmented(images, target, step.generator)
        target = step.own(target)
        logits = model(step.own(images))
        parts = {"cross_entropy": cross_entropy(logits, target.argmax(dim=1)), "dice_loss": soft_dice(logits, target)}
        return parts["cross_entropy"] + parts["dice_loss"], parts

    def critic_loss(self, critic: nn.Module, step: Step) -> Tensor | None:
        return None

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Dice of every region over all validation slices together."""
        found, truth = self._found(model, device), self.validation[1].numpy()
        figures = {}
        for region in self.domain.labels.regions:
            a, b = (self.domain.labels.region(maps, region) for maps in (found, truth))
            figures[f"dice_{region}"] = 2.0 * float((a & b).sum()) / max(float(a.sum() + b.sum()), 1.0)
        return figures

    def picture(self, model: nn.Module, device: torch.device) -> NDArray[np.uint8]:
        """Images, their label maps, and what the network finds."""
        colours = np.array(self.domain.labels.colours, dtype=np.uint8)
        maps = [self.validation[1].numpy()[:_PICTURED], self._found(model, device)[:_PICTURED]]
        images = grey(self.validation[0].numpy()[:_PICTURED])
        return montage([images, *(colours[planes(labels)] for labels in maps)])

    def _found(self, model: nn.Module, device: torch.device) -> LabelMap:
        found: LabelMap = label_maps(model, self.validation[0].to(device))
        return found


def _augmented(images: Tensor, target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Turned and mirrored alike; the images also with another contrast and brightness each."""
    both = turn_and_mirror(torch.cat([images, target], dim=1), generator)
    images, target = both[:, :images.shape[1]], both[:, images.shape[1]:]
    spread = 2.0 * torch.rand((2, len(images), *[1] * (images.ndim - 1)), generator=generator) - 1.0
    return images * (1.0 + _CONTRAST * spread[0]) + _SHIFT * spread[1], target


def as_seen(images: NDArray[np.float32], recipe: SegmenterRecipe) -> NDArray[np.float32]:
    """Images in the contrast that a recipe trains on."""
    changed = np.clip(images, 0.0, 1.0) ** recipe.gamma if recipe.gamma != 1.0 else images
    return np.asarray(1.0 - changed if recipe.inverted else changed, dtype=np.float32)


def chosen_patients(patients: NDArray[np.generic], share: float, seed: int) -> NDArray[np.bool_]:
    """(N,) the slices of a share of the patients, at least one; a smaller share is part of a larger one."""
    names = np.unique(patients)
    order = np.random.default_rng([seed, len(names)]).permutation(len(names))
    count = max(1, round(share * len(names)))
    return np.isin(patients, names[order[:count]])


@dataclass(frozen=True)
class TrainingPairs:
    """What a segmenter learns from: images (N, C, *spatial) float32 with their label maps (N, *spatial), the attributes
    (N, A) of these and their patients (N,). origin: digest of what all that depends on."""

    name: str
    images: NDArray[np.float32]
    masks: LabelMap
    attributes: NDArray[np.floating]
    patients: NDArray[np.generic]
    origin: str = ""

    @classmethod
    def of(cls, name: str, dataset: Dataset, rows: NDArray[np.int64], domain: Domain,
           origin: str = "") -> "TrainingPairs":
        """Rows of a file, with what a segmenter is to find in them. Where nobody says whose they are, each is a patient
        of its own."""
        masks, measured = dataset.drawn(rows), dataset.mask_attributes
        values = domain.measure(masks, dataset.spacing_mm).values if measured is None else measured[rows]
        patients = np.arange(len(dataset)) if dataset.patients is None else dataset.patients
        return cls(name, dataset.images(rows), masks, values, patients[rows], origin)

    def joined(self, other: "TrainingPairs", name: str) -> "TrainingPairs":
        """These pairs and others."""
        images, masks, attributes, patients = (np.concatenate([getattr(self, field), getattr(other, field)])
                                               for field in ("images", "masks", "attributes", "patients"))
        return TrainingPairs(name, images, masks, attributes, patients, f"{self.origin} {other.origin}")


def make_task(recipe: SegmenterRecipe, run: RunFolder) -> RecipeTask:
    """The task on the cohort's training patients."""
    with open_dataset(run.cohort.file) as dataset:
        rows = dataset.rows("train")
        if dataset.patients is not None:  # read no others
            rows = rows[chosen_patients(dataset.patients[rows], recipe.share, run.settings.seed)]
        pairs = TrainingPairs.of("train", dataset, rows, run.cohort.domain)
    return task_on(pairs, replace(recipe, share=1.0), run)


def task_on(pairs: TrainingPairs, recipe: SegmenterRecipe, run: RunFolder) -> RecipeTask:
    """The task on any pairs, as the recipe sees them: a share of the patients, lesions hidden, another contrast. Some
    slices of the subset val are what the log is written for; nothing is chosen by them."""
    domain = run.cohort.domain
    chosen = chosen_patients(pairs.patients, recipe.share, run.settings.seed)
    images, measured = pairs.images[chosen], pairs.attributes[chosen]
    masks = hide(pairs.masks[chosen], images, measured, recipe.hidden, domain)
    with open_dataset(run.cohort.file) as dataset:
        checked = dataset.rows("val")
        checked = checked[np.linspace(0, len(checked) - 1, min(_CHECKED, len(checked))).round().astype(int)]
        validation = dataset.images(checked), dataset.drawn(checked)
    learned, looked_at = ((torch.from_numpy(as_seen(x, recipe)), torch.from_numpy(y))
                          for x, y in ((images, masks), validation))
    return RecipeTask(recipe, domain, learned, looked_at)


def weights_settings(recipe: SegmenterRecipe) -> dict[str, Any]:
    """The keys of a recipe that its weights depend on."""
    return {key: value for key, value in plain(recipe).items() if key not in _AFTERWARDS}


def derivation(recipe: SegmenterRecipe, run: RunFolder) -> Derivation:
    """What a trained segmenter depends on."""
    return Derivation({"cohort": run.cohort.sha256}, {**weights_settings(recipe), "seed": run.settings.seed})


def trained(name: str, recipe: SegmenterRecipe, run: RunFolder) -> nn.Module:
    """The network of a recipe, trained now unless it was before, in evaluation mode on the CPU."""
    made = derivation(recipe, run)
    plain_name = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "segmenter"
    folder = run.own(STAGE) / f"{plain_name}-{made.sha256[:12]}"
    return fitted(lambda: make_task(recipe, run), recipe, run, folder, made, run.settings.seed)


def fitted(make: Callable[[], RecipeTask], recipe: SegmenterRecipe, run: RunFolder, folder: Path, made: Derivation,
           seed: int) -> nn.Module:
    """The network of a recipe, trained in `folder` unless it was before from what `made` states, in evaluation mode on
    the CPU. seed: of its first weights and of the order of its batches."""
    alone = replace(run.settings, devices=1, nodes=1, seed=seed)
    optimiser = OptimiserConfig(recipe.steps, recipe.batch_size, recipe.learning_rate, warmup_steps=20, ema_decay=0.99,
                                validate_every=recipe.steps, picture_every=recipe.steps, checkpoint_every=100)
    record = {"derived_from": made.text()}
    train(make, optimiser, alone, folder, record)
    network = FoldedNetwork(recipe, run.cohort.dims, run.cohort.channels, run.cohort.classes)
    return checkpoint.load_weights(network, folder, folder.parent.name, record)


def predict(network: nn.Module, images: NDArray[Any]) -> LabelMap:
    """(N, *spatial) label maps of images (N, C, *spatial)."""
    found: LabelMap = label_maps(network, torch.from_numpy(np.ascontiguousarray(images, dtype=np.float32)))
    return found
