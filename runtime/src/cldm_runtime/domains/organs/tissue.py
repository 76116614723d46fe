"""Tissues, with what computed tomography and magnetic resonance see of them; and planes painted with them.

| column | meaning | source |
|---|---|---|
| t1, t2 | ms at 1.5 T, without agent | see below; others chosen |
| density | of protons, relative to water | chosen |
| ct | Hounsfield units in the portal venous phase | chosen |
| agent | mM of gadolinium after injection | chosen |
| fine, coarse | deviation of the textures: CT in 100 HU, MR in 2 signals | chosen |

T1 and T2 of the abdomen's organs, of fat, muscle and marrow: de Bazelaire et al., Radiology 2004;230:652-659.
Of glands: Rakow-Penner et al., J Magn Reson Imaging 2006;23:87-91.
Of blood: Stanisz et al., Magn Reson Med 2005;54:507-512.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .shapes import Field


class Matter(IntEnum):
    AIR = 0
    SKIN = 1
    FAT = 2
    INNER_FAT = 3
    MUSCLE = 4
    LIVER = 5
    SPLEEN = 6
    CORTEX = 7
    MEDULLA = 8
    MARROW = 9
    COMPACT_BONE = 10
    DISC = 11
    FLUID = 12
    BLOOD = 13
    TUMOUR = 14
    NECROSIS = 15
    BOWEL_WALL = 16
    CONTENT = 17
    STOOL = 18
    GAS = 19
    PANCREAS = 20
    LUNG = 21
    GLAND = 22
    HEART = 23
    TABLE = 24


class Signal(NamedTuple):
    """See the table above."""

    t1: float
    t2: float
    density: float
    ct: float
    agent: float = 0.0
    fine: float = 0.02
    coarse: float = 0.02


SIGNALS: dict[Matter, Signal] = {
    Matter.AIR: Signal(1000, 1, 0.0, -1000, 0.0, 0.0, 0.0),
    Matter.SKIN: Signal(887, 30, 0.7, 20, 0.3),
    Matter.FAT: Signal(343, 58, 0.9, -105, 0.0, 0.03, 0.05),
    Matter.INNER_FAT: Signal(343, 58, 0.9, -98, 0.0, 0.06, 0.08),
    Matter.MUSCLE: Signal(856, 27, 0.85, 58, 0.2, 0.06, 0.06),
    Matter.LIVER: Signal(586, 46, 0.8, 112, 0.6, 0.03, 0.03),
    Matter.SPLEEN: Signal(1057, 79, 0.85, 122, 0.7, 0.02, 0.02),
    Matter.CORTEX: Signal(966, 87, 0.9, 190, 1.6, 0.03, 0.03),
    Matter.MEDULLA: Signal(1412, 85, 0.9, 150, 1.0, 0.03, 0.03),
    Matter.MARROW: Signal(549, 49, 0.75, 185, 0.2, 0.12, 0.12),
    Matter.COMPACT_BONE: Signal(400, 2, 0.15, 500, 0.0, 0.0, 0.0),
    Matter.DISC: Signal(1000, 70, 0.7, 85, 0.0, 0.03, 0.05),
    Matter.FLUID: Signal(2800, 800, 1.0, 12, 0.0, 0.0, 0.0),
    Matter.BLOOD: Signal(1441, 290, 0.9, 165, 1.5, 0.01, 0.02),
    Matter.TUMOUR: Signal(1050, 80, 0.85, 70, 0.4, 0.06, 0.08),
    Matter.NECROSIS: Signal(1900, 180, 0.9, 30, 0.05, 0.04, 0.04),
    Matter.BOWEL_WALL: Signal(800, 60, 0.85, 85, 0.8, 0.04, 0.03),
    Matter.CONTENT: Signal(1500, 160, 0.9, 25, 0.0, 0.08, 0.12),
    Matter.STOOL: Signal(900, 70, 0.6, 35, 0.0, 0.5, 0.4),
    Matter.GAS: Signal(1000, 1, 0.0, -950, 0.0, 0.0, 0.0),
    Matter.PANCREAS: Signal(584, 46, 0.85, 95, 0.6, 0.12, 0.06),
    Matter.LUNG: Signal(1200, 30, 0.15, -830, 0.4, 0.3, 0.2),
    Matter.GLAND: Signal(1266, 58, 0.85, 35, 0.25, 0.1, 0.12),
    Matter.HEART: Signal(1100, 60, 0.8, 140, 0.6, 0.03, 0.06),
    Matter.TABLE: Signal(1000, 1, 0.0, -150, 0.0, 0.0, 0.0),
}


class Paper:
    """A plane that is painted from back to front: signal shares and labels.

    kinds: the tissues in the order of painting; covers: of each, the share (H, W) of a pixel that it covers when it is
    painted. labels (H, W) uint8: each pixel's label is that of the tissue that last covered half of it.
    """

    def __init__(self, shape: tuple[int, ...], pixel_mm: float, values: dict[Matter, int]) -> None:
        """values: the label value of each tissue; a tissue that is missing is background."""
        self.pixel_mm, self._values = pixel_mm, values
        self.kinds, self.covers = list[Matter](), list[Field]()
        self.labels: NDArray[np.uint8] = np.zeros(shape, dtype=np.uint8)

    def paint(self, depth_mm: Field, tissue: Matter, label: Matter | None = None) -> None:
        """Cover what lies deeper than 0 with a tissue. label: another tissue whose label it gets."""
        cover = np.clip(depth_mm / self.pixel_mm + 0.5, 0.0, 1.0)
        if not cover.any():
            return
        self.kinds.append(tissue)
        self.covers.append(cover)
        self.labels[cover >= 0.5] = self._values.get(tissue if label is None else label, 0)

    def mix(self, levels: Field, fine: tuple[Field, Field], coarse: tuple[Field, Field]) -> Field:
        """(H, W) the signal. levels (tissue,) what each tissue gives. fine, coarse: a texture (H, W), and how much
        of it (tissue,) is added."""
        signal = np.full(self.labels.shape, levels[Matter.AIR], dtype=np.float32)
        levels, smaller, larger = (of.astype(np.float32) for of in (levels, fine[1], coarse[1]))
        for tissue, cover in zip(self.kinds, self.covers, strict=True):
            own = levels[tissue] + smaller[tissue] * fine[0] + larger[tissue] * coarse[0] - signal
            signal += cover * own
        return signal
