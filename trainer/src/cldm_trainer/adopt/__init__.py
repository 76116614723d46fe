"""Weights from elsewhere, one file for each source."""
