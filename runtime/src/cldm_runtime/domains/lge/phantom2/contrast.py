"""From tissues to signed magnetisation after an inversion.

M = density (1 - 2 exp(-TI/T1) + exp(-TR/T1)), inversion-recovery gradient echo (Simonetti et al., Radiology
2001;218:215-223). The phase-sensitive reconstruction keeps the sign of M (Kellman et al., Magn Reson Med
2002;47:372-383).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....noise import Stream
from ..ventricle import Field
from .protocol import ScanProtocol
from .tissue import FIELD_OF_VIEW_MM, BodyTissue, SliceAnatomy

_GRAINS_MM = (2.0, 9.0)
_UNEVEN = np.zeros(len(BodyTissue))
_UNEVEN[[BodyTissue.MYOCARDIUM, BodyTissue.GREY_ZONE, BodyTissue.INFARCT, BodyTissue.MVO, BodyTissue.RV_WALL]] = 1.0
_UNEVEN[[BodyTissue.BLOOD, BodyTissue.RV_BLOOD, BodyTissue.ATRIUM_BLOOD, BodyTissue.VESSEL]] = 1 / 3
_SCARRED = (BodyTissue.INFARCT, BodyTissue.GREY_ZONE)


@dataclass(frozen=True)
class Unevenness:
    """Random fields (N, N) of a slice, of zero mean and unit variance: fine (2 mm) and coarse (9 mm)."""

    fine: Field
    coarse: Field

    @classmethod
    def draw(cls, stream: Stream, pixels: int) -> "Unevenness":
        spacing = FIELD_OF_VIEW_MM / pixels
        fine, coarse = (gaussian_field(stream, pixels, grain / spacing) for grain in _GRAINS_MM)
        return cls(fine, coarse)


def gaussian_field(stream: Stream, pixels: int, grain: float) -> Field:
    """(pixels, pixels) Gaussian random field of zero mean and unit variance whose correlation falls to 1/e at `grain`
    pixels."""
    white = np.fft.rfft2(stream.normals((pixels, pixels)).astype(np.float64))
    frequency = np.fft.fftfreq(pixels)[:, None] ** 2 + np.fft.rfftfreq(pixels)[None, :] ** 2
    # White noise smoothed by exp(-(x/s)^2 / 2) has the correlation exp(-(x/s)^2 / 4): s is grain / 2.
    field = np.fft.irfft2(white * np.exp(-2.0 * (np.pi * grain / 2) ** 2 * frequency), s=(pixels, pixels))
    return np.asarray((field - field.mean()) / field.std(), dtype=np.float64)


def recovered(t1: Field, protocol: ScanProtocol) -> Field:
    """Share of the equilibrium that the magnetisation has reached at TI, between -1 and 1."""
    share: Field = 1.0 - 2.0 * np.exp(-protocol.inversion_ms / t1) + np.exp(-protocol.repetition_ms / t1)
    return share


def magnetisation(anatomy: SliceAnatomy, protocol: ScanProtocol, uneven: Unevenness, z: float) -> Field:
    """(N, N) signed magnetisation of a level at slice position z, relative to the equilibrium of blood."""
    tissue = anatomy.tissue
    washout = 1.0 + protocol.drift * (z - 0.5)  # the agent leaves while the stack is acquired; fat holds none
    t1 = np.where(_ENHANCED, protocol.t1 * washout, protocol.t1)
    fine, coarse = protocol.unevenness
    relative = 1.0 + _UNEVEN[tissue] * (fine * uneven.fine + coarse * uneven.coarse)
    signal = protocol.density[tissue] * recovered(t1[tissue] * relative, protocol)
    signal *= np.clip(1.0 + protocol.grain[tissue] * (uneven.fine + uneven.coarse) / np.sqrt(2.0), 0.0, 2.0)
    scarred = np.isin(tissue, _SCARRED)
    wall = BodyTissue.MYOCARDIUM
    muscle = protocol.density[wall] * recovered(t1[wall] * relative[scarred], protocol)
    viable = anatomy.viable[scarred]
    signal[scarred] = viable * muscle + (1.0 - viable) * signal[scarred]
    return np.asarray(signal, dtype=np.float64)


def _enhanced() -> NDArray[np.bool_]:
    from .protocol import SIGNALS

    return np.array([SIGNALS[tissue].enhanced for tissue in BodyTissue])


_ENHANCED = _enhanced()
