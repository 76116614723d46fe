"""Tissues of a head without its skull, and what magnetic resonance sees of them.

| column | meaning | source |
|---|---|---|
| t1, t2 | ms at 3 T, without agent | see below; others chosen |
| density | of protons, relative to water | chosen |
| agent | mM of gadolinium after injection | chosen |
| texture | deviation of the signal within the tissue, as a share | chosen |

T1 and T2 of white and grey matter: Wansapura et al., J Magn Reson Imaging 1999;9:531-538.
"""

from enum import IntEnum
from typing import NamedTuple


class BrainTissue(IntEnum):
    OUTSIDE = 0
    LIQUOR = 1
    GREY = 2
    WHITE = 3
    DEEP_GREY = 4
    PALLIDUM = 5
    STEM = 6
    CHOROID = 7
    VESSEL = 8
    DURA = 9
    GLIOSIS = 10
    EDEMA = 11
    NECROSIS = 12
    SOLID = 13  # tumour that takes up no agent
    ENHANCING = 14
    HAEMORRHAGE = 15


class BrainSignal(NamedTuple):
    """See the table above."""

    t1: float
    t2: float
    density: float
    agent: float
    texture: float


BRAIN_SIGNALS: dict[BrainTissue, BrainSignal] = {
    BrainTissue.OUTSIDE: BrainSignal(1000, 1, 0.0, 0.0, 0.0),
    BrainTissue.LIQUOR: BrainSignal(4200, 1600, 1.0, 0.0, 0.01),
    BrainTissue.GREY: BrainSignal(1331, 110, 0.82, 0.02, 0.04),
    BrainTissue.WHITE: BrainSignal(832, 80, 0.71, 0.01, 0.025),
    BrainTissue.DEEP_GREY: BrainSignal(1130, 88, 0.80, 0.02, 0.03),
    BrainTissue.PALLIDUM: BrainSignal(900, 58, 0.76, 0.02, 0.03),
    BrainTissue.STEM: BrainSignal(950, 86, 0.74, 0.01, 0.03),
    BrainTissue.CHOROID: BrainSignal(1500, 160, 0.88, 0.9, 0.15),
    BrainTissue.VESSEL: BrainSignal(1600, 30, 0.7, 1.6, 0.1),
    BrainTissue.DURA: BrainSignal(1100, 55, 0.65, 0.6, 0.15),
    BrainTissue.GLIOSIS: BrainSignal(1250, 135, 0.82, 0.0, 0.05),
    BrainTissue.EDEMA: BrainSignal(1450, 150, 0.88, 0.0, 0.05),
    BrainTissue.NECROSIS: BrainSignal(2300, 300, 0.95, 0.05, 0.14),
    BrainTissue.SOLID: BrainSignal(1600, 165, 0.88, 0.02, 0.08),
    BrainTissue.ENHANCING: BrainSignal(1450, 120, 0.85, 0.75, 0.16),
    BrainTissue.HAEMORRHAGE: BrainSignal(600, 60, 0.8, 0.02, 0.1),
}
