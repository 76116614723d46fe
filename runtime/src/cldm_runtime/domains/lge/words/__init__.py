"""Scars in words: one sentence on a label map, and requests read from such sentences and from freer ones."""

from .caption import caption
from .facts import ScarFacts, measure_facts, rounded
from .reading import RULES, facts_from, read_words

__all__ = ["RULES", "ScarFacts", "caption", "facts_from", "measure_facts", "read_words", "rounded"]
