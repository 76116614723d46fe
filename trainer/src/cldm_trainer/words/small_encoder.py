"""The small text encoder: the mean of a vector for each piece of a text, and a layer behind it."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cldm_runtime.words.pieces import numbers_of, pieces_of
from cldm_runtime.words.vocabulary import PIECES, VECTOR

from ..graphs.write import export_graph
from .phrases import Sentence, SmallEncoder, Word

_BATCH = 128
_LEFT_OUT = 0.2  # share of the pieces of a training sentence, so that none is needed
_SPREAD = 10.0  # of the logits: vectors have length 1


class PieceEncoder(nn.Module):
    """Numbers of pieces (N, L), 0 where there is none, to vectors (N, D) of length 1."""

    def __init__(self, pieces: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(pieces + 1, width, padding_idx=0)
        self.layer = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, pieces: Tensor) -> Tensor:
        there = (pieces > 0).float().unsqueeze(-1)
        mean = (self.table(pieces) * there).sum(1) / there.sum(1).clamp(min=1.0)
        return F.normalize(self.layer(mean), dim=1)


def vocabulary_of(texts: Sequence[str], least_count: int) -> list[str]:
    """The pieces that so many texts hold, in order of the alphabet."""
    counts = Counter(piece for text in texts for piece in set(pieces_of(text)))
    return sorted(piece for piece, count in counts.items() if count >= least_count)


def train_encoder(sentences: Sequence[Sentence], words: Sequence[Word], settings: SmallEncoder, seed: int,
                  say: Callable[[str], None]) -> tuple[list[str], PieceEncoder]:
    """A vocabulary, and an encoder that learned to tell which words a sentence states."""
    torch.manual_seed(seed)
    vocabulary = vocabulary_of([each.text for each in sentences], settings.least_count)
    numbers = {piece: number for number, piece in enumerate(vocabulary, 1)}
    table = torch.from_numpy(numbers_of([each.text for each in sentences], numbers, settings.longest))
    truth = torch.from_numpy(np.array([[word in each.words for word in words] for each in sentences], np.float32))
    encoder = PieceEncoder(len(vocabulary), settings.width)
    heads = nn.Linear(settings.width, len(words))
    parameters = [*encoder.parameters(), *heads.parameters()]
    optimiser = torch.optim.AdamW(parameters, settings.rate, weight_decay=0.01)
    steps = settings.epochs * (len(sentences) // _BATCH)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.rate, max(steps, 2))
    for epoch in range(settings.epochs):
        order, total = torch.randperm(len(sentences)), 0.0
        for rows in order[:len(order) // _BATCH * _BATCH].reshape(-1, _BATCH):
            kept = table[rows] * (torch.rand(len(rows), settings.longest) > _LEFT_OUT)
            loss = F.binary_cross_entropy_with_logits(_SPREAD * heads(encoder(kept)), truth[rows])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            rates.step()
            total += float(loss.detach())
        say(f"small encoder: epoch {epoch + 1} of {settings.epochs}, loss {total / (len(order) // _BATCH):.4f}")
    return vocabulary, encoder.eval()


def encoder_graph(encoder: PieceEncoder, longest: int) -> bytes:
    """The encoder as an ONNX model."""
    example = torch.zeros(2, longest, dtype=torch.int64)
    example[:, 0] = 1
    return export_graph(encoder, {PIECES: example}, [VECTOR])
