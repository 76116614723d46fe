"""A text encoder with a vocabulary of its own: pieces of words through a small graph."""

from collections.abc import Sequence

import numpy as np

from ..engines.engine import Engine
from ..errors import BundleError
from .encoder import Vectors, of_length_one
from .pieces import numbers_of

PIECES, VECTOR = "pieces", "vector"  # input and output of the graph
MOST_PIECES = 1_000_000


class VocabularyEncoder:
    """vocabulary: the pieces, a line each; the first line is number 1. engine: numbers (N, longest) -> vectors (N, D).
    """

    def __init__(self, vocabulary: bytes, engine: Engine, longest: int, where: str) -> None:
        try:
            pieces = vocabulary.decode("utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise BundleError(f"{where} is not UTF-8 text: {error}. Make the folder again.") from error
        if not pieces or len(pieces) > MOST_PIECES or len(set(pieces)) != len(pieces):
            raise BundleError(f"{where}: {len(pieces)} lines, expected 1 to {MOST_PIECES}, none twice. Make the folder "
                              "again.")
        self._numbers = {piece: number for number, piece in enumerate(pieces, 1)}
        self._engine, self._longest = engine, longest

    def encode(self, texts: Sequence[str]) -> Vectors:
        table = numbers_of(texts, self._numbers, self._longest)
        # One at a time, because the last bits of a row may depend on how many rows are computed together.
        rows = [self._engine.run({PIECES: table[row:row + 1]})[VECTOR] for row in range(len(table))]
        return of_length_one(np.concatenate(rows))
