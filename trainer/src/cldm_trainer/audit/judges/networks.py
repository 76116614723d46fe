"""Two convolutional judges of other design than the critics of training: one sees fine detail alone, one the whole
image through pooling."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from ...training.batches import batch_rows, in_batches, step_generator, turn_and_mirror
from .judge import Classes, Features, Judged, Probability

_ANSWER_BATCH = 64


@dataclass(frozen=True)
class NetworkTraining:
    """steps of `batch` images, half of each class; peak learning rate."""

    steps: int = 300
    batch: int = 32
    learning_rate: float = 3e-3


class HighPassNetwork(nn.Module):
    """What a 5 x 5 mean leaves of the image, amplified, every 2 x 2 pixels as channels; four convolutions; mean and
    deviation over the image. About 25 000 weights for one channel. The deviation makes it sensitive to how strong the
    grain is, and where."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = (4 * channels, 16, 24, 32, 48)
        layers: list[nn.Module] = []
        for (before, after), stride in zip(pairwise(widths), (1, 1, 2, 2), strict=True):
            layers += [nn.Conv2d(before, after, 3, stride, 1), nn.BatchNorm2d(after), nn.LeakyReLU(0.1)]
        self.body, self.head = nn.Sequential(*layers), nn.Linear(2 * widths[-1], 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n,) of class 1."""
        fine = images - nn.functional.avg_pool2d(images, 5, 1, 2, count_include_pad=False)
        height, width = images.shape[-2:]
        even = nn.functional.pad(4.0 * fine, (0, width % 2, 0, height % 2))
        found = self.body(nn.functional.pixel_unshuffle(even, 2)).flatten(2)
        logits: Tensor = self.head(torch.cat([found.mean(-1), found.std(-1)], dim=1))
        return logits[:, 0]


class PoolingNetwork(nn.Module):
    """Four blocks of convolution and maximum pooling on the whole image, their mean, two layers. About 250 000 weights
    for one channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = (channels, 32, 64, 128, 128)
        layers: list[nn.Module] = []
        for number, (before, after) in enumerate(pairwise(widths)):
            size, stride = (5, 2) if number == 0 else (3, 1)
            layers += [nn.Conv2d(before, after, size, stride, size // 2), nn.BatchNorm2d(after), nn.ReLU()]
            layers += [nn.MaxPool2d(2, ceil_mode=True)]
        self.body = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Linear(widths[-1], 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n,) of class 1."""
        logits: Tensor = self.head(self.body(images).mean(dim=(-2, -1)))
        return logits[:, 0]


@dataclass(frozen=True)
class NetworkJudge:
    """A network that is trained anew for every question."""

    name: str
    looks_at: str
    build: Callable[[int], nn.Module]
    training: NetworkTraining = NetworkTraining()

    def describe(self, judged: Judged) -> Features:
        return judged.images

    def decide(self, seen: Features, classes: Classes, tested: Features, seed: int) -> Probability:
        mean, deviation = float(seen.mean()), max(float(seen.std()), 1e-6)
        images, others = (torch.from_numpy((part - mean) / deviation) for part in (seen, tested))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = self.build(images.shape[1])
            _train(model, images, classes, self.training, seed)
        return _probability(model, others)


def high_pass_judge(training: NetworkTraining | None = None) -> NetworkJudge:
    return NetworkJudge("fine detail network", "what a mean over 5 x 5 pixels leaves; a convolutional network",
                        HighPassNetwork, training or NetworkTraining())


def pooling_judge(training: NetworkTraining | None = None) -> NetworkJudge:
    return NetworkJudge("whole image network", "the whole image; a larger convolutional network with pooling",
                        PoolingNetwork, training or NetworkTraining(learning_rate=2e-3))


def _train(model: nn.Module, images: Tensor, classes: Classes, how: NetworkTraining, seed: int) -> None:
    """Half of every batch is of each class; square images are turned and mirrored."""
    rows_of = [np.flatnonzero(classes == label) for label in (0, 1)]
    half = how.batch // 2
    target = torch.cat([torch.zeros(half), torch.ones(half)])
    optimiser = torch.optim.AdamW(model.parameters(), lr=how.learning_rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, how.learning_rate, total_steps=how.steps)
    for step in range(how.steps):
        rows = [rows[batch_rows(len(rows), half, step, seed + label)] for label, rows in enumerate(rows_of)]
        batch = turn_and_mirror(images[torch.from_numpy(np.concatenate(rows))], step_generator(seed, step))
        loss = nn.functional.binary_cross_entropy_with_logits(model(batch), target)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    model.eval()


@torch.no_grad()
def _probability(model: nn.Module, images: Tensor) -> Probability:
    parts = [torch.sigmoid(model(images[rows])) for rows in in_batches(len(images), _ANSWER_BATCH)]
    return torch.cat(parts).numpy().astype(np.float64)
