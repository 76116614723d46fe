"""Generates controlled LGE MR images from exported bundles and measures segmenters on them."""
