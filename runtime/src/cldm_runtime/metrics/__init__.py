"""Metrics of arrays: overlap, agreement, uncertainty, similarity, realism, parity. Opens no file."""
