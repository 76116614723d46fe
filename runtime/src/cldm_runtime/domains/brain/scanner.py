"""How a scanner images a head: four sequences by their signal equations, with its own contrast, coils and noise.

| name | sequence |
|---|---|
| t1n, t1c | spin echo weighted by T1, or inversion recovery with a short echo; without and with agent |
| t2w | fast spin echo |
| t2f | fast spin echo after an inversion that suppresses liquor (FLAIR) |
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...noise import Stream
from ..phantom_parts import spin_echo, t1_with_agent
from .space import RandomField, Volume3D, VoxelGrid
from .tissue import BRAIN_SIGNALS, BrainTissue

SEQUENCES = ("t1n", "t1c", "t2w", "t2f")
_T1, _T2, _DENSITY, _AGENT, _TEXTURE = np.array([BRAIN_SIGNALS[tissue] for tissue in BrainTissue]).T
_GRAINS_MM = (1.4, 5.0)  # of the texture within tissues
_FIRST_OF_DISEASE = BrainTissue.GLIOSIS


@dataclass(frozen=True)
class ScannerFleet:
    """The scanners of a cohort. field_t: weights of 1.5 T and 3 T and above. noise: least and greatest deviation, as a
    share of the signal of white matter. slices_mm: thickness. shading: of the coils. dose: of the agent, mM a mM."""

    field: tuple[float, float]
    noise: tuple[float, float]
    slices_mm: tuple[float, float]
    shading: tuple[float, float]
    dose: tuple[float, float]


@dataclass(frozen=True)
class MrProtocol:
    """levels: (4, tissue) signal of each sequence, that of white matter 1. blur_mm: (4, 2) deviation of the point
    spread through the slices and in them. coils: shading that all sequences share, and that each has of its own."""

    levels: NDArray[np.float64]
    noise: NDArray[np.float64]
    blur_mm: NDArray[np.float64]
    gain: NDArray[np.float64]
    shading: float
    coils: tuple[RandomField, ...]

    @classmethod
    def draw(cls, stream: Stream, fleet: ScannerFleet) -> "MrProtocol":
        shorter = (0.78, 1.0)[stream.choice(np.array(fleet.field))]
        spread = np.where(np.arange(len(BrainTissue)) < _FIRST_OF_DISEASE, 0.035, 0.08)
        t1, t2 = (times * np.exp(spread * stream.normals(spread.shape).astype(np.float64))
                  for times in (shorter * _T1, _T2))
        levels = np.stack([*_t1_weighted(stream, t1, t2, stream.uniform(*fleet.dose)), _t2_weighted(stream, t1, t2),
                           _flair(stream, t1, t2)])
        levels /= levels[:, [BrainTissue.WHITE]]
        thick = np.array([stream.uniform(*fleet.slices_mm) for _ in SEQUENCES])
        thin = np.array([stream.uniform(0.35, 0.75) for _ in SEQUENCES])
        noise = np.array([stream.uniform(*fleet.noise) for _ in SEQUENCES])
        gain = np.array([np.exp(stream.uniform(*np.log((150.0, 900.0)))) for _ in SEQUENCES])
        return cls(levels, noise, np.stack([0.36 * thick, thin], axis=1), gain, stream.uniform(*fleet.shading),
                   tuple(RandomField.draw(stream, 210.0, 12) for _ in range(len(SEQUENCES) + 1)))

    def images(self, grid: VoxelGrid, tissue: NDArray[np.uint8], shares: dict[BrainTissue, NDArray[np.float32]],
               block: int, stream: Stream) -> NDArray[np.float32]:
        """(4, Z, Y, X) the images of tissues that were drawn on a finer grid of `block` voxels a side. shares: how much
        of a voxel another tissue takes, such as oedema."""
        grains = [_grain(stream, grid.shape, size / grid.voxel_mm) for size in _GRAINS_MM]
        texture = 1.0 + averaged(_TEXTURE.astype(np.float32)[tissue], block) * (0.6 * grains[0] + 0.8 * grains[1])
        taken = [(other, share > 0, share[share > 0]) for other, share in shares.items()]
        common = 0.8 * self.coils[-1].on(grid)
        images = []
        for number, levels in enumerate(self.levels.astype(np.float32)):
            signal = levels[tissue]
            for other, where, share in taken:
                before = signal[where]
                signal[where] = before + share * (levels[other] - before)
            signal = averaged(signal, block) * texture
            through, within = self.blur_mm[number] / grid.voxel_mm
            signal = ndimage.gaussian_filter(signal, (through, within, within), mode="nearest")
            signal *= np.exp(self.shading * (common + 0.6 * self.coils[number].on(grid)))
            parts = self.noise[number] * _grain(stream, (2, *signal.shape), 0.5)
            images.append(np.hypot(signal + parts[0], parts[1]) * self.gain[number])
        return np.stack(images).astype(np.float32)


def averaged(values: Volume3D, block: int) -> Volume3D:
    """(Z b, Y b, X b) -> (Z, Y, X), the mean of each block of b voxels a side."""
    if block == 1:
        return values
    z, y, x = (size // block for size in values.shape)
    return np.asarray(values.reshape(z, block, y, block, x, block).mean(axis=(1, 3, 5)))


def _grain(stream: Stream, shape: tuple[int, ...], sigma: float) -> NDArray[np.float32]:
    """Smooth noise of unit variance; its leading axes beyond three are separate."""
    noise = stream.normals(shape)
    smooth = ndimage.gaussian_filter(noise, (0.0,) * (len(shape) - 3) + (sigma,) * 3, mode="wrap")
    return np.asarray(smooth / smooth.std(), dtype=np.float32)


def _t1_weighted(stream: Stream, t1: Volume3D, t2: Volume3D, dose: float) -> tuple[Volume3D, Volume3D]:
    """Without and with agent, by the same sequence, or by two, as in many hospitals."""
    found, inverted = [], stream.uniform() < 0.6
    for agent in (0.0, dose):
        inverted ^= agent > 0 and stream.uniform() < 0.25
        shortened, echo_ms = t1_with_agent(t1, agent, _AGENT), stream.uniform(3.0, 12.0)
        if inverted:
            after, repetition = stream.uniform(850.0, 1050.0), stream.uniform(2000.0, 2600.0)
            signal = 1.0 - 2.0 * np.exp(-after / shortened) / (1.0 + np.exp(-repetition / shortened))
            found.append(_DENSITY * np.maximum(signal, 0.04) * np.exp(-echo_ms / t2))
        else:
            found.append(spin_echo(_DENSITY, shortened, t2, stream.uniform(450.0, 750.0), echo_ms))
    return found[0], found[1]


def _t2_weighted(stream: Stream, t1: Volume3D, t2: Volume3D) -> Volume3D:
    return spin_echo(_DENSITY, t1, t2, stream.uniform(3000.0, 6000.0), stream.uniform(80.0, 110.0))


def _flair(stream: Stream, t1: Volume3D, t2: Volume3D) -> Volume3D:
    """The inversion time suppresses liquor, not always wholly."""
    repetition = stream.uniform(7500.0, 10000.0)
    liquor = t1[BrainTissue.LIQUOR]
    null = liquor * (np.log(2.0) - np.log(1.0 + np.exp(-repetition / liquor)))
    after = null * stream.uniform(0.93, 1.03)
    recovered = np.abs(1.0 - 2.0 * np.exp(-after / t1) + np.exp(-repetition / t1))
    return np.asarray(_DENSITY * recovered * np.exp(-stream.uniform(90.0, 130.0) / t2))
