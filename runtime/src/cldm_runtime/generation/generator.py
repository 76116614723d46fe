"""Images from requests: the Python API, and the network side of generation. Everything it knows is in the manifest."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..bundle.bundle import Bundle
from ..bundle.manifest import Manifest, SamplingSpec
from ..bundle.outputs import LABELS, channels_of, output_of
from ..bundle.sources import IMAGES, Given, blank_inputs, inputs_from
from ..diffusion.guidance import Interval
from ..diffusion.schedule import Spacing, StepTable
from ..domains.domain import Domain
from ..domains.labels import LabelMap
from ..engines.choose import Choice, choose_provider
from ..errors import BundleError, InputError, checked_count, checked_number, checked_seed, list_faults
from ..requests.canvas import Canvas, untaken
from ..requests.free_classes import keeping
from ..requests.given_maps import array_masks
from ..requests.grid import free_grid, grid_from_mapping, row_from_request
from ..requests.moved_maps import MaskGridRequests
from ..requests.sources import FreeRequests, GridRequests, RequestSource, SampleRequest, draw_request, mask_requests
from .batch import Batch, Images, linked
from .batch_memory import require_batch_memory
from .canvas import canvas_of
from .encodings import Encodings
from .given_files import SIMILARITY, GivenImages, drawn_towards
from .imaging import acquired_values, image_requests, told_of_images, with_drawn_noise
from .inpainting import composed_images, given_paintings, known_latents
from .learned_anatomy import learned_domain
from .likeness import GivenImageEncoder, likeness_of
from .pipeline import Pipeline

Item = TypeVar("Item")


class Generator:
    """Samples images for requests with the networks of a bundle.

    Sample i depends on the bundle, the seed, i and its request, and on nothing else.
    """

    def __init__(self, bundle: Bundle, provider: str | Choice = "cpu", threads: int | None = None,
                 anatomy: Bundle | None = None, precision: str = "fp32") -> None:
        """Opens every graph that generation needs. provider: a name, or a `Choice`, which also states the precision.
        anatomy: the bundle that samples label maps for attributes; None: the domain's own model samples them. Raises
        InputError, BundleError or ProviderError."""
        threads = None if threads is None else checked_count("threads", threads)
        self.bundle, self.anatomy, self.threads = bundle, anatomy, threads
        self.choice = choice = (provider if isinstance(provider, Choice) else
                                choose_provider(bundle, provider, threads, precision))
        self.manifest: Manifest = bundle.manifest
        if IMAGES.name in bundle.manifest.sources:
            raise InputError(f"bundle {bundle.path} draws label maps of given images. Give it some: cldm segment CASES "
                             f"--bundle {bundle.path}")
        self.domain: Domain = bundle.domain() if anatomy is None else learned_domain(bundle, anatomy)
        self._pipeline = Pipeline.open(bundle, choice.provider, threads, choice.precision)
        self._encoder = GivenImageEncoder(bundle, choice, threads)
        assert bundle.manifest.sampling is not None  # the manifest was checked, and every generator has it
        self.sampling = bundle.manifest.sampling

    @classmethod
    def load(cls, path: str | os.PathLike[str], provider: str = "cpu", threads: int | None = None,
             anatomy: str | os.PathLike[str] | None = None, precision: str = "fp32") -> Self:
        """Load a bundle folder, after checking versions and the hash of every file.

        provider: one of `engines.PROVIDERS`, or auto: the fastest here, measured while loading (`choice.reason` says
        why). threads: of one operator; None takes all cores. anatomy: folder of an anatomy bundle, which samples label
        maps for attributes; None: the domain's own model samples them. precision: one that `engines.OFFERED` has for
        the provider. Raises BundleError or ProviderError, InputError for an anatomy if no label maps are needed.
        """
        return cls(Bundle.load(path), provider, threads, None if anatomy is None else Bundle.load(anatomy), precision)

    def __reduce__(self) -> tuple[object, ...]:
        """Another process opens the graphs itself, on the same provider."""
        return Generator, (self.bundle, self.choice, self.threads, self.anatomy)

    def __repr__(self) -> str:
        image, asked = self.manifest.image, ", ".join(self.manifest.sources) or "nothing"
        return (f"<Generator {self.manifest.name} on {self.provider}: {image.channels} x {image.shape} pixels of "
                f"{image.spacing_mm} mm from {asked}>")

    def with_threads(self, threads: int | None) -> "Generator":
        """This generator with its graphs opened again, for another number of threads."""
        return Generator(self.bundle, self.choice, threads, self.anatomy)

    @property
    def provider(self) -> str:
        """The provider that the graphs run on: the requested one, or the one that auto chose."""
        return self._pipeline.provider

    @property
    def pipeline(self) -> Pipeline:
        """The opened networks."""
        return self._pipeline

    @property
    def canvas(self) -> Canvas:
        """The grid of this bundle's label maps, and what its images are conditioned on."""
        return canvas_of(self.manifest, self.domain)

    def settings(self, *, sampler: str | None = None, steps: int | None = None, spacing: Spacing | None = None,
                 batch_size: int | None = None, guidance: float | None = None,
                 guidance_interval: Interval | None = None) -> SamplingSpec:
        """The bundle's sampling defaults with the given changes. Raises InputError for settings it does not support.

        spacing: which training steps are visited, one of `schedule.SPACINGS`. guidance: weight of classifier-free
        guidance; 1 none, 0 unconditional. guidance_interval: (low, high), the shares of the training timesteps (0
        clean, 1 noise) between which it acts.
        """
        default = self.sampling
        batch_size = None if batch_size is None else checked_count("batch_size", batch_size)
        steps = default.steps if steps is None else checked_count("steps", steps)
        guidance = default.guidance if guidance is None else checked_number("guidance", guidance)
        chosen = replace(default, sampler=sampler or default.sampler, steps=steps, guidance=guidance,
                         spacing=spacing or default.spacing, batch_size=batch_size or default.batch_size,
                         eta=default.eta if sampler in (None, default.sampler) else 0.0,
                         guidance_interval=default.guidance_interval if guidance_interval is None else
                         guidance_interval)
        self._pipeline.plan(chosen)
        require_batch_memory(self.manifest, chosen.batch_size)
        return chosen

    def step_table(self, settings: SamplingSpec) -> StepTable:
        """The steps that sampling with these settings walks."""
        return self._pipeline.plan(settings).table

    def seconds_a_sample(self, settings: SamplingSpec) -> float:
        """Seconds that the networks need for a sample, estimated from a single batch and one of its steps."""
        indices, blank = np.arange(settings.batch_size), blank_inputs(self.manifest, settings.batch_size)
        return self._pipeline.seconds_a_sample(blank, self._pipeline.plan(settings), indices)

    def sample(self, attributes: Mapping[str, float | Sequence[float]] | None = None, *,
               masks: ArrayLike | None = None, seed: int = 0, n: int | None = None, steps: int | None = None,
               sampler: str | None = None, spacing: Spacing | None = None, batch_size: int | None = None,
               guidance: float | None = None, like: GivenImages | None = None, similarity: float = SIMILARITY,
               from_step: int | None = None, keep_classes: Sequence[str] | None = None
               ) -> tuple[Images, LabelMap | None]:
        """Images and their label maps, for attributes or for given label maps.

        attributes: name -> a number, or one number a row; those left out are sampled, all of them for None. masks:
        (M, *spatial) label maps, or one (*spatial); a bundle that takes attributes uses those measured on the maps.
        With masks, `attributes` holds `rotation_deg`, `widening_mm` or both: how each map is turned and its lesion
        widened. n: number of samples, spread over the rows as `cldm-gen` does; None: one for each row or mask, or each
        pair. steps, sampler, spacing, batch_size, guidance: as in `settings`; None: the bundle's. like: images that
        samples are drawn towards, an array or a path, with similarity and from_step as in `given_files.drawn_towards`.
        keep_classes: the classes of the label maps that count, None for all; the masks returned have no others.
        Returns images (n, C, *spatial) float32, and masks (n, *spatial) uint8 or None if the bundle has no condition
        from label maps (its images are made from attributes alone, or from nothing). A bundle that draws label maps
        returns their channels, one for each region or label, as images. Raises InputError.
        """
        source, count = self._requests(attributes, masks, n)
        settings = self.settings(sampler=sampler, steps=steps, spacing=spacing, guidance=guidance,
                                 batch_size=min(count, self.sampling.batch_size) if batch_size is None else batch_size)
        source = keeping(source, keep_classes, self.bundle, self.domain)
        if like is not None:
            source = drawn_towards(source, self.bundle, self.step_table(settings), like, similarity=similarity,
                                   from_step=from_step)
        batches = list(self.batches(source, range(count), checked_seed(seed), settings))
        maps = [batch.masks for batch in batches if batch.masks is not None]
        return np.concatenate([batch.images for batch in batches]), np.concatenate(maps) if maps else None

    def check_asked(self, requested: bool) -> None:
        """Raise InputError for requests to a bundle without conditions."""
        if requested and not self.manifest.conditions:
            raise InputError(f"bundle {self.bundle.path} has no conditions: nothing can be requested of its images. "
                             "Give the number of images alone, without attributes or masks.")

    def _requests(self, attributes: Mapping[str, float | Sequence[float]] | None, masks: ArrayLike | None,
                  n: int | None) -> tuple[RequestSource, int]:
        """Where the requests of `sample` come from, and how many there are."""
        self.check_asked(attributes is not None or masks is not None)
        canvas = self.canvas
        given = None if masks is None else mask_requests(array_masks(masks, canvas.shape), canvas, "masks")
        grid = None if not attributes else grid_from_mapping(attributes, self.domain, for_masks=masks is not None)
        rows = (1 if grid is None else len(grid)) * (1 if given is None else len(given.rows))
        count = rows if n is None else checked_count("n", n)
        if given is not None:
            return given if grid is None else MaskGridRequests.spread(grid, count, given), count
        if not self.manifest.conditions:
            return FreeRequests(self.domain), count
        return GridRequests.spread(grid or free_grid(), count, canvas), count

    def stream(self, requests: Iterable[Mapping[str, float]], seed: int = 0, *, steps: int | None = None,
               sampler: str | None = None, spacing: Spacing | None = None, batch_size: int | None = None,
               guidance: float | None = None) -> Iterator[Batch]:
        """Batches for any number of requests, computed lazily and in constant memory.

        requests: attribute name -> value, optionally `rotation_deg`, which turns the label map if one is sampled; the
        i-th request is sample i. A bundle without conditions takes empty requests. Raises InputError at the first
        request that cannot be met.
        """
        settings = self.settings(sampler=sampler, steps=steps, spacing=spacing, batch_size=batch_size,
                                 guidance=guidance)
        canvas, seed = self.canvas, checked_seed(seed)

        def draw(numbered: tuple[int, Mapping[str, float]]) -> SampleRequest:
            index, request = numbered
            self.check_asked(bool(request))
            if not self.manifest.conditions:
                return FreeRequests(self.domain).request(seed, index)
            row = row_from_request(request, index, self.domain)
            if faults := untaken(row, canvas):
                raise InputError(list_faults(f"request {index} does not fit the bundle.", faults))
            return draw_request(row, index, canvas, seed, index)

        return self._overlapped(enumerate(requests), draw, seed, settings)

    def batches(self, source: RequestSource, indices: range, seed: int, settings: SamplingSpec) -> Iterator[Batch]:
        """The batches of the samples `indices`, which start at a multiple of the batch size."""
        if indices.start % settings.batch_size or indices.step != 1:
            raise ValueError(f"{indices} does not start at a multiple of the batch size {settings.batch_size}")
        return self._overlapped(indices, lambda index: source.request(seed, index), seed, settings)

    def of_requests(self, requests: Iterable[SampleRequest], seed: int, settings: SamplingSpec) -> Iterator[Batch]:
        """Batches of given requests, with the noise of that seed."""
        return self._overlapped(requests, lambda request: request, seed, settings)

    def _overlapped(self, items: Iterable[Item], draw: Callable[[Item], SampleRequest], seed: int,
                    settings: SamplingSpec) -> Iterator[Batch]:
        """Makes the requests of the next batch on another thread while the networks compute this batch. On a GPU,
        images are copied while the next batch is computed."""
        remaining, encodings, pending = iter(items), Encodings(), deque[Callable[[], Batch]]()

        def next_requests() -> list[SampleRequest]:
            return [draw(item) for item in islice(remaining, settings.batch_size)]

        with ThreadPoolExecutor(max_workers=1) as pool:
            requests = next_requests()
            while requests:
                ahead = pool.submit(next_requests)
                pending.append(self._begin(requests, seed, settings, encodings))
                if len(pending) > self._pipeline.ahead:
                    yield pending.popleft()()
                requests = ahead.result()
            while pending:
                yield pending.popleft()()

    def batch(self, requests: Sequence[SampleRequest], seed: int, settings: SamplingSpec,
              encodings: Encodings | None = None) -> Batch:
        """Generate one batch; a short one is filled up with copies of its last request, so that all have one shape.
        encodings: those of earlier batches, if there are any."""
        return self._begin(requests, seed, settings, encodings or Encodings())()

    def _begin(self, requests: Sequence[SampleRequest], seed: int, settings: SamplingSpec,
               encodings: Encodings) -> Callable[[], Batch]:
        """Begin a batch, and return a function that waits for it and returns it."""
        padded = [*requests, *[requests[-1]] * (settings.batch_size - len(requests))]
        indices = np.array([request.index for request in padded], dtype=np.int64)
        noise = np.array([request.noise_index for request in padded], dtype=np.int64)
        maps = [request.mask for request in padded if request.mask is not None]
        masks, requested = np.stack(maps) if maps else None, np.stack([request.requested for request in padded])
        imaging = image_requests(self.canvas, padded)
        acquired = acquired_values(self.manifest, self.domain, imaging, padded)
        attributes = requested if imaging is None else np.concatenate(
            [requested, told_of_images(self.canvas, self.manifest, imaging, acquired, seed, noise)], axis=1)
        arrays = {**_stacked(padded), **given_paintings(padded), "attributes": attributes,
                  **({} if masks is None else {"masks": masks})}
        encoded = encodings.of(self._encoded_from(arrays, len(padded)), lambda: self._pipeline.encode(
            inputs_from(self.manifest, self.domain, arrays)))
        wait = self._pipeline.begin(encoded, self._pipeline.plan(settings), seed, noise, acquired,
                                    likeness_of(padded, self._encoder),
                                    known_latents(padded, self._encoder, self._pipeline.latent_shape))
        count = len(requests)

        def finish() -> Batch:
            sampled = wait()
            images = sampled.image
            if not np.isfinite(images).all():
                raise BundleError(f"bundle {self.bundle.path}: the decoder gave NaN or infinite intensities. Check the "
                                  "bundle with cldm verify.")
            output = output_of(self.manifest)
            value_range = output.value_range(self.manifest)
            images = composed_images(requests, np.clip(images, *value_range), sampled.unpainted, value_range)
            shown = channels_of(self.manifest).decode(images) if output is LABELS else masks
            return Batch(images[:count], None if shown is None else shown[:count], requested[:count], indices[:count],
                         np.array([request.grid_row for request in requests], dtype=np.int64),
                         imaging=None if imaging is None else with_drawn_noise(
                             self.manifest, self.domain, imaging, acquired, seed, noise)[:count], **linked(requests))

        return finish

    def _encoded_from(self, arrays: Given, samples: int) -> list[bytes]:
        """What the encoding of each sample depends on."""
        taken = [arrays[name] for name in self.manifest.sources if name in arrays]
        return [b"".join(array[row].tobytes() for array in taken) for row in range(samples)]


def _stacked(requests: Sequence[SampleRequest]) -> dict[str, NDArray[Any]]:
    """Inputs of requests other than label maps and attributes, by source, one row a request."""
    names = dict.fromkeys(name for request in requests for name in request.given)
    return {name: np.stack([request.given[name] for request in requests]) for name in names}
