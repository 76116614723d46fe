"""Runs: work in parts that can be resumed, and shared by processes and machines. Knows no image."""
