"""The LGE phantom cohort: short-axis stacks of patients after myocardial infarction, with known label maps.

Subsets follow the cLDM paper: M1/M12 (one and twelve months after infarction) for training, validation and test, and
D8 (eight days), which is for testing only and differs: larger infarcts, microvascular obstruction, other contrast.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ....noise import Purpose, Stream
from ...phantom_rules import DrawnVolume
from ..attributes import HEALTHY, INFARCT, LV_CAVITY, MVO
from ..ventricle import Field, Lesion, Roughness, ScarCourse, Ventricle, Waves, draw_territory, polar
from .signal import Protocol, Tissue, acquire, coil_sensitivity, smooth_field

SUBSETS: dict[str, int] = {"train": 172, "val": 10, "test": 21, "d8": 121}

_FIELD_OF_VIEW_MM = 176.0
_FINE_PIXELS = 288
_FIRST_PATIENT = {"train": 0, "val": 100_000, "test": 200_000, "d8": 300_000}
_STACKS_IN_3D = {"train": 0.86, "val": 0.42, "test": 0.24, "d8": 0.0}


@dataclass(frozen=True)
class Patient:
    """Everything that is constant over a patient's slices."""

    ventricle: Ventricle
    scars: tuple[ScarCourse, ...]
    border: Roughness
    obstruction: float  # lesion distance below which the core is not perfused; 0: none
    centre_mm: tuple[float, float]
    drift_mm: tuple[float, float]
    rotation_deg: float
    rv_reach_mm: float
    rv_span: tuple[float, float]
    fat: Waves
    fat_mm: float
    diaphragm: tuple[float, float]
    chest: tuple[float, float]
    aorta: tuple[float, float, float]
    papillary: tuple[tuple[float, float], tuple[float, float]]
    heterogeneity: float
    effusion_mm: float
    slices: int
    thickness_mm: float

    def level(self, index: int) -> float:
        """Where slice `index` lies: 0 apex, 1 base."""
        return (index + 0.5) / self.slices


def _draw_scars(stream: Stream, acute: bool) -> tuple[ScarCourse, ...]:
    kind, angle = stream.uniform(), draw_territory(stream)
    half_width = float(np.deg2rad(stream.uniform(28.0, 80.0))) * (1.15 if acute else 1.0)
    depth = stream.uniform(0.4, 1.5) * (1.2 if acute else 1.0)
    layer, power = 0.0, stream.uniform(2.0, 5.0)
    if kind > 0.93 and not acute:  # mid-wall, not ischaemic
        layer, depth, half_width = stream.uniform(0.4, 0.6), stream.uniform(0.18, 0.28), half_width * 0.8
    reach, twist = stream.uniform(0.3, 0.75), stream.uniform(-0.5, 0.5)
    scars = [ScarCourse(Lesion(angle, half_width, depth, layer, power), stream.uniform(0.1, 0.75), reach, twist)]
    if kind < 0.18:  # a second territory
        other = Lesion(angle + stream.uniform(1.2, 3.0), half_width * stream.uniform(0.3, 0.7),
                       depth * stream.uniform(0.5, 1.0), 0.0, power)
        scars.append(ScarCourse(other, stream.uniform(0.1, 0.8), reach * stream.uniform(0.5, 1.0), twist))
    return tuple(scars)


