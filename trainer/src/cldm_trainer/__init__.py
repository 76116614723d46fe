"""Trains codecs, diffusion models and segmenters, and exports them as bundles that need no torch."""
