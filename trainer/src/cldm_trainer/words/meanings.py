"""What the vectors of an encoder mean: a logistic regression for each word, and thresholds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from cldm_runtime.words.encoder import TextEncoder, Vectors
from cldm_runtime.words.reader import OFFSETS, SENTENCES, WEIGHTS, MeaningReader

from .phrases import Phrases, Sentence, Word

_STRENGTH = 30.0  # inverse of the regularisation
_SIMILARITIES = np.arange(0.0, 0.96, 0.02)
_PROBABILITIES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)


def fit_meanings(vectors: Vectors, sentences: Sequence[Sentence], words: Sequence[Word], known: int
                 ) -> dict[str, NDArray[np.float32]]:
    """Weights and offsets of the words, and the vectors of the first `known` sentences that state any."""
    weights = np.zeros((len(words), vectors.shape[1]), dtype=np.float32)
    offsets = np.zeros(len(words), dtype=np.float32)
    for number, word in enumerate(words):
        truth = np.array([word in each.words for each in sentences])
        fitted = LogisticRegression(C=_STRENGTH, max_iter=300).fit(vectors, truth)
        weights[number], offsets[number] = fitted.coef_[0], fitted.intercept_[0]
    return {WEIGHTS: weights, OFFSETS: offsets, SENTENCES: vectors[_first(sentences, known)]}


def _first(sentences: Sequence[Sentence], known: int) -> list[int]:
    return [row for row, each in enumerate(sentences) if each.words][:known]


def fit_reader(encoder: TextEncoder, phrases: Phrases, words: Sequence[Word], training: Sequence[Sentence],
               validation: Sequence[Sentence], where: str) -> tuple[MeaningReader, Mapping[str, NDArray[np.float32]]]:
    """A reader of what the encoder's vectors mean, and its arrays. The two thresholds are the best on validation
    sentences, in known and in other ways, see `_score`."""
    arrays = fit_meanings(encoder.encode([each.text for each in training]), training, words, phrases.known)
    known = [training[row].text for row in _first(training, phrases.known)]
    reader = MeaningReader.of(encoder, arrays, words, known, phrases.domain, 0.0, 0.5, phrases.several, where)
    stated = encoder.encode([each.text for each in validation])
    unrelated = encoder.encode(list(phrases.validation.unrelated))
    best = max(((_score(candidate, stated, validation, unrelated), similarity, probability)
                for similarity in _SIMILARITIES for probability in _PROBABILITIES
                for candidate in [replace(reader, least_similarity=float(similarity), least_probability=probability)]),
               key=lambda found: found[0])
    return replace(reader, least_similarity=round(float(best[1]), 2), least_probability=best[2]), arrays


def _score(reader: MeaningReader, stated: Vectors, sentences: Sequence[Sentence], unrelated: Vectors) -> float:
    """Of the stated words, the share that is read, less one for each word that is read and not stated; and the share of
    unrelated texts without an answer. A word that is read wrongly is worse than one that is not read."""
    answers = [reader.meaning_of(vector) for vector in stated]
    read = [frozenset(answer.words) if answer else frozenset() for answer in answers]
    right = sum(len(found & each.words) for found, each in zip(read, sentences, strict=True))
    wrong = sum(len(found - each.words) for found, each in zip(read, sentences, strict=True))
    silent = np.mean([reader.meaning_of(vector) is None for vector in unrelated])
    return float((right - wrong) / sum(len(each.words) for each in sentences) + silent)
