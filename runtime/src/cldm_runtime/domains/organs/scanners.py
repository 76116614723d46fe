"""How scanners image a painted plane: CT in the window of soft tissue, and MR by the equations of two sequences.

Each patient has a protocol of its own. Its ranges are chosen, unless a source stands beside them.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...noise import Stream
from ..phantom_parts import spin_echo, t1_with_agent
from .shapes import Field, Points, Swell
from .tissue import SIGNALS, Matter, Paper

CT_WINDOW_HU = (-200.0, 300.0)  # values beyond are cut off, as a viewer of soft tissue does
_COUNT = len(Matter)
_GRAINS_MM = (3.0, 11.0)
_TABLE = np.array([SIGNALS[tissue] for tissue in Matter])
_T1, _T2, _DENSITY, _CT, _AGENT, _FINE, _COARSE = _TABLE.T


class Modality(Protocol):
    """A patient's protocol."""

    def image(self, canvas: Paper, stream: Stream) -> NDArray[np.float32]:
        """The image (H, W) of a painted plane; texture and noise come from the stream."""


@dataclass(frozen=True)
class CtScanner:
    """levels: (tissue,) HU. noise_hu: standard deviation in the middle. blur_mm: sigma of the point spread. kernel_mm:
    the finest grain of the noise."""

    levels: Field
    noise_hu: float
    blur_mm: float
    kernel_mm: float

    @classmethod
    def draw(cls, stream: Stream) -> "CtScanner":
        levels = _CT.copy()
        agent = stream.uniform(0.55, 1.2)  # how much of it has arrived
        plain = {Matter.LIVER: 58.0, Matter.SPLEEN: 50.0, Matter.CORTEX: 35.0, Matter.MEDULLA: 32.0, Matter.BLOOD: 42.0,
                 Matter.PANCREAS: 42.0, Matter.TUMOUR: 40.0, Matter.BOWEL_WALL: 42.0}
        for tissue, before in plain.items():
            levels[tissue] = before + agent * (levels[tissue] - before) + stream.normal(0.0, 5.0)
        levels[Matter.MEDULLA] += stream.uniform(0.0, 1.0) * (levels[Matter.CORTEX] - levels[Matter.MEDULLA])
        levels[Matter.TUMOUR] += stream.normal(0.0, 12.0)
        levels[Matter.LIVER] -= max(0.0, stream.normal(-5.0, 20.0))  # fat in the liver
        if stream.uniform() < 0.3:  # contrast agent was drunk
            levels[[Matter.CONTENT, Matter.FLUID]] += np.array([stream.uniform(60.0, 180.0), 0.0])
        levels[Matter.MARROW] += stream.normal(0.0, 35.0)
        return cls(levels, stream.uniform(8.0, 20.0), stream.uniform(0.9, 1.5), stream.uniform(2.2, 3.4))

    def image(self, canvas: Paper, stream: Stream) -> NDArray[np.float32]:
        fine, coarse = _textures(canvas, stream)
        signal = canvas.mix(self.levels, (fine, 100.0 * _FINE), (coarse, 100.0 * _COARSE))
        signal = ndimage.gaussian_filter(signal, self.blur_mm / canvas.pixel_mm)
        noise = _ramp_noise(stream, canvas.labels.shape[0], self.kernel_mm / canvas.pixel_mm)
        inside = ndimage.uniform_filter((canvas.labels > 0).astype(np.float32), canvas.labels.shape[0] // 4)
        noisy = signal + self.noise_hu * (0.55 + 0.6 * inside) * noise
        return np.asarray(np.clip(noisy, *CT_WINDOW_HU), dtype=np.float32)


@dataclass(frozen=True)
class MrScanner:
    """levels: (tissue,) signal, that of the brightest tissue about 1. noise: standard deviation of each part of the
    complex signal. shading: of the coils, the logarithm's deviation."""

    levels: Field
    noise: float
    blur_mm: float
    shading: float
    coils: Swell
    ghost: float
    ghost_mm: float

    @classmethod
    def draw(cls, stream: Stream, weights: dict[str, float]) -> "MrScanner":
        """weights: how often each of "t1", "t1-agent" and "t2" is chosen."""
        kind = list(weights)[stream.choice(np.array(list(weights.values())))]
        t1, t2 = (times * np.exp(0.06 * stream.normals((_COUNT,)).astype(np.float64)) for times in (_T1, _T2))
        t1[Matter.TUMOUR] *= np.exp(stream.normal(0.0, 0.2))
        t2[Matter.TUMOUR] *= np.exp(stream.normal(0.0, 0.25))
        fat = stream.uniform(0.06, 0.2) if stream.uniform() < (0.7 if kind == "t1-agent" else 0.4) else 1.0
        levels = _spin_echo(stream, t1, t2) if kind == "t2" else _gradient_echo(stream, t1, t2, kind == "t1-agent")
        levels[[Matter.FAT, Matter.INNER_FAT]] *= fat
        levels[Matter.MARROW] *= 0.5 + 0.5 * fat  # about half of it is fat
        levels /= np.quantile(levels, 0.9)
        return cls(levels, stream.uniform(0.015, 0.045), stream.uniform(1.0, 1.7), stream.uniform(0.05, 0.2),
                   Swell.draw(stream, 480.0, 4), max(0.0, stream.normal(0.0, 0.03)), stream.uniform(40.0, 110.0))

    def image(self, canvas: Paper, stream: Stream) -> NDArray[np.float32]:
        fine, coarse = _textures(canvas, stream)
        signal = canvas.mix(self.levels, (fine, 2.0 * self.levels * _FINE), (coarse, 2.0 * self.levels * _COARSE))
        size = canvas.labels.shape[0]
        signal *= np.exp(self.shading * self.coils(Points.of_plane(size, canvas.pixel_mm, 0.0)))
        signal = ndimage.gaussian_filter(signal, self.blur_mm / canvas.pixel_mm)
        if self.ghost:  # of breathing, along the direction of phase encoding
            away = round(self.ghost_mm / canvas.pixel_mm)
            signal += self.ghost * (np.roll(signal, away, 0) - np.roll(signal, -away, 0)) * stream.uniform(0.5, 1.0)
        noise = ndimage.gaussian_filter(stream.normals((2, size, size)), (0, 0.5, 0.5))
        parts = noise / noise.std() * self.noise
        return np.asarray(1000.0 * np.hypot(signal + parts[0], parts[1]), dtype=np.float32)


def _gradient_echo(stream: Stream, t1: Field, t2: Field, agent: bool) -> Field:
    """A spoiled gradient echo; repetition 4 to 8 ms, flip angle 9 to 15 degrees. The agent shortens T1."""
    repetition, flip = stream.uniform(4.0, 8.0), np.deg2rad(stream.uniform(9.0, 15.0))
    dose = stream.uniform(0.6, 1.3) if agent else 0.0
    kept = np.exp(-repetition / t1_with_agent(t1, dose, _AGENT))
    return np.asarray(_DENSITY * np.sin(flip) * (1 - kept) / (1 - np.cos(flip) * kept) * np.exp(-1.5 / t2))


def _spin_echo(stream: Stream, t1: Field, t2: Field) -> Field:
    """A fast spin echo, weighted by T2; repetition 2.5 to 5 s, echo 70 to 100 ms. Flowing blood is dark."""
    levels = spin_echo(_DENSITY, t1, t2, stream.uniform(2500.0, 5000.0), stream.uniform(70.0, 100.0))
    levels[[Matter.FAT, Matter.INNER_FAT]] *= 1.5  # a train of refocusing pulses brightens fat
    levels[Matter.BLOOD] *= stream.uniform(0.1, 0.35)
    levels[Matter.HEART] *= 0.5
    return levels


def _textures(canvas: Paper, stream: Stream) -> tuple[Field, Field]:
    """(H, W) a fine and a coarse random field of zero mean and unit variance."""
    size = canvas.labels.shape[0]
    fine, coarse = (_smooth(stream, size, grain / canvas.pixel_mm) for grain in _GRAINS_MM)
    return fine, coarse


def _smooth(stream: Stream, size: int, grain: float) -> Field:
    field = ndimage.gaussian_filter(stream.normals((size, size)), grain / 2, mode="wrap")
    return np.asarray((field - field.mean()) / field.std())


def _ramp_noise(stream: Stream, size: int, grain: float) -> Field:
    """Noise of unit variance whose spectrum rises with the frequency and falls again beyond 1 / grain, as that of
    filtered back-projection does (Riederer et al., Phys Med Biol 1978;23:446-454)."""
    white = np.fft.rfft2(stream.normals((size, size)).astype(np.float64))
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :])
    noise = np.fft.irfft2(white * np.sqrt(frequency) * np.exp(-((frequency * grain) ** 2)), s=(size, size))
    return np.asarray(noise / noise.std())
