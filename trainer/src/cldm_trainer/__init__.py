"""Trains codecs, diffusion models and segmenters, and exports them as bundles that need no torch."""

__version__ = "0.1.0"
