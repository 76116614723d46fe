"""Texts as pieces of words: the input of the small text encoder, without any package."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

_SPELLING = str.maketrans({"’": "'", "‐": "-", "‑": "-", "–": "-", "—": "-", "\u00a0": " "})
_WORD = re.compile(r"[^\W_]+")
_LENGTHS = (3, 4)  # of the parts of a word, in characters, its ends marked


def pieces_of(text: str) -> list[str]:
    """Each word of a text in small letters, then its parts of three and four characters, "<" and ">" marking the ends
    of the word. A word that is misspelt or in another form shares most of its parts with the word."""
    words = _WORD.findall(text.translate(_SPELLING).lower())
    return [piece for word in words for piece in (f"<{word}>", *_parts(f"<{word}>"))]


def _parts(marked: str) -> list[str]:
    return [marked[start:start + length] for length in _LENGTHS if length < len(marked)
            for start in range(len(marked) - length + 1)]


def numbers_of(texts: Sequence[str], numbers: Mapping[str, int], longest: int) -> NDArray[np.int64]:
    """(N, longest) numbers of the pieces of each text, 0 where there are no more. A piece without a number is left out,
    and so are pieces beyond the longest text."""
    found = [[numbers[piece] for piece in pieces_of(text) if piece in numbers][:longest] for text in texts]
    table = np.zeros((len(texts), longest), dtype=np.int64)
    for row, each in zip(table, found, strict=True):
        row[:len(each)] = each
    return table
