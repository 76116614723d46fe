"""One level of a patient: tissues and true labels."""

import numpy as np

from ..attributes import LV_CAVITY, MVO
from ..ventricle import Field
from .patient import PhantomPatient
from .plane import Plane
from .right_heart import Tissues
from .scars import scar_distance, true_labels, viable_share, wall_radius
from .tissue import BodyTissue, SliceAnatomy

_SCAR, _REMOTE = 0.15, 0.85  # shares of viable muscle between which a pixel belongs to the grey zone


def anatomy_slice(patient: PhantomPatient, z: float, jitter_mm: tuple[float, float], pixels: int) -> SliceAnatomy:
    """The level z (0 apex, 1 base), moved by `jitter_mm` (down, right), on `pixels` x `pixels` of the field of view."""
    plane = Plane.at(patient.place, z, jitter_mm, pixels)
    textures = patient.texture.at(patient.place.towards_apex_mm(z), pixels)
    radius = wall_radius(patient.chamber, plane)
    distance = scar_distance(patient.scars, plane, radius)
    outflow = patient.content.outflow(plane, radius)
    distance[outflow] = np.inf  # there is no muscle that could be scarred
    labels = true_labels(patient.scars, radius, distance)
    viable = viable_share(patient.scars, distance, textures[2])
    tissue = _surroundings(patient, plane, textures)
    cavity = labels == LV_CAVITY
    tissue[labels > 0] = BodyTissue.MYOCARDIUM
    tissue[viable < _REMOTE] = BodyTissue.GREY_ZONE
    tissue[viable < _SCAR] = BodyTissue.INFARCT
    tissue[labels == MVO] = BodyTissue.MVO
    tissue[cavity & ~patient.content.muscle(plane, patient.chamber, cavity, textures[1])] = BodyTissue.BLOOD
    tissue[outflow] = BodyTissue.BLOOD
    return SliceAnatomy(tissue, labels, distance, viable, radius, plane.spacing_mm)


def _surroundings(patient: PhantomPatient, plane: Plane, textures: tuple[Field, Field, Field]) -> Tissues:
    """Tissues of everything but the left ventricle, painted from the back to the front."""
    coarse, medium, fine = textures
    outer = patient.chamber.endocardium(plane.z) + patient.chamber.wall(plane.z)
    outer_mm = float(outer.mean())
    left = plane.rho - plane.around(outer)
    right = patient.right.distance(plane, outer_mm) + 0.8 * coarse
    tissue = np.empty(plane.rho.shape, dtype=np.uint8)
    patient.mediastinum.paint_lung(tissue, coarse, medium, fine)
    beyond, below = patient.chest.beyond(plane, coarse), patient.abdomen.diaphragm.below(plane, coarse)
    atria = patient.right.paint_atria(tissue, plane, outer_mm)
    sac = patient.envelope.sac(plane, left, right, atria)
    # Lung does not squeeze into the narrow gaps between heart and chest wall or diaphragm: fat fills them.
    tissue[(sac - beyond < patient.chest.filled_mm) | (sac - below < 0.5 * patient.chest.filled_mm)] = \
        BodyTissue.PERICARDIAL_FAT
    patient.mediastinum.paint(tissue, plane)
    patient.abdomen.paint(tissue, plane, below, coarse, medium)
    patient.chest.paint(tissue, plane, beyond, medium)
    patient.envelope.paint(tissue, plane, sac)
    patient.right.paint_atria(tissue, plane, outer_mm)
    patient.right.paint(tissue, plane, right, medium)
    patient.envelope.paint_vessels(tissue, plane, outer_mm)
    return tissue
