"""From tissues to an LGE image: inversion recovery, k-space truncation, coil and noise.

Symbols: T1 longitudinal relaxation time (ms); TI inversion time (ms); TR time between inversions (ms); M signed
longitudinal magnetisation at TI, relative to equilibrium.

Equation: M = PD (1 - 2 exp(-TI/T1) + exp(-TR/T1)), inversion-recovery gradient echo (Simonetti et al., "An improved MR
imaging technique for the visualization of myocardial infarction", Radiology 2001;218:215-223); the phase-sensitive
reconstruction keeps the sign of M (Kellman et al., Magn Reson Med 2002;47:372-383).

T1 about 10 to 20 minutes after gadolinium at 1.5 T. No single source has them all; the values lie in the ranges that
these report: blood and normal myocardium (Messroghli et al., J Cardiovasc Magn Reson 2010;12:32; Kellman and Hansen,
J Cardiovasc Magn Reson 2014;16:2), infarct, which is only a little shorter than blood, and microvascular
obstruction, which stays long because no contrast agent arrives (Flacke et al., Radiology 2001;218:703-710; Kellman and
Arai, J Magn Reson Imaging 2012;36:529-542), fat (de Bazelaire et al., Radiology 2004;230:652-659; it takes up no
contrast agent). Lung, liver and muscle are set by eye to look as they do next to a nulled myocardium. Noise in a
magnitude image is Rician (Gudbjartsson and Patz, Magn Reson Med 1995;34:910-914).
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from ....noise import Stream
from ..ventricle import Field


class Tissue(IntEnum):
    LUNG = 0
    BLOOD = 1
    MYOCARDIUM = 2
    INFARCT = 3
    MVO = 4
    FAT = 5
    LIVER = 6
    MUSCLE = 7
    AIR = 8
    FLUID = 9


# mean T1 (ms), its deviation between patients (ms), proton density relative to blood
TISSUES: dict[Tissue, tuple[float, float, float]] = {
    Tissue.LUNG: (600.0, 60.0, 0.14),
    Tissue.BLOOD: (335.0, 22.0, 1.00),
    Tissue.MYOCARDIUM: (440.0, 30.0, 0.82),
    Tissue.INFARCT: (262.0, 18.0, 0.92),
    Tissue.MVO: (500.0, 40.0, 0.85),
    Tissue.FAT: (245.0, 12.0, 0.85),
    Tissue.LIVER: (360.0, 35.0, 0.70),
    Tissue.MUSCLE: (480.0, 35.0, 0.75),
    Tissue.AIR: (1000.0, 0.0, 0.02),
    Tissue.FLUID: (800.0, 100.0, 0.95),
}


@dataclass(frozen=True)
class Protocol:
    """How one patient was imaged. `inversion_error` is the relative deviation of TI from the myocardium's null."""

    t1: Field
    proton_density: Field
    inversion_error: float
    repetition_ms: float
    phase_sensitive: bool
    snr: float
    acquired_mm: float
    coil_strength: float
    coil_angle: float

    @classmethod
    def draw(cls, stream: Stream, acute: bool) -> "Protocol":
        scatter = stream.normals((len(TISSUES),)).astype(np.float64)
        values = np.array([TISSUES[tissue] for tissue in Tissue])
        t1 = values[:, 0] + np.clip(scatter, -2, 2) * values[:, 1]
        if acute:  # early after infarction contrast agent is often given and imaged at other times and doses
            t1[Tissue.BLOOD] -= 12.0
            t1[Tissue.INFARCT] += 8.0
        t1[Tissue.INFARCT] = min(t1[Tissue.INFARCT], t1[Tissue.BLOOD] - 12.0)
        return cls(
            t1, values[:, 2],
            inversion_error=float(np.clip(stream.normal(0.02, 0.05 if not acute else 0.07), -0.14, 0.18)),
            repetition_ms=stream.uniform(1500.0, 2200.0),
            phase_sensitive=stream.uniform() < (0.75 if not acute else 0.4),
            snr=stream.uniform(13.0, 28.0) if not acute else stream.uniform(11.0, 22.0),
            acquired_mm=stream.uniform(1.35, 1.65) if not acute else stream.uniform(1.5, 1.85),
            coil_strength=stream.uniform(0.1, 0.4),
            coil_angle=float(np.deg2rad(stream.normal(125.0, 25.0))),
        )

    @property
    def inversion_ms(self) -> float:
        """TI: the null of the healthy myocardium, missed by `inversion_error`."""
        t1 = self.t1[Tissue.MYOCARDIUM]
        null = t1 * np.log(2.0 / (1.0 + np.exp(-self.repetition_ms / t1)))
        return float(null * (1.0 + self.inversion_error))

    def magnetisation(self, t1: Field, proton_density: Field) -> Field:
        """M of every pixel."""
        return proton_density * (1.0 - 2.0 * np.exp(-self.inversion_ms / t1) + np.exp(-self.repetition_ms / t1))


