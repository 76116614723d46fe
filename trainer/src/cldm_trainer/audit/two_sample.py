"""Can a small network tell one set of images from another? (Lopez-Paz and Oquab, "Revisiting classifier two-sample
tests", arXiv 1610.06545.)

Images of class 0 and class 1, in equal number, are cut into folds by patient; a network is trained without one fold and
asked about it. Further images of both classes may be trained on and never asked about. The accuracy over all folds is
0.5 if the sets are indistinguishable (to this network, trained on so few images) and 1 if a glance suffices. Its
interval is a bootstrap of whole patients, whose slices fall together. It does not hold what another network, or one
trained for longer, would find: the accuracy is a lower limit of what can be told.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cldm_runtime.errors import InputError
from cldm_runtime.metrics.agreement import Estimate, mean_estimate

from ..training.batches import batch_rows, in_batches, step_generator, turn_and_mirror
from .images import Images, Names, Rows

_CHANNELS = (16, 32, 64, 64)
_ANSWER_BATCH = 64
_ALWAYS_SEEN = -1
Progress = Callable[[int, int], None]  # (folds done, folds)


@dataclass(frozen=True)
class ClassifierTraining:
    """How the classifier is trained: folds, steps of each, images of both classes in a batch, peak learning rate."""

    folds: int = 2
    steps: int = 400
    batch: int = 32
    learning_rate: float = 5e-3
    seed: int = 0


@dataclass(frozen=True)
class Side:
    """One class: images (n, C, H, W), their patients (n,), and how many of them, the first, are tested. The rest is
    trained on where its patient is not tested."""

    images: Images
    groups: Names
    tested: int

    def __post_init__(self) -> None:
        if len(self.images) != len(self.groups) or not 0 < self.tested <= len(self.images):
            raise InputError(f"two-sample test: {len(self.images)} images, {len(self.groups)} patients and "
                             f"{self.tested} images to ask about; expected as many patients, and one image or more.")


@dataclass(frozen=True)
class TwoSample:
    """`accuracy` on held-out images; `images` asked about and `trained_on` a side, the latter the mean over folds;
    `probability` (2 * images,) that an image is of class 1, by the network that had not seen its patient: first those
    of class 0, then those of class 1."""

    accuracy: Estimate
    images: int
    trained_on: tuple[float, float]
    probability: NDArray[np.float64]


class Classifier(nn.Module):
    """Four convolutions of stride 2, the mean over the image, one number: about 61 000 weights for one channel.

    Normalised over the batch and not within the image, for how much of a texture an image holds is a tell-tale.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = (channels, *_CHANNELS)
        layers: list[nn.Module] = []
        for number, (before, after) in enumerate(pairwise(widths)):
            size = 3 if number else 5
            layers += [nn.Conv2d(before, after, size, stride=2, padding=size // 2), nn.BatchNorm2d(after), nn.SiLU()]
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1], 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n,) of class 1 for images (n, C, H, W)."""
        logits: Tensor = self.head(self.features(images).mean(dim=(-2, -1)))
        return logits[:, 0]


def two_sample(zero: Side, one: Side, training: ClassifierTraining | None = None,
               progress: Progress | None = None) -> TwoSample:
    """Test whether images of two classes can be told apart.

    Images of one group, in either class, are on the same side of every split. Square images are augmented by the eight
    symmetries. Raises InputError for unequal numbers to ask about, or too few groups.
    """
    how = training or ClassifierTraining()
    if zero.tested != one.tested or zero.images.shape[1:] != one.images.shape[1:]:
        raise InputError(f"two-sample test: found {zero.tested} images {zero.images.shape[1:]} and {one.tested} images "
                         f"{one.images.shape[1:]} to ask about, expected as many of each, of one shape.")
    images = torch.from_numpy(np.concatenate([zero.images, one.images]).astype(np.float32))
    images = (images - images.mean()) / images.std().clamp(min=1e-6)
    labels, groups = np.repeat([0, 1], [len(zero.images), len(one.images)]), np.concatenate([zero.groups, one.groups])
    tested = np.concatenate([np.arange(zero.tested), len(zero.images) + np.arange(one.tested)])
    folds = _folds_of_all(groups, labels, tested, how)
    probability, seen_counts = np.zeros(len(labels)), []
    for fold in range(how.folds):
        seen, rows = np.flatnonzero(folds != fold), tested[folds[tested] == fold]
        model = _train(images, labels, seen, how, fold)
        probability[rows] = _answers(model, images[torch.from_numpy(rows)])
        seen_counts.append(np.bincount(labels[seen], minlength=2))
        if progress:
            progress(fold + 1, how.folds)
    right = ((probability > 0.5) == (labels == 1))[tested]
    trained_on = np.mean(seen_counts, axis=0)
    return TwoSample(mean_estimate(right, groups[tested]), zero.tested, (float(trained_on[0]), float(trained_on[1])),
                     probability[tested])


def balanced_folds(groups: Names, labels: Rows, folds: int, seed: int) -> Rows:
    """(N,) the fold of each image: no group is in two folds, and each fold gets about its share of each class.

    Groups come in random order, large ones first, and each goes where the fewest images of its classes are so far.
    Raises InputError where a fold gets no image of some class.
    """
    names, numbers = np.unique(groups, return_inverse=True)
    per_group = np.zeros((len(names), 2), dtype=np.int64)
    np.add.at(per_group, (numbers, labels), 1)
    shuffled = np.random.default_rng([seed, len(names)]).permutation(len(names))
    order = shuffled[np.argsort(-per_group[shuffled].sum(axis=1), kind="stable")]
    filled, chosen = np.zeros((folds, 2), dtype=np.int64), np.zeros(len(names), dtype=np.int64)
    for group in order:
        chosen[group] = (filled @ per_group[group]).argmin()
        filled[chosen[group]] += per_group[group]
    if (filled == 0).any():
        raise InputError(f"two-sample test: {len(names)} patients or single images are too few for {folds} folds that "
                         "hold both classes. Give more images, of more patients.")
    return chosen[numbers]


def _folds_of_all(groups: Names, labels: Rows, tested: Rows, how: ClassifierTraining) -> Rows:
    """(N,) folds of all images: those of patients that nobody is asked about are in none."""
    folds = balanced_folds(groups[tested], labels[tested], how.folds, how.seed)
    fold_of = dict(zip(groups[tested].tolist(), folds.tolist(), strict=True))
    return np.array([fold_of.get(name, _ALWAYS_SEEN) for name in groups.tolist()], dtype=np.int64)


def _train(images: Tensor, labels: Rows, seen: Rows, how: ClassifierTraining, fold: int) -> Classifier:
    """A network that has seen these rows; half of every batch is of each class."""
    classes = [seen[labels[seen] == label] for label in (0, 1)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(how.seed * how.folds + fold)
        model = Classifier(images.shape[1])
    half = how.batch // 2
    target = torch.cat([torch.zeros(half), torch.ones(half)])
    optimiser = torch.optim.AdamW(model.parameters(), lr=how.learning_rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, how.learning_rate, total_steps=how.steps)
    for step in range(how.steps):
        rows = [rows[batch_rows(len(rows), half, step, how.seed + label)] for label, rows in enumerate(classes)]
        batch = images[torch.from_numpy(np.concatenate(rows))]
        if batch.shape[-2] == batch.shape[-1]:
            batch = turn_and_mirror(batch, step_generator(how.seed, step, fold))
        loss = nn.functional.binary_cross_entropy_with_logits(model(batch), target)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return model.eval()


@torch.no_grad()
def _answers(model: Classifier, images: Tensor) -> NDArray[np.float64]:
    """(n,) probability of class 1."""
    parts = [torch.sigmoid(model(images[rows])) for rows in in_batches(len(images), _ANSWER_BATCH)]
    return torch.cat(parts).numpy().astype(np.float64)
