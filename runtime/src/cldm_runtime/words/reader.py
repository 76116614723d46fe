"""What a text means, by its vector: a probability for each word of the grammar, and the known sentence most like it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..domains.domain import Domain
from ..domains.word_rules import NearestMeaning
from ..errors import BundleError, InputError
from .encoder import TextEncoder, Vectors

WEIGHTS, OFFSETS, SENTENCES = "weights", "offsets", "sentences"  # keys of the npz


@dataclass(frozen=True, eq=False)
class MeaningReader:
    """encoder: texts -> vectors (D,). weights (K, D), offsets (K,): the logarithm of the odds that a text states word k
    is weights[k] . vector + offsets[k]. words: kind and word of each k. sentences: known sentences, vectors (M, D)
    theirs. least_similarity: of a text to the nearest of them; least_probability:
    of a word. several: kinds of which a text may state more than one word."""

    encoder: TextEncoder
    weights: NDArray[np.float64]
    offsets: NDArray[np.float64]
    vectors: Vectors
    words: tuple[tuple[str, str], ...]
    sentences: tuple[str, ...]
    domain: str
    least_similarity: float
    least_probability: float
    several: tuple[str, ...] = ()

    @classmethod
    def of(cls, encoder: TextEncoder, arrays: Mapping[str, NDArray[Any]], words: Sequence[tuple[str, str]],
           sentences: Sequence[str], domain: str, least_similarity: float, least_probability: float,
           several: Sequence[str], where: str) -> "MeaningReader":
        """Raises BundleError where the arrays do not fit each other."""
        shapes = {name: arrays[name].shape if name in arrays else None for name in (WEIGHTS, OFFSETS, SENTENCES)}
        width = len(encoder.encode(["width"])[0])
        expected = {WEIGHTS: (len(words), width), OFFSETS: (len(words),), SENTENCES: (len(sentences), width)}
        if shapes != expected or not sentences or not all(np.isfinite(arrays[name]).all() for name in expected):
            raise BundleError(f"{where}: the meanings are arrays of shape {shapes}, expected {expected} and finite "
                              "numbers. Make the folder again.")
        return cls(encoder, arrays[WEIGHTS].astype(np.float64), arrays[OFFSETS].astype(np.float64),
                   arrays[SENTENCES].astype(np.float32), tuple(words), tuple(sentences), domain, least_similarity,
                   least_probability, tuple(several))

    def __call__(self, text: str) -> NearestMeaning | None:
        """See `FindMeaning`."""
        return self.meaning_of(self.encoder.encode([text])[0])

    def meaning_of(self, vector: NDArray[np.float32]) -> NearestMeaning | None:
        """The meaning of a text by its vector (D,)."""
        similar = self.vectors @ vector
        nearest = int(similar.argmax())
        stated = self.stated(vector)
        if similar[nearest] < self.least_similarity or not stated:
            return None
        return NearestMeaning(stated, self.sentences[nearest], float(similar[nearest]))

    def stated(self, vector: NDArray[np.float32]) -> tuple[tuple[str, str], ...]:
        """The words that a text states: of each kind the likeliest, of `several` kinds every one that is likely."""
        chances = 1.0 / (1.0 + np.exp(-(self.weights @ vector.astype(np.float64) + self.offsets)))
        likely = [(chance, word) for chance, word in zip(chances, self.words, strict=True)
                  if chance >= self.least_probability]
        best = {kind: max(chance for chance, word in likely if word[0] == kind) for _, (kind, _) in likely}
        return tuple(word for chance, word in likely if word[0] in self.several or chance == best[word[0]])


def check_fit(reader: MeaningReader, domain: Domain) -> None:
    """Raises InputError for a reader of another domain."""
    vocabulary = domain.words.vocabulary if domain.words else {}
    known = {(kind, word) for kind, words in vocabulary.items() for word in words}
    if reader.domain != domain.name or not set(reader.words) <= known:
        raise InputError(f"these words belong to the domain {reader.domain!r}, the bundle to {domain.name!r}. Take the "
                         "words of the same domain, or none: --words none.")
