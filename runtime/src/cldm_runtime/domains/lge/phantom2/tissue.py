"""What a point of the body is made of. How bright it is belongs to the contrast, not to the anatomy."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from ..ventricle import Field

FIELD_OF_VIEW_MM = 224.0  # the whole image; the heart lies near its centre, the network's crop is 128 mm


class BodyTissue(IntEnum):
    """The tissues that anatomy draws and contrast turns into signal."""

    LUNG = 0
    BLOOD = 1  # of the left ventricle and of the outflow tract
    MYOCARDIUM = 2  # wall, papillary muscles and trabeculae of the left ventricle
    INFARCT = 3  # dense scar
    MVO = 4  # core of an acute infarct that no contrast agent reaches
    GREY_ZONE = 5  # border of a scar: scar and viable muscle in the shares of `SliceAnatomy.viable`
    MUSCLE = 6  # chest wall, diaphragm, around the spine
    SUBCUTANEOUS_FAT = 7  # with the fat between the muscles
    EPICARDIAL_FAT = 8  # between heart and pericardium
    PERICARDIAL_FAT = 9  # outside the pericardium and in the mediastinum
    VISCERAL_FAT = 10  # below the diaphragm
    PERICARDIUM = 11  # a thin dark line
    LIVER = 12
    SPLEEN = 13
    STOMACH_WALL = 14  # with its folds
    STOMACH_CONTENT = 15  # fluid or food
    GAS = 16  # in the stomach
    AIR = 17  # outside the body
    FLUID = 18  # in the pericardium or the pleura
    BONE = 19  # marrow of ribs, sternum and vertebrae
    VESSEL = 20  # blood in vessels of lung and liver, in coronary arteries and in the aorta
    VESSEL_WALL = 21  # of the great vessels
    RV_BLOOD = 22
    RV_WALL = 23  # with trabeculae and moderator band
    ATRIUM_BLOOD = 24
    ATRIUM_WALL = 25


@dataclass(frozen=True)
class SliceAnatomy:
    """One level of a patient on a square grid of N x N pixels over the field of view.

    tissue: (N, N) uint8, values of `BodyTissue`. labels: (N, N) uint8, the true label map. scar: (N, N) distance of a
    wall pixel from the lesion's core, infarct where it is below 1, infinite outside the wall. viable: (N, N) share of
    viable muscle, 0 in dense scar, 1 wherever there is no scar. radius: (N, N) wall radius, 0 at the endocardium, 1 at
    the epicardium. spacing_mm: side of a pixel.
    """

    tissue: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    scar: Field
    viable: Field
    radius: Field
    spacing_mm: float
