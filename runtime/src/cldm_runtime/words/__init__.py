"""Texts as vectors, and what they mean: for prompts beyond the grammar of a domain."""

from .encoder import TextEncoder
from .folder import WordsSpec, load_words, with_words
from .reader import MeaningReader

__all__ = ["MeaningReader", "TextEncoder", "WordsSpec", "load_words", "with_words"]
