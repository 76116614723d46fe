"""Metrics of arrays: overlap, agreement, uncertainty, similarity, realism, parity. Opens no file."""

from .overlap import score, summarise

__all__ = ["score", "summarise"]
