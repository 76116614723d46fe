"""Phantoms of `domains/brain` on few voxels, without a file that declares their domain."""

from cldm_runtime.domains.brain import BRAIN_KINDS, LABELS
from cldm_runtime.domains.brain.phantom import BrainPhantom

VALUES = {name: number for number, name in enumerate(LABELS, 1)}
SHAPE = (28, 32, 28)


def brain_phantom(name: str = "brain") -> BrainPhantom:
    return BrainPhantom(BRAIN_KINDS[name], VALUES, SHAPE)
