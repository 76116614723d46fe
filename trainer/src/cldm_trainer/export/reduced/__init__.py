"""Bundles in lower precision."""
