"""The interface of text encoders."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import BundleError

Vectors = NDArray[np.float32]


class TextEncoder(Protocol):
    """Texts to vectors. Texts of like meaning have like vectors."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        """(N, D) vectors of length 1, one a text. That of a text does not depend on the other texts."""


def of_length_one(vectors: Vectors) -> Vectors:
    """The vectors (N, D), each divided by its length; one that is 0 stays 0. Raises BundleError for NaN."""
    if not np.isfinite(vectors).all():
        raise BundleError("the text encoder gave NaN or infinite numbers. Its folder cannot be used.")
    length = np.sqrt((vectors.astype(np.float64) ** 2).sum(axis=1, keepdims=True))
    return np.asarray(vectors / np.where(length > 0, length, 1.0), dtype=np.float32)
