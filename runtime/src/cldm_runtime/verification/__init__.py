"""Compares what this machine computes with the bundle's reference."""
