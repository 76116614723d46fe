"""The work of a contender. Each class runs in a separate process (`child.py`), where its factory makes the `Work`."""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..bundle.bundle import Bundle
from ..bundle.conditions import encoder_inputs
from ..bundle.manifest import Manifest, SamplingSpec
from ..bundle.reference import reference_maps
from ..engines.engine import CPU_PROVIDERS
from ..engines.processor import default_workers
from ..errors import InputError
from ..generation.canvas import canvas_of
from ..generation.generator import Generator
from ..generation.pipeline import Pipeline, decoder_noise, initial_noise
from ..generation.run import Plan, generate_dataset
from ..requests.given_maps import ArrayMasks
from ..requests.grid import grid_from_mapping
from ..requests.sources import FreeRequests, GridRequests, RequestSource, mask_requests
from ..segmentation.segmenter import Segmenter
from ..store import DatasetSpec, create_dataset, open_dataset
from .machine import workers_memory_bytes
from .onnx_flops import graph_flops

ESTIMATE_STEPS = 4
_FILE_SECONDS, _FILE_IMAGES = 10.0, 1024  # of a generated file: its approximate duration, and most images
_STAGE_IMAGES = 64
_MAPS = 8  # label maps that are sampled; larger batches repeat them
Clock = Callable[[], float]
Parts = dict[str, float]


class Work(Protocol):
    """One contender, loaded."""

    def facts(self) -> dict[str, Any]:
        """The facts of its row other than times, such as evaluations and flops of an image."""

    def prepare(self, batch: int) -> None:
        """Make the inputs of a batch; this is not timed."""

    def complete(self) -> int:
        """Compute one whole batch and return its number of images."""

    def estimate(self) -> Parts:
        """Seconds of one batch by part, with the sampling loop extrapolated from a few steps, and the number of
        `images`. A work without such a loop raises NotImplementedError, and is timed whole."""


class BundleNetworks:
    """The networks of a generator bundle: from conditions in memory to images in memory."""

    def __init__(self, bundle: str, provider: str = "cpu", threads: int | None = None, seed: int = 0,
                 opening: Mapping[str, Any] | None = None, clock: Clock = time.perf_counter, **settings: Any) -> None:
        """opening: further arguments of `Generator.load`. settings: sampler, steps, guidance; None or absent: the
        bundle's."""
        self._opening: dict[str, Any] = dict(opening or {})
        self._generator, self._seed = Generator.load(bundle, provider, threads, **self._opening), seed
        self._clock = clock
        self._manifest, self._pipeline = self._generator.manifest, self._generator.pipeline
        self._settings = self._generator.settings(**settings)
        self._indices: NDArray[np.int64] = np.zeros(0, np.int64)
        self._sources: Mapping[str, Any] = {}

    def facts(self) -> dict[str, Any]:
        return {**sampling_facts(self._generator.bundle, self._settings), **self._opening}

    def prepare(self, batch: int) -> None:
        self._indices = np.arange(batch, dtype=np.int64)
        self._sources = example_sources(self._generator.bundle, batch, self._seed)

    def image(self) -> NDArray[np.float32]:
        """The first image of the batch, (1, C, *spatial), as the decoder gives it."""
        plan = self._pipeline.plan(self._settings)
        first = {name: value[:1] for name, value in self._sources.items()}
        return self._pipeline.sample(first, plan, self._seed, self._indices[:1]).image

    def complete(self) -> int:
        self._pipeline.sample(self._sources, self._pipeline.plan(self._settings), self._seed, self._indices)
        return len(self._indices)

    def estimate(self) -> Parts:
        steps = min(ESTIMATE_STEPS, self._settings.steps)
        full, few = (denoiser_evaluations(self._manifest, replace(self._settings, steps=count))
                     for count in (self._settings.steps, steps))
        parts, graphs = {"images": float(len(self._indices))}, self._manifest.graphs
        started = self._clock()
        x = initial_noise(graphs["denoiser"], self._seed, self._indices)
        texture = decoder_noise(graphs["decoder"], self._seed, self._indices)
        parts["noise"], started = self._clock() - started, self._clock()
        fed = self._pipeline.encode(self._sources)
        parts["condition encoder"], started = self._clock() - started, self._clock()
        plan = self._pipeline.plan(replace(self._settings, steps=steps))
        latent = self._pipeline.latents(x, fed, plan, self._seed, self._indices)
        parts["denoiser and sampler"], started = (self._clock() - started) * full / few, self._clock()
        self._pipeline.decode(latent, texture)
        parts["decoder"] = self._clock() - started
        return parts


