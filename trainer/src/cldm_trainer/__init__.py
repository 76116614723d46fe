"""Trains codecs, diffusion models and segmenters, and exports them as bundles that need no torch."""

from importlib.metadata import version

__version__ = version("cldm-trainer")
