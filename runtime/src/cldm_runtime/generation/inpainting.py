"""Given images that are painted anew in a region: encoded, kept outside it while sampling, and composed with it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..bundle.sources import PAINTINGS
from ..diffusion.inpainting import with_known
from ..diffusion.samplers import Denoise
from ..diffusion.schedule import Array
from ..engines.device import Device, Tensor
from ..errors import BundleError
from ..requests.painting import composed
from ..requests.sources import SampleRequest
from .likeness import GivenImageEncoder

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class KnownLatents:
    """Of a batch. latent: (N, *latent shape) on the device, of the given images. known: (N, 1, *spatial of the latent)
    1 where no pixel of the region lies, else 0."""

    latent: Tensor
    known: Float32


def known_latents(requests: Sequence[SampleRequest], encoder: GivenImageEncoder,
                  latent_shape: tuple[int, ...]) -> KnownLatents | None:
    """The given images of a batch of requests, encoded; None if none is given. latent_shape: (C, *spatial)."""
    paintings = [request.painting for request in requests if request.painting is not None]
    images = [painting.image for painting in paintings if painting.image is not None]
    if not images:
        return None
    free = np.stack([covered(painting.region, latent_shape[1:]) for painting in paintings])
    return KnownLatents(encoder.latents(np.stack(images)), np.where(free[:, None], 0.0, 1.0).astype(np.float32))


def given_paintings(requests: Sequence[SampleRequest]) -> dict[str, Float32]:
    """The source `paintings` of requests that all have a given image, see `bundle/sources.py`; else nothing."""
    paintings = [request.painting for request in requests if request.painting is not None]
    arrays = [np.concatenate([painting.image, painting.region[None]]).astype(np.float32)
              for painting in paintings if painting.image is not None]
    return {PAINTINGS.name: np.stack(arrays)} if len(arrays) == len(requests) else {}


def covered(region: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which cells of a coarser grid hold a pixel of the region. Raises BundleError if the grids do not fit."""
    if any(size % cells for size, cells in zip(region.shape, shape, strict=True)):
        raise BundleError(f"images of {region.shape} pixels have latents of {shape}, no whole number of pixels a "
                          "cell: this bundle cannot paint a region anew. Use another one.")
    blocks = region.reshape([part for size, cells in zip(region.shape, shape, strict=True)
                             for part in (cells, size // cells)])
    return np.asarray(blocks.any(axis=tuple(range(1, 2 * len(shape), 2))))


def denoise_around(denoise: Denoise, given: KnownLatents, noise: Float32, device: Device) -> Denoise:
    """The denoiser for states whose known part is given; states pass through the host's memory. noise: (N, *latent
    shape) that sampling starts from."""
    def on_host(x: Array, timestep: int, alpha: float, sigma: float) -> Array:
        predicted: Array = device.fetch(denoise(device.put(x), timestep, alpha, sigma))()
        return predicted

    around = with_known(on_host, device.fetch(given.latent)(), given.known, noise)
    return lambda x, timestep, alpha, sigma: device.put(around(device.fetch(x)(), timestep, alpha, sigma))


def composed_images(requests: Sequence[SampleRequest], images: Float32, unpainted: Float32 | None,
                    value_range: tuple[float, float]) -> Float32:
    """(n, C, *spatial) images of the requests, with those that were painted anew in a region composed.

    unpainted: (n, C, *spatial) what the networks make of the given images. Without them, an image is composed with the
    one before it, the other of its pair.
    """
    finished = images.copy()
    for row, request in enumerate(requests):
        if request.painting is None:
            continue
        given = request.painting.image
        if given is None:
            finished[row] = composed(request.painting, images[row - 1], images[row], images[row - 1])
        else:
            assert unpainted is not None  # as images are given
            finished[row] = composed(request.painting, given, images[row], unpainted[row])
    return np.clip(finished, *value_range)