class WholePath:
    """From requested attributes to images in memory, or to a file: sampling label maps, networks, clipping, writing.

    To memory: two batches each time, because the label maps of one batch are sampled while the networks compute the
    previous one. To a file: as `cldm-gen` does it, including the start of its workers, with enough images to take about
    `_FILE_SECONDS`.
    """

    def __init__(self, bundle: str, provider: str = "cpu", threads: int | None = None, seed: int = 0,
                 opening: Mapping[str, Any] | None = None, to_file: bool = False, clock: Clock = time.perf_counter,
                 **settings: Any) -> None:
        """opening, settings: as for `BundleNetworks`."""
        self._opening: dict[str, Any] = dict(opening or {})
        self._workers = (threads or default_workers(provider)) if to_file and provider in CPU_PROVIDERS else 1
        self._generator = Generator.load(bundle, provider, 1 if to_file else threads, **self._opening)
        self._seed, self._to_file, self.images = seed, to_file, 0
        self._settings, self._clock = self._generator.settings(**settings), clock
        self._source = example_requests(self._generator.bundle, 1)

    def facts(self) -> dict[str, Any]:
        facts = sampling_facts(self._generator.bundle, self._settings)
        memory = workers_memory_bytes(self._workers) if self._to_file else 0
        return {**facts, **self._opening, "stages": self._stages(), "workers": self._workers,
                "workers_memory_bytes": memory}

    def prepare(self, batch: int) -> None:
        self._settings = replace(self._settings, batch_size=batch)
        batches = 2
        if self._to_file:
            seconds = batch * self._generator.seconds_a_sample(self._settings) / self._workers
            batches = max(batches, min(round(_FILE_SECONDS / max(seconds, 1e-6)), _FILE_IMAGES // batch))
        self.images = batches * batch
        self._source = example_requests(self._generator.bundle, self.images)

    def complete(self) -> int:
        if not self._to_file:
            return sum(len(batch.images) for batch in self._generator.batches(
                self._source, range(self.images), self._seed, self._settings))
        plan = Plan(self._generator, self._source, self.images, self._seed, self._settings)
        with tempfile.TemporaryDirectory() as folder:
            generate_dataset(plan, Path(folder) / "samples.h5", workers=self._workers)
        return self.images

    def estimate(self) -> Parts:
        raise NotImplementedError

    def _stages(self) -> Parts:
        """Seconds an image for the stages without networks. In `complete`, label maps are sampled during the networks'
        work, so that stage adds no time there."""
        started = self._clock()
        count = min(self.images, _STAGE_IMAGES)
        requests = [self._source.request(self._seed, index) for index in range(count)]
        stages = {"drawing label maps": (self._clock() - started) / count}
        image = self._generator.manifest.image
        columns: dict[str, NDArray[Any]] = {
            "images": np.zeros((count, image.channels, *image.shape), np.float32)}
        if requests[0].mask is not None:
            columns["masks"] = np.stack([request.mask for request in requests if request.mask is not None])
        spec = DatasetSpec(self._generator.domain, image.shape, image.spacing_mm, image.channels, image.value_range)
        with tempfile.TemporaryDirectory() as folder:
            started = self._clock()
            with create_dataset(Path(folder) / "written.h5", spec) as writer:
                writer.append(**columns)
            stages["writing"] = (self._clock() - started) / count
        return stages


class Segmenting:
    """A segmenter bundle on slices of a dataset, preparation and label decision included."""

    def __init__(self, bundle: str, dataset: str, slices: int, subset: str | None = None, mirror: bool | None = None,
                 provider: str = "cpu", threads: int | None = None, labels: str | None = None) -> None:
        """labels: file for the label maps, as .npy, which `facts` writes."""
        self._segmenter = Segmenter.load(bundle, provider, threads)
        self._images, self._spacing_mm = some_slices(dataset, slices, subset)
        self._mirror, self._batch, self._labels = mirror, 1, labels

    def facts(self) -> dict[str, Any]:
        manifest, spec = self._segmenter.bundle.manifest, self._segmenter.spec
        mirror = spec.mirror_by_default if self._mirror is None else self._mirror
        copies = 2 ** len(spec.mirror_axes) if mirror else 1
        if self._labels is not None:
            np.save(self._labels, self._segmenter.segment(self._images, self._spacing_mm, mirror=mirror))
        flops = graph_flops(self._segmenter.bundle.read(manifest.graphs["segmenter"]), manifest.graphs["segmenter"])
        return {"networks": self._segmenter.bundle.identity, "precision": manifest.graphs["segmenter"].precision,
                "mirrored_copies": copies, "evaluations": copies, "gflop_per_image": copies * flops / 1e9,
                "slices": len(self._images)}

    def prepare(self, batch: int) -> None:
        self._batch = batch

    def complete(self) -> int:
        self._segmenter.segment(self._images, self._spacing_mm, batch_size=self._batch, mirror=self._mirror)
        return len(self._images)

    def estimate(self) -> Parts:
        raise NotImplementedError


class _NoNetwork:
    """Replaces a denoiser: counts the samples that it receives, and predicts zeros."""

    provider = "none"

    def __init__(self) -> None:
        self.samples = 0

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        self.samples += len(inputs["x"])
        return {"prediction": np.zeros_like(inputs["x"])}


def denoiser_evaluations(manifest: Manifest, settings: SamplingSpec) -> int:
    """Evaluations of the denoiser for one image; a guided step counts twice."""
    counter = _NoNetwork()
    pipeline = Pipeline(manifest, {"denoiser": counter})
    indices = np.zeros(1, np.int64)
    specs = {spec.name: spec for spec in manifest.graphs["denoiser"].inputs}
    fed = {condition.feeds: np.zeros((1, *(int(size) for size in specs[condition.feeds].shape[1:])), np.float32)
           for condition in manifest.conditions}
    x = initial_noise(manifest.graphs["denoiser"], 0, indices)
    pipeline.latents(x, fed, pipeline.plan(settings), 0, indices)
    return counter.samples


def bundle_flops(bundle: Bundle) -> dict[str, int | None]:
    """Operations of each graph for one sample; None if it has an operator that cannot be counted."""
    operations: dict[str, int | None] = {}
    for role, graph in bundle.manifest.graphs.items():
        try:
            operations[role] = graph_flops(bundle.read(graph), graph)
        except InputError:
            operations[role] = None
    return operations


def gflop_per_image(flops: Mapping[str, int | None], manifest: Manifest, evaluations: int) -> float | None:
    """Billions of operations for one image: the conditions' encoders once, the denoiser `evaluations` times, and the
    decoder once; None if those of a graph are unknown."""
    counts = [flops[condition.encoder] for condition in manifest.conditions] + [flops["decoder"]]
    each = flops["denoiser"]
    counted = [count for count in counts if count is not None]
    return None if each is None or len(counted) < len(counts) else (sum(counted) + each * evaluations) / 1e9


def sampling_facts(bundle: Bundle, settings: SamplingSpec) -> dict[str, Any]:
    """The facts of a row on networks and sampling."""
    manifest = bundle.manifest
    evaluations = denoiser_evaluations(manifest, settings)
    return {"networks": bundle.identity, "sampler": settings.sampler, "steps": settings.steps,
            "spacing": settings.spacing, "eta": settings.eta, "guidance": settings.guidance,
            "precision": " and ".join(sorted({graph.precision for graph in manifest.graphs.values()})),
            "evaluations": evaluations, "gflop_per_image": gflop_per_image(bundle_flops(bundle), manifest, evaluations)}


def example_requests(bundle: Bundle, count: int) -> RequestSource:
    """Requests for a benchmark: three values of the first attribute, spread over the lower third of its range; for a
    domain without an anatomy that needs label maps, the maps of the reference."""
    domain = bundle.domain()
    if not bundle.manifest.conditions:
        return FreeRequests(domain)
    canvas = canvas_of(bundle.manifest, domain)
    if canvas.maps and domain.anatomy is None:
        return mask_requests(ArrayMasks(reference_maps(bundle.reference())), canvas, "reference")
    first = domain.attributes[0]
    values = [first.low + share * (first.high - first.low) for share in (0.1, 0.2, 0.3)]
    return GridRequests.spread(grid_from_mapping({first.name: values}, domain), max(count, len(values)), canvas)


def example_sources(bundle: Bundle, batch: int, seed: int) -> dict[str, NDArray[Any]]:
    """Inputs of the conditions' encoders for a batch of example requests; no graph is opened."""
    count = min(batch, _MAPS)
    source = example_requests(bundle, count)
    drawn = [source.request(seed, index) for index in range(count)]
    requests = [drawn[index % count] for index in range(batch)]
    maps = [request.mask for request in requests if request.mask is not None]
    requested = np.stack([request.requested for request in requests])
    return dict(encoder_inputs(bundle.manifest, bundle.domain(), np.stack(maps) if maps else None, requested))


def some_slices(dataset: str, count: int, subset: str | None) -> tuple[NDArray[np.float32], tuple[float, ...]]:
    """(n, C, *spatial) evenly picked images of a subset, or of the whole file, and their spacing."""
    with open_dataset(dataset) as opened:
        rows = opened.rows(subset)
        chosen = rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]
        return opened.images(chosen), opened.spacing_mm
