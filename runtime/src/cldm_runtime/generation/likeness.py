"""Given images that samples are drawn towards: encoded, and handed to the sampler."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..bundle.bundle import Bundle
from ..diffusion.interpolation import nearest_place, towards
from ..diffusion.samplers import Sampler
from ..diffusion.schedule import Array, StepTable
from ..engines.choose import Choice
from ..engines.device import Tensor, device_of, launch
from ..engines.engine import Engine
from ..engines.open import open_graph
from ..errors import InputError
from ..requests.sources import SampleRequest
from .shapes import sample_shape

ENCODER = "encoder"


@dataclass(frozen=True)
class Likeness:
    """Of a batch. latent: (N, *latent shape) on the device, standardised. similarity: 0..1. from_step: a training step
    (`interpolation.nearest_place`)."""

    latent: Tensor
    similarity: float
    from_step: int


def likened(likeness: Likeness, sampler: Sampler, table: StepTable, train_timesteps: int, fresh: Tensor) -> Sampler:
    """The sampler that draws samples towards the given images. fresh: (N, *latent shape) standard normals."""
    place = nearest_place(table, likeness.from_step, train_timesteps)
    return towards(sampler, likeness.latent, fresh, likeness.similarity, place)


def check_encoder(bundle: Bundle) -> None:
    """Raises InputError for a bundle that cannot encode images."""
    if ENCODER not in bundle.manifest.graphs:
        raise InputError(f"bundle {bundle.path} has no graph {ENCODER}, so it cannot take given images. Use a bundle "
                         "that has one; cldm inspect lists the graphs.")


class GivenImageEncoder:
    """The encoder graph of a bundle, opened when it is first used."""

    def __init__(self, bundle: Bundle, choice: Choice, threads: int | None) -> None:
        self._bundle, self._choice, self._threads = bundle, choice, threads

    @cached_property
    def _engine(self) -> Engine:
        check_encoder(self._bundle)
        return open_graph(self._bundle, ENCODER, self._choice.provider, self._threads, self._choice.precision)

    def latents(self, images: Array) -> Tensor:
        """(N, C, *spatial) images to their mean latents, on the device: noise inputs of the encoder are 0."""
        device, specs = device_of(self._engine), self._bundle.manifest.graphs[ENCODER].inputs
        noise = {spec.name: np.zeros((len(images), *sample_shape(spec)), np.float32) for spec in specs
                 if spec.name != "image"}
        inputs = {"image": images.astype(np.float32, copy=False), **noise}
        return launch(self._engine, {name: device.put(array) for name, array in inputs.items()})["latent"]


def likeness_of(requests: Sequence[SampleRequest], encoder: GivenImageEncoder) -> Likeness | None:
    """The given images of a batch of requests, encoded; None if there are none. All share similarity and step."""
    likes = [request.like for request in requests if request.like is not None]
    if not likes:
        return None
    return Likeness(encoder.latents(np.stack([like.image for like in likes])), likes[0].similarity, likes[0].from_step)
