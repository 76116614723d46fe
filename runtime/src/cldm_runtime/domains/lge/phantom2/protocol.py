"""How one patient was imaged: contrast agent, inversion time, matrix, noise, coils, artefacts.

Symbols: T1 longitudinal relaxation time (ms); TI inversion time (ms); TR time between inversions (ms).

[1] post-contrast T1 at 15 min: infarct 425 +- 68, remote wall 541 +- 88, blood 442 +- 121 ms (J Cardiovasc Magn Reson
2013;15:11). [2] Kellman, phase-sensitive inversion recovery, PMC2041905: the null rises by 15 to 25 ms along a stack.
[3] contrast to noise of infarct 31 to 38 (PMC3487089). [4] MYOSAIQ: images with visible artefacts. [5] measured on two
public cases of late enhancement. [6] cmr-guide.com: pixels below 2 mm, slices of 8 to 10 mm.
"""

from dataclasses import dataclass

import numpy as np

from ....noise import Stream
from ..ventricle import Field
from .tissue import BodyTissue


@dataclass(frozen=True)
class TissueSignal:
    """t1: relative to healthy myocardium if `enhanced`, else ms; spread: its SD between patients, relative. density:
    signal relative to blood, with its SD. grain: relative unevenness of the density within the tissue."""

    t1: float
    spread: float
    density: float
    density_spread: float = 0.0
    grain: float = 0.0
    enhanced: bool = True


# Blood, infarct and no-reflow have ratios of their own, see `_draw_t1`. Others are set so that their levels next to the
# wall, in steps from wall to blood, are those measured [5]: lung -.6, fat 2.5, gas -1.5, liver and spleen 1.2.
SIGNALS: dict[BodyTissue, TissueSignal] = {
    BodyTissue.LUNG: TissueSignal(1.0, 0.08, 0.48, 0.09, 0.7),
    BodyTissue.BLOOD: TissueSignal(0.82, 0.0, 1.0),
    BodyTissue.MYOCARDIUM: TissueSignal(1.0, 0.0, 0.92),
    BodyTissue.INFARCT: TissueSignal(0.78, 0.0, 0.98),
    BodyTissue.MVO: TissueSignal(0.93, 0.0, 0.92),
    BodyTissue.GREY_ZONE: TissueSignal(0.78, 0.0, 0.98),
    BodyTissue.MUSCLE: TissueSignal(1.05, 0.08, 0.85, 0.05, 0.1),
    BodyTissue.SUBCUTANEOUS_FAT: TissueSignal(260.0, 0.05, 0.66, 0.08, 0.08, enhanced=False),
    BodyTissue.EPICARDIAL_FAT: TissueSignal(260.0, 0.05, 0.66, 0.08, 0.1, enhanced=False),
    BodyTissue.PERICARDIAL_FAT: TissueSignal(260.0, 0.05, 0.66, 0.08, 0.12, enhanced=False),
    BodyTissue.VISCERAL_FAT: TissueSignal(260.0, 0.05, 0.66, 0.08, 0.12, enhanced=False),
    BodyTissue.PERICARDIUM: TissueSignal(1.2, 0.1, 0.35, 0.1),
    BodyTissue.LIVER: TissueSignal(0.74, 0.06, 0.85, 0.08, 0.06),
    BodyTissue.SPLEEN: TissueSignal(0.76, 0.06, 0.9, 0.08, 0.05),
    BodyTissue.STOMACH_WALL: TissueSignal(0.85, 0.08, 0.8, 0.1, 0.1),
    BodyTissue.STOMACH_CONTENT: TissueSignal(900.0, 0.3, 0.5, 0.2, 0.2, enhanced=False),
    BodyTissue.GAS: TissueSignal(1000.0, 0.0, 0.01, enhanced=False),
    BodyTissue.AIR: TissueSignal(1000.0, 0.0, 0.0, enhanced=False),
    BodyTissue.FLUID: TissueSignal(750.0, 0.15, 0.9, 0.05, enhanced=False),
    BodyTissue.BONE: TissueSignal(320.0, 0.1, 0.45, 0.08, 0.15, enhanced=False),
    BodyTissue.VESSEL: TissueSignal(0.82, 0.0, 1.0, 0.1),
    BodyTissue.VESSEL_WALL: TissueSignal(1.0, 0.1, 0.6, 0.1),
    BodyTissue.RV_BLOOD: TissueSignal(0.82, 0.0, 1.0, 0.03),
    BodyTissue.RV_WALL: TissueSignal(1.0, 0.03, 0.9, 0.03),
    BodyTissue.ATRIUM_BLOOD: TissueSignal(0.82, 0.0, 1.0, 0.05),
    BodyTissue.ATRIUM_WALL: TissueSignal(1.0, 0.05, 0.8, 0.05),
}
_LIKE_BLOOD = (BodyTissue.VESSEL, BodyTissue.RV_BLOOD, BodyTissue.ATRIUM_BLOOD)
_GREATEST_SCATTER = 2.0  # SD at which draws are cut off


@dataclass(frozen=True)
class CoilArray:
    """Surface coils. towards: angle (rad) of the chest wall in the image; shading: relative change of the signal per
    100 mm that the scanner's normalisation leaves; noise_rise: of the noise per 100 mm away from the coils."""

    towards: float
    shading: float
    noise_rise: float


