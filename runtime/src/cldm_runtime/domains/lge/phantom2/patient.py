"""Everything that is constant over the slices of one patient.

Stacks have 7 to 12 slices, 8 to 13 mm apart (measured on two public LGE cases; Kramer et al., J Cardiovasc Magn Reson
2020;22:17). The centre lies within 4 mm of the middle of the image and moves by .3 to 1.2 mm from slice to slice; the
heart's rotation has a deviation of 18 degrees, half of it with the body, half within it.
"""

from dataclasses import dataclass, replace

import numpy as np

from ....noise import Stream
from .abdomen import Abdomen, Diaphragm
from .cavity import CavityContent
from .chamber import Chamber
from .plane import Placement
from .right_heart import Envelope, RightHeart
from .scars import Scars
from .texture import TissueTexture
from .thorax import Chest, Mediastinum

_PITCH_MM = (8.0, 9.0, 10.0, 11.0, 12.0, 13.0)
_PITCH_SHARE = np.array([0.2, 0.15, 0.35, 0.1, 0.1, 0.1])
_TURN_DEG = 18.0 / 2.0**0.5


@dataclass(frozen=True)
class PhantomPatient:
    """slices: of the stack, the first at the apex; pitch_mm: from the middle of one to the next."""

    place: Placement
    chamber: Chamber
    scars: Scars
    content: CavityContent
    right: RightHeart
    envelope: Envelope
    chest: Chest
    mediastinum: Mediastinum
    abdomen: Abdomen
    texture: TissueTexture
    slices: int
    pitch_mm: float


def draw_patient(stream: Stream, subset: str) -> PhantomPatient:
    """The patient behind a stack; `stream` has the purpose COHORT. Patients of the subset "d8" are imaged eight days
    after infarction."""
    acute = subset == "d8"
    scars = Scars.draw(stream, acute)
    chamber = Chamber.draw(stream, scars.draw_thinning(stream, acute))
    pitch = _PITCH_MM[stream.choice(_PITCH_SHARE)]
    slices = int(np.clip(round(stream.uniform(82.0, 104.0) / pitch), 7, 12))
    place = _draw_placement(stream, slices * pitch)
    return _surrounded(stream, place, chamber, scars, slices, pitch)


def redraw_surroundings(patient: PhantomPatient, stream: Stream, subset: str) -> PhantomPatient:
    """Another patient with the same true label maps: ventricle, scars' outlines, place and stack stay. All else is
    drawn anew: thorax, right heart, papillary muscles, and how scar and muscle mix."""
    other = Scars.draw(stream, subset == "d8")
    scars = replace(patient.scars, border=other.border, islands=other.islands)
    drawn = _surrounded(stream, patient.place, patient.chamber, scars, patient.slices, patient.pitch_mm)
    outflow = {name: getattr(patient.content, name) for name in ("outflow_from", "outflow_angle", "outflow_half_width")}
    return replace(drawn, content=replace(drawn.content, **outflow))  # no scar is labelled in the outflow tract


def _surrounded(stream: Stream, place: Placement, chamber: Chamber, scars: Scars, slices: int, pitch_mm: float
                ) -> PhantomPatient:
    """A ventricle with all that surrounds it."""
    content, right, envelope = CavityContent.draw(stream), RightHeart.draw(stream), Envelope.draw(stream)
    chest = Chest.draw(stream, place.length_mm / 2)
    mediastinum = Mediastinum.draw(stream, chest)
    abdomen = Abdomen.draw(stream, Diaphragm.draw(stream, place, chamber))
    return PhantomPatient(place, chamber, scars, content, right, envelope, chest, mediastinum, abdomen,
                          TissueTexture.draw(stream), slices, pitch_mm)


def _draw_placement(stream: Stream, length_mm: float) -> Placement:
    centre = (stream.uniform(-4.0, 4.0), stream.uniform(-4.0, 4.0))
    drift, towards = stream.uniform(2.5, 10.0), stream.uniform(0.0, 2 * np.pi)
    tilt, twist = (float(np.clip(stream.normal(), -2.5, 2.5) * np.deg2rad(_TURN_DEG)) for _ in range(2))
    return Placement(centre, (drift * float(np.sin(towards)), drift * float(np.cos(towards))), tilt, twist, length_mm)