def draw_patient(stream: Stream, subset: str) -> Patient:
    """The patient behind a stack; `stream` has the purpose COHORT."""
    acute = subset == "d8"
    scars = _draw_scars(stream, acute)
    main = scars[0].lesion
    thinning = 0.0 if acute else stream.uniform(0.0, 0.38) * min(1.0, main.depth)
    ventricle = replace(Ventricle.draw(stream), thinning=thinning, scar_angle=main.angle,
                        scar_width=main.half_width * 0.7)
    patchy = stream.uniform() < 0.22
    border = Roughness.draw(stream, stream.uniform(0.45, 0.9) if patchy else stream.uniform(0.06, 0.25))
    obstructed = stream.uniform() < (0.45 if acute else 0.03) and main.depth > 0.7
    volumetric = stream.uniform() < _STACKS_IN_3D[subset]
    low, high = (17.5, 22.5) if volumetric else (6.5, 9.0) if acute else (8.5, 11.5)
    slices = round(stream.uniform(low, high))
    return Patient(
        ventricle, scars, border, stream.uniform(0.35, 0.6) if obstructed else 0.0,
        centre_mm=(stream.normal(0.0, 4.5), stream.normal(6.0, 4.5)),
        drift_mm=(stream.normal(0.0, 3.0), stream.normal(0.0, 3.0)),
        rotation_deg=stream.normal(0.0, 9.0),
        rv_reach_mm=stream.uniform(24.0, 38.0),
        rv_span=(float(np.deg2rad(stream.normal(112.0, 7.0))), float(np.deg2rad(stream.normal(242.0, 8.0)))),
        fat=Waves.draw(stream, range(2, 6), 0.8), fat_mm=stream.uniform(1.0, 6.0),
        diaphragm=(float(np.deg2rad(stream.normal(262.0, 12.0))), stream.uniform(2.0, 14.0)),
        chest=(float(np.deg2rad(stream.normal(122.0, 10.0))), stream.uniform(4.0, 14.0)),
        aorta=(float(np.deg2rad(stream.normal(308.0, 18.0))), stream.uniform(18.0, 36.0), stream.uniform(9.5, 13.0)),
        papillary=((float(np.deg2rad(stream.normal(38.0, 12.0))), stream.uniform(2.8, 5.6)),
                   (float(np.deg2rad(stream.normal(262.0, 12.0))), stream.uniform(2.8, 5.6))),
        heterogeneity=stream.uniform(0.04, 0.28), effusion_mm=max(0.0, stream.uniform(-8.0, 3.0)),
        slices=slices, thickness_mm=stream.uniform(4.5, 5.5) if volumetric else stream.uniform(8.0, 10.0),
    )


@dataclass(frozen=True)
class SliceGeometry:
    """Polar coordinates of a slice's pixels about the LV centre, and the wall's coordinates there."""

    z: float
    theta: Field
    rho: Field
    epicardium: Field
    radius: Field
    scar: Field  # lesion distance: infarct where it is below 1


def slice_geometry(patient: Patient, z: float, jitter_mm: tuple[float, float], pixels: int) -> SliceGeometry:
    """Coordinates on a square grid of `pixels` over the field of view."""
    spacing = _FIELD_OF_VIEW_MM / pixels
    shifts = zip(patient.centre_mm, patient.drift_mm, jitter_mm, strict=True)
    centre = tuple(c + d * (z - 0.5) + j for c, d, j in shifts)
    theta, rho = polar((pixels, pixels), (spacing, spacing), (centre[0], centre[1]), patient.rotation_deg)
    turn = np.linspace(-np.pi, np.pi, 720, endpoint=False)
    inner, wall = patient.ventricle.endocardium(turn, z), patient.ventricle.thickness_at(turn, z)
    endocardium = np.interp(theta, turn, inner, period=2 * np.pi)
    thickness = np.interp(theta, turn, wall, period=2 * np.pi)
    radius = (rho - endocardium) / thickness
    scar = np.full(theta.shape, np.inf)
    near = (radius >= 0) & (radius < 1)
    for lesion in filter(None, (scar_.at(z) for scar_ in patient.scars)):
        distance = lesion.distance(theta[near], radius[near])
        scar[near] = np.minimum(scar[near], distance * (1.0 + patient.border(theta[near], radius[near])))
    return SliceGeometry(z, theta, rho, endocardium + thickness, radius, scar)


def label_slice(geometry: SliceGeometry, obstruction: float) -> NDArray[np.uint8]:
    """Label map of a slice."""
    wall = (geometry.radius >= 0) & (geometry.radius < 1)
    labels = np.zeros(geometry.radius.shape, dtype=np.uint8)
    labels[geometry.radius < 0] = LV_CAVITY
    labels[wall] = HEALTHY
    labels[wall & (geometry.scar < 1)] = INFARCT
    # The obstructed core does not reach the endocardium, which is supplied by diffusion from the cavity.
    labels[wall & (geometry.scar < obstruction) & (geometry.radius > 0.12)] = MVO
    return labels