def smooth_field(stream: Stream, shape: tuple[int, int], grain: float) -> Field:
    """A Gaussian random field of zero mean and unit variance; `grain` is its correlation length in pixels."""
    white = np.fft.rfft2(stream.normals(shape).astype(np.float64))
    fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None, :]
    field = np.fft.irfft2(white * np.exp(-2.0 * (np.pi * grain) ** 2 * (fy**2 + fx**2)), s=shape)
    return np.asarray((field - field.mean()) / field.std(), dtype=np.float64)


def coil_sensitivity(shape: tuple[int, int], protocol: Protocol) -> Field:
    """Surface coils on the chest: brighter towards `coil_angle`, falling off smoothly."""
    y, x = np.linspace(1, -1, shape[0])[:, None], np.linspace(-1, 1, shape[1])[None, :]
    towards = x * np.cos(protocol.coil_angle) + y * np.sin(protocol.coil_angle)
    return np.asarray(np.exp(protocol.coil_strength * (towards + 0.3 * towards**2)), dtype=np.float64)


def acquire(magnetisation: Field, field_of_view_mm: float, size: int, protocol: Protocol,
            stream: Stream) -> NDArray[np.float32]:
    """Image of (size, size) pixels from the finely sampled magnetisation (square, even number of pixels).

    The scanner samples the centre of k-space only, out to the acquired resolution, with complex white noise. A
    raised-cosine edge damps the ringing, and zeros fill k-space up to the reconstructed matrix.
    """
    fine = magnetisation.shape[0]
    acquired = 2 * round(field_of_view_mm / protocol.acquired_mm / 2)
    spectrum = np.fft.fftshift(np.fft.fft2(magnetisation, norm="forward"))
    low = (fine - acquired) // 2
    spectrum = spectrum[low : low + acquired, low : low + acquired]
    scar = protocol.magnetisation(protocol.t1[Tissue.INFARCT : Tissue.INFARCT + 1], protocol.proton_density[3:4])[0]
    # A pixel's deviation of scar / snr, spread evenly over the acquired k-space.
    deviation = abs(scar) / protocol.snr / acquired
    noise = stream.normals((2, acquired, acquired)).astype(np.float64) * deviation
    spectrum = (spectrum + noise[0] + 1j * noise[1]) * _apodisation(acquired)
    full = np.zeros((size, size), dtype=np.complex128)
    start = (size - acquired) // 2
    full[start : start + acquired, start : start + acquired] = spectrum
    image = np.fft.ifft2(np.fft.ifftshift(full), norm="forward")
    return (image.real if protocol.phase_sensitive else np.abs(image)).astype(np.float32)


def _apodisation(size: int) -> Field:
    frequency = np.abs(np.linspace(-1, 1, size, endpoint=False))
    edge = 0.5 * (1 + np.cos(np.pi * np.clip((frequency - 0.55) / 0.45, 0, 1)))
    edge = 0.15 + 0.85 * edge
    return np.asarray(edge[:, None] * edge[None, :], dtype=np.float64)
