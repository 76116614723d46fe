"""From a dataset and label maps to figures."""