def _thorax(patient: Patient, geometry: SliceGeometry, texture: Field) -> NDArray[np.intp]:
    """Tissues outside the left ventricle."""
    z, theta, beyond = geometry.z, geometry.theta, geometry.rho - geometry.epicardium
    tissue = np.full(theta.shape, Tissue.LUNG, dtype=np.intp)
    x, y = geometry.rho * np.cos(theta), geometry.rho * np.sin(theta)
    outer = float(geometry.epicardium.mean())
    start, stop = patient.rv_span
    across = np.clip((theta % (2 * np.pi) - start) / (stop - start), 0.0, 1.0)
    reach = patient.rv_reach_mm * float(np.clip((z - 0.04) / 0.5, 0.0, 1.0)) ** 0.6
    rv_outer = reach * np.sin(np.pi * across) ** 0.75
    heart_edge = np.where(rv_outer > 1.0, rv_outer + 3.0, 0.0)
    (chest, chest_mm), (diaphragm, diaphragm_mm) = patient.chest, patient.diaphragm
    towards_chest = x * np.cos(chest) + y * np.sin(chest) - outer - 6.0 - chest_mm + 2.0 * texture
    below = x * np.cos(diaphragm) + y * np.sin(diaphragm) - outer - diaphragm_mm + 3.0 * texture
    tissue[below > 0] = np.where(x < 25 + 15 * texture, Tissue.LIVER, Tissue.MUSCLE)[below > 0]
    tissue[(below > -2.5) & (below <= 0)] = Tissue.MUSCLE
    tissue[(below > 18) & (x > 30)] = Tissue.AIR
    tissue[towards_chest > 0] = Tissue.MUSCLE
    tissue[(towards_chest > 9) | ((towards_chest > -3.5) & (towards_chest <= 0))] = Tissue.FAT
    angle, distance, size = patient.aorta
    from_aorta = np.hypot(x - (outer + distance) * np.cos(angle), y - (outer + distance) * np.sin(angle))
    tissue[from_aorta < size + 1.5], tissue[from_aorta < size] = Tissue.MUSCLE, Tissue.BLOOD
    turn = np.linspace(-np.pi, np.pi, 360, endpoint=False)
    fat = np.interp(theta, turn, patient.fat_mm * np.clip(0.35 + patient.fat(turn, z), 0.0, 3.0), period=2 * np.pi)
    edge = beyond - heart_edge
    tissue[edge < fat] = Tissue.FAT
    pooled = patient.effusion_mm * np.clip(0.3 - np.sin(theta), 0.0, 1.0)  # an effusion gathers below
    tissue[edge < pooled] = Tissue.FLUID
    tissue[edge < 0] = Tissue.MYOCARDIUM  # the right ventricle's own wall
    tissue[(beyond < rv_outer) & (beyond > 0) & (rv_outer > 1.0)] = Tissue.BLOOD
    return tissue


def _tissues(patient: Patient, geometry: SliceGeometry, texture: Field) -> NDArray[np.intp]:
    tissue = _thorax(patient, geometry, texture)
    labels = label_slice(geometry, patient.obstruction)
    lookup = np.array([0, Tissue.BLOOD, Tissue.MYOCARDIUM, Tissue.INFARCT, Tissue.MVO])
    tissue[labels > 0] = lookup[labels[labels > 0]]
    x, y = geometry.rho * np.cos(geometry.theta), geometry.rho * np.sin(geometry.theta)
    cavity = labels == LV_CAVITY
    if 0.2 < geometry.z < 0.8:
        radius = float(np.sqrt(cavity.mean() / np.pi)) * _FIELD_OF_VIEW_MM
        swell = float(np.sin(np.pi * (geometry.z - 0.2) / 0.6)) ** 0.5
        for angle, size in patient.papillary:
            away = np.hypot(x - 0.7 * radius * np.cos(angle), y - 0.7 * radius * np.sin(angle))
            tissue[cavity & (away < size * swell * (1 + 0.35 * texture))] = Tissue.MYOCARDIUM
    trabeculae = cavity & (geometry.radius > -0.16) & (texture > 1.1)
    tissue[trabeculae] = Tissue.MYOCARDIUM
    return tissue


