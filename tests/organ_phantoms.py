"""Phantoms of `domains/organs`, without a file that declares their domain."""

from dataclasses import replace

from cldm_runtime.domains.organs import KINDS
from cldm_runtime.domains.organs.phantom import Phantom


def phantom(name: str) -> Phantom:
    """A phantom of few slices whose labels are numbered in their order from 1."""
    kind = replace(KINDS[name], pitch_mm=34.0)
    return Phantom(kind, {label: number for number, label in enumerate(kind.labels, 1)})
