"""From the magnetisation of a slab to an image: k-space of limited extent, coils, noise, artefacts, reconstruction."""

import numpy as np
from numpy.typing import NDArray

from ....noise import Stream
from ..ventricle import Field
from .protocol import Artefacts, CoilArray, ScanProtocol
from .tissue import FIELD_OF_VIEW_MM

SEGMENTS = 8  # of k-space, one a heartbeat
SLAB = ((-0.4, 0.14), (-0.2, 0.24), (0.0, 0.24), (0.2, 0.24), (0.4, 0.14))  # (depth in slices, weight): its profile
_KEPT = 0.15  # of the signal at the corner of k-space, for the strongest filter


def acquire_slice(signal: Field, protocol: ScanProtocol, stream: Stream) -> NDArray[np.float32]:
    """Image of a finely sampled magnetisation (square, over the field of view), in arbitrary units.

    The scanner samples the centre of k-space, out to the acquired pixel, with complex white noise; motion and a filter
    act there. Zeros fill k-space up to the reconstructed matrix, which keeps the ringing at edges.
    """
    acquired = 2 * round(FIELD_OF_VIEW_MM / protocol.acquired_mm / 2)
    size = matrix(protocol)
    spectrum = _sampled(signal * shading(len(signal), protocol.coils), acquired, size)
    spectrum = _disturbed(spectrum, protocol.artefacts, stream) * _response(acquired, protocol)
    image = _zero_filled(spectrum, size)
    noise = stream.normals((2, acquired, acquired)).astype(np.float64) * (protocol.noise / acquired)
    grain = _zero_filled((noise[0] + 1j * noise[1]) * _filter(acquired, protocol.filter_strength), size)
    image = image + grain * noise_map(size, protocol.coils)
    shown = image.real + protocol.offset if protocol.phase_sensitive else np.abs(image)
    return (_rimmed(shown, protocol.artefacts) * protocol.scale).astype(np.float32)


def matrix(protocol: ScanProtocol) -> int:
    """Pixels along a side of the reconstructed image, an even number, no fewer than were acquired."""
    acquired = 2 * round(FIELD_OF_VIEW_MM / protocol.acquired_mm / 2)
    return max(acquired, 2 * round(FIELD_OF_VIEW_MM / protocol.reconstructed_mm / 2))


def _sampled(signal: Field, acquired: int, size: int) -> NDArray[np.complex128]:
    """The centre of a fine grid's k-space. Its phase moves the grid's first pixel centre to that of the image of `size`
    pixels: both grids fill the same field of view."""
    spectrum = np.fft.fftshift(np.fft.fft2(signal, norm="forward"))
    low = (len(signal) - acquired) // 2
    phase = np.exp(1j * np.pi * (np.arange(acquired) - acquired // 2) * (1.0 / size - 1.0 / len(signal)))
    centre = spectrum[low : low + acquired, low : low + acquired]
    return np.asarray(centre * phase[:, None] * phase[None, :])


def _zero_filled(spectrum: NDArray[np.complex128], size: int) -> NDArray[np.complex128]:
    full = np.zeros((size, size), dtype=np.complex128)
    start = (size - len(spectrum)) // 2
    full[start : start + len(spectrum), start : start + len(spectrum)] = spectrum
    return np.asarray(np.fft.ifft2(np.fft.ifftshift(full), norm="forward"))


def shading(pixels: int, coils: CoilArray) -> Field:
    """(pixels, pixels) sensitivity that the normalisation leaves, 1 in the middle, greater towards the coils."""
    return np.asarray(np.exp(coils.shading * _towards(pixels, coils) / 100.0))


def noise_map(pixels: int, coils: CoilArray) -> Field:
    """(pixels, pixels) factor of the noise: the normalisation amplifies it away from the coils."""
    return np.asarray(np.exp(-coils.noise_rise * _towards(pixels, coils) / 100.0))


def _towards(pixels: int, coils: CoilArray) -> Field:
    """Millimetres from the middle of the image towards the coils."""
    axis = (np.arange(pixels) - (pixels - 1) / 2) * (FIELD_OF_VIEW_MM / pixels)
    return np.asarray(axis[None, :] * np.cos(coils.towards) - axis[:, None] * np.sin(coils.towards))


def _response(size: int, protocol: ScanProtocol) -> Field:
    """Factor of each point of k-space: the reconstruction's filter, and the blur of motion, a Gaussian."""
    frequency = (np.arange(size) - size // 2) / FIELD_OF_VIEW_MM
    blur = np.exp(-2.0 * (np.pi * protocol.blur_mm * frequency) ** 2)
    return np.asarray(_filter(size, protocol.filter_strength) * blur[:, None] * blur[None, :])


def _filter(size: int, strength: float) -> Field:
    """A raised cosine over the outer 45 % of k-space, against ringing; strength 0: none."""
    frequency = np.abs((np.arange(size) - size // 2) / (size / 2))
    edge = 0.5 * (1.0 + np.cos(np.pi * np.clip((frequency - 0.55) / 0.45, 0.0, 1.0)))
    edge = 1.0 - strength * (1.0 - _KEPT) * (1.0 - edge)
    return np.asarray(edge[:, None] * edge[None, :])


def _disturbed(spectrum: NDArray[np.complex128], artefacts: Artefacts, stream: Stream) -> NDArray[np.complex128]:
    """k-space whose lines were acquired while the body moved: ghosts of breathing, displaced segments."""
    size = len(spectrum)
    line = np.arange(size) - size // 2
    moved = stream.normals((SEGMENTS,)).astype(np.float64) * artefacts.motion_mm
    phase = -2.0 * np.pi * line / FIELD_OF_VIEW_MM * (moved - moved.mean())[np.arange(size) % SEGMENTS]
    ghosts = 1.0 + 2.0 * artefacts.ghost * np.cos(
        2.0 * np.pi * line * artefacts.ghost_mm / FIELD_OF_VIEW_MM + 2.0 * np.pi * stream.uniform())
    factor = np.exp(1j * phase) * ghosts
    return np.asarray(spectrum * (factor[:, None] if artefacts.along_rows else factor[None, :]))


def _rimmed(image: Field, artefacts: Artefacts) -> Field:
    """Zeros beyond a rectangular field of view."""
    rim = round(artefacts.rim_mm / FIELD_OF_VIEW_MM * len(image))
    if rim:
        image = image.copy()
        sides = image if artefacts.along_rows else image.T
        sides[:rim], sides[-rim:] = 0.0, 0.0
    return image