def _magnetisation(patient: Patient, protocol: Protocol, geometry: SliceGeometry, stream: Stream) -> Field:
    shape = geometry.theta.shape
    pixel = _FIELD_OF_VIEW_MM / shape[0]
    coarse, fine = smooth_field(stream, shape, 9.0 / pixel), smooth_field(stream, shape, 1.8 / pixel)
    tissue = _tissues(patient, geometry, coarse)
    t1, density = protocol.t1[tissue], protocol.proton_density[tissue]
    scarred = tissue == Tissue.INFARCT
    # Islands of viable muscle inside the scar, more of them towards its border.
    viable = patient.heterogeneity * np.clip(0.6 + fine[scarred] + geometry.scar[scarred] ** 2 - 0.5, 0.0, 2.2)
    healthy = np.clip(viable, 0, 0.75)
    relaxation = (1 - healthy) / t1[scarred] + healthy / protocol.t1[Tissue.MYOCARDIUM]
    t1[scarred] = 1.0 / relaxation
    t1 *= 1.0 + 0.025 * fine + 0.02 * coarse
    vessels = (tissue == Tissue.LUNG) & (fine > 2.1)
    density[vessels], t1[vessels] = 0.6, protocol.t1[Tissue.BLOOD]
    marbled = np.isin(tissue, (Tissue.MUSCLE, Tissue.FAT, Tissue.LIVER))
    density[marbled] *= 1.0 + 0.12 * fine[marbled]
    return protocol.magnetisation(t1, density) * coil_sensitivity(shape, protocol)


def patient_number(patient: int, subset: str) -> int:
    """The number of a patient in his streams."""
    return _FIRST_PATIENT[subset] + patient


def draw_scan(stream: Stream, subset: str) -> tuple[Patient, Protocol, int]:
    """A patient, how he was imaged, and the rows of the reconstructed image; `stream` has the purpose COHORT."""
    who, protocol = draw_patient(stream, subset), Protocol.draw(stream, subset == "d8")
    spacing_mm = stream.uniform(1.17, min(1.4, protocol.acquired_mm - 0.05))
    return who, protocol, 2 * round(_FIELD_OF_VIEW_MM / spacing_mm / 2)


def draw_jitter(who: Patient, scan: Stream) -> tuple[float, float]:
    """How far a slice is misplaced, in mm."""
    misplaced = 1.0 if who.thickness_mm > 6 else 0.2  # breath-holds of a 2-D stack differ, a 3-D stack has one
    return scan.normal(0.0, misplaced), scan.normal(0.0, misplaced)


def image_slice(who: Patient, protocol: Protocol, size: int, index: int, jitter_mm: tuple[float, float],
                scan: Stream) -> NDArray[np.float32]:
    """The image (size, size) of slice `index`; noise and small structures come from `scan`."""
    z, half = who.level(index), 0.25 / who.slices
    # Partial volume along the long axis: two levels inside the slab.
    slab = [_magnetisation(who, protocol, slice_geometry(who, level, jitter_mm, _FINE_PIXELS), scan)
            for level in (z - half, z + half)]
    return acquire((slab[0] + slab[1]) / 2, _FIELD_OF_VIEW_MM, size, protocol, scan)


def phantom_volume(seed: int, patient: int, subset: str) -> DrawnVolume:
    """The stack of one patient: a pure function of its arguments.

    patient: 0 .. SUBSETS[subset] - 1, or more for a larger cohort.
    """
    number = patient_number(patient, subset)
    who, protocol, size = draw_scan(Stream(seed, number, Purpose.COHORT), subset)
    images, labels = [], []
    for index in range(who.slices):
        scan = Stream(seed, number, Purpose.ACQUISITION, step=index)
        jitter = draw_jitter(who, scan)
        images.append(image_slice(who, protocol, size, index, jitter, scan))
        labels.append(label_slice(slice_geometry(who, who.level(index), jitter, size), who.obstruction))
    spacing = _FIELD_OF_VIEW_MM / size
    return DrawnVolume(np.stack(images), np.stack(labels), (who.thickness_mm, spacing, spacing))