@dataclass(frozen=True)
class Artefacts:
    """ghost: amplitude of the ghosts, 0 for none; ghost_mm: their distance. motion_mm: SD of the displacement between
    segments of k-space. along_rows: direction of phase encoding. rim_mm: width of the rim of zeros on both sides."""

    ghost: float
    ghost_mm: float
    motion_mm: float
    along_rows: bool
    rim_mm: float


@dataclass(frozen=True)
class ScanProtocol:
    """t1, density, grain: (tissues,) indexed by `BodyTissue`; t1 in ms in the middle of the stack. inversion_ms: TI.
    drift: relative rise of T1 from the first to the last slice, from apex to base negative. unevenness: SD of the
    relative T1 of muscle at grains of 2 and 9 mm. noise: SD in an acquired pixel, relative to the equilibrium of blood.
    """

    t1: Field
    density: Field
    grain: Field
    inversion_ms: float
    repetition_ms: float
    drift: float
    phase_sensitive: bool
    unevenness: tuple[float, float]
    noise: float
    acquired_mm: float
    reconstructed_mm: float
    blur_mm: float
    filter_strength: float
    coils: CoilArray
    artefacts: Artefacts
    scale: float
    offset: float

    @classmethod
    def draw(cls, stream: Stream, acute: bool) -> "ScanProtocol":
        t1, density, grain = _draw_tissues(stream, acute)
        phase_sensitive = stream.uniform() < 0.75  # [5]
        repetition = stream.uniform(1400.0, 2200.0)
        # The operator rather waits too long than too short: measured wall / blood .37 to .81 [5], [2]. A magnitude
        # image shows a wall before its null as bright, which the operator notices.
        error = float(np.clip(stream.normal(0.17, 0.09), -0.05 if phase_sensitive else 0.03, 0.45))
        acquired = stream.uniform(1.25, 2.2)  # [5], [6]
        return cls(
            t1, density, grain, null_ms(float(t1[BodyTissue.MYOCARDIUM]), repetition) * (1.0 + error), repetition,
            drift=-stream.uniform(0.035, 0.065),  # 15 to 25 ms of a null at 350 to 400 ms [2]
            phase_sensitive=phase_sensitive,
            unevenness=(stream.uniform(0.028, 0.048), stream.uniform(0.02, 0.05)),  # SD / step .23 to .40 [5]
            noise=0.0036 * 4.0 ** stream.uniform(),  # contrast to noise 10 to 35 [3], .1 of the step [5]
            acquired_mm=acquired, reconstructed_mm=min(stream.uniform(1.2, 1.8), acquired),  # [5], [6]
            blur_mm=stream.uniform(0.4, 1.1),  # motion during the 150 to 200 ms of a segment; edges of 2 to 5 mm [5]
            filter_strength=stream.uniform(0.0, 1.0),
            coils=CoilArray(float(np.deg2rad(stream.normal(120.0, 25.0))), stream.uniform(0.1, 0.35),
                            stream.uniform(0.0, 0.4)),
            artefacts=_draw_artefacts(stream), scale=float(np.exp(stream.normal(6.0, 0.5))),
            offset=stream.uniform(0.0, 1.0),
        )


def null_ms(t1: float, repetition_ms: float) -> float:
    """Inversion time at which a tissue of that T1 gives no signal."""
    return float(t1 * np.log(2.0 / (1.0 + np.exp(-repetition_ms / t1))))


def _draw_tissues(stream: Stream, acute: bool) -> tuple[Field, Field, Field]:
    scatter = np.clip(stream.normals((2, len(BodyTissue))).astype(np.float64), -_GREATEST_SCATTER, _GREATEST_SCATTER)
    rows = [SIGNALS[tissue] for tissue in BodyTissue]
    wall = float(np.clip(stream.normal(530.0, 45.0), 430.0, 640.0))  # [1]
    t1 = np.array([row.t1 * (wall if row.enhanced else 1.0) for row in rows])
    t1 *= 1.0 + scatter[0] * np.array([row.spread for row in rows])
    density = np.array([row.density for row in rows]) + scatter[1] * np.array([row.density_spread for row in rows])
    t1[BodyTissue.BLOOD] = wall * stream.uniform(0.75, 0.89)  # [1]: .82
    t1[list(_LIKE_BLOOD)] = t1[BodyTissue.BLOOD]
    infarct = float(np.clip(stream.normal(0.951, 0.035), 0.84, 1.03))  # [1]: .94 to .96
    t1[[BodyTissue.INFARCT, BodyTissue.GREY_ZONE]] = t1[BodyTissue.BLOOD] * infarct
    t1[BodyTissue.MVO] = wall * stream.uniform(0.86, 1.05)  # .4 of the step above the wall [5]
    return t1, np.maximum(density, 0.0), np.array([row.grain for row in rows])


def _draw_artefacts(stream: Stream) -> Artefacts:
    ghosting, moving, cut = stream.uniform() < 0.08, stream.uniform() < 0.08, stream.uniform() < 0.04  # [4]: about 15 %
    return Artefacts(
        ghost=stream.uniform(0.04, 0.12) if ghosting else 0.0, ghost_mm=stream.uniform(25.0, 90.0),
        motion_mm=stream.uniform(0.8, 2.0) if moving else 0.0, along_rows=stream.uniform() < 0.5,
        rim_mm=stream.uniform(38.0, 54.0) if cut else 0.0)  # less than half of the image
