"""The format of exported models: manifest, checks, conditions, reference, signatures. Starts no network."""

from .bundle import Bundle

__all__ = ["Bundle"]
