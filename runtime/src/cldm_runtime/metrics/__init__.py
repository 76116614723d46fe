"""Figures from arrays: overlap, agreement, uncertainty, similarity, realism, parity. Opens no file."""
