"""One batch of a generator bundle: from conditions and sample indices to latents and images.

All random numbers are sampled here, from the streams of the samples, and are inputs of the graphs.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..bundle.acquisition_spec import ROLE as ACQUISITION
from ..bundle.bundle import Bundle
from ..bundle.manifest import GraphSpec, Manifest, SamplingSpec
from ..bundle.outputs import output_of
from ..diffusion.guidance import EVERYWHERE, Interval, guidance_faults, guide
from ..diffusion.samplers import Denoise, Noise, Sampler, denoiser, get_sampler
from ..diffusion.schedule import Array, StepTable
from ..engines.device import HOST, Device, Tensor, device_of, launch
from ..engines.engine import Engine
from ..engines.open import open_graph
from ..errors import BundleError, InputError
from ..noise import Purpose, normals
from .inpainting import KnownLatents, denoise_around
from .likeness import Likeness, likened
from .shapes import sample_shape

Float32 = NDArray[np.float32]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class SamplingPlan:
    """A sampler, the table of its steps, and the guidance: its weight (1: none) and where it acts."""

    sampler: Sampler
    table: StepTable
    guidance: float = 1.0
    guidance_interval: Interval = EVERYWHERE


@dataclass(frozen=True)
class SampledBatch:
    """`latent` (N, C, *latent shape), standardised; `image` (N, channels, *spatial) in the manifest's value range, or
    the channels of label maps, 0 to 1, where the bundle draws those; `unpainted` the same for the given images of
    `KnownLatents`, None without them."""

    latent: Float32
    image: Float32
    unpainted: Float32 | None = None


def initial_noise(denoiser_graph: GraphSpec, seed: int, indices: Indices) -> Float32:
    """(N, *latent shape) the noise that sampling starts from, one stream for each sample."""
    return normals(seed, indices, Purpose.INITIAL, sample_shape(denoiser_graph.input("x")))


def decoder_noise(decoder: GraphSpec, seed: int, indices: Indices) -> dict[str, Float32]:
    """Standard normals for every input of the decoder except the latent; the k-th of them has step k."""
    specs = [spec for spec in decoder.inputs if spec.name != "latent"]
    return {spec.name: normals(seed, indices, Purpose.TEXTURE, sample_shape(spec), step=k)
            for k, spec in enumerate(specs)}


def scan_noise(manifest: Manifest, seed: int, indices: Indices,
               acquired: NDArray[np.floating] | None = None) -> dict[str, Float32]:
    """Standard normals for every input of the acquisition graph except the image; the k-th of them has step k. Empty
    without such a graph. acquired: (N, V) values that the images are to have, NaN where one is free: the numbers that
    give them replace the drawn ones."""
    spec = manifest.acquisition
    if spec is None:
        return {}
    inputs = [tensor.name for tensor in manifest.graphs[ACQUISITION].inputs if tensor.name != "image"]
    noise = {name: scan_numbers(manifest, name, seed, indices) for name in inputs}
    return noise if acquired is None else noise | spec.numbers_for(noise, acquired)


def scan_numbers(manifest: Manifest, name: str, seed: int, indices: Indices) -> Float32:
    """Standard normals for one input of the acquisition graph."""
    inputs = [tensor for tensor in manifest.graphs[ACQUISITION].inputs if tensor.name != "image"]
    step = next(k for k, tensor in enumerate(inputs) if tensor.name == name)
    return normals(seed, indices, Purpose.SCAN, sample_shape(inputs[step]), step=step)


class Pipeline:
    """The opened graphs of a generator bundle. Calls do not depend on each other."""

    def __init__(self, manifest: Manifest, engines: Mapping[str, Engine]) -> None:
        if manifest.schedule is None:
            raise BundleError(f"bundle {manifest.name} is a {manifest.kind}; generating needs a generator.")
        self.manifest = manifest
        self.schedule = manifest.schedule.noise_schedule()
        self._engines, self._output = engines, output_of(manifest).tensor
        self._device = device_of(engines["denoiser"])

    @classmethod
    def open(cls, bundle: Bundle, provider: str = "cpu", threads: int | None = None,
             precision: str = "fp32") -> Self:
        """Open the graphs that generation needs. Raises BundleError and ProviderError."""
        encoders = [condition.encoder for condition in bundle.manifest.conditions]
        last = [ACQUISITION] if bundle.manifest.acquisition else []
        roles = dict.fromkeys(["denoiser", *encoders, "decoder", *last])
        if bundle.manifest.kind != "generator":
            raise BundleError(f"bundle {bundle.path} is a {bundle.manifest.kind}; generating needs a generator.")
        return cls(bundle.manifest, {role: open_graph(bundle, role, provider, threads, precision) for role in roles})

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """(C, *spatial) of what the denoiser works on."""
        return sample_shape(self.manifest.graphs["denoiser"].input("x"))

    @property
    def provider(self) -> str:
        """The provider that every graph runs on."""
        return self._engines["denoiser"].provider

    def plan(self, settings: SamplingSpec) -> SamplingPlan:
        """Raises InputError for settings that the schedule, the sampler or the bundle does not take."""
        weight, interval = settings.guidance, settings.guidance_interval
        for fault in (*guidance_faults(weight, interval), *distilled_faults(self.manifest, settings)):
            raise InputError(fault)
        if weight != 1 and not self.manifest.can_guide:
            raise InputError(f"guidance = {weight:g}: bundle {self.manifest.name} was trained without a null "
                             "condition, there is nothing to guide away from. Leave guidance out, or give 1.")
        return SamplingPlan(get_sampler(settings.sampler, settings.eta),
                            self.schedule.step_table(settings.steps, settings.spacing), weight, interval)

    def encode(self, sources: Mapping[str, Array]) -> dict[str, Float32]:
        """Inputs of the conditions' encoders by name, see `bundle/sources.py` -> the conditions of the denoiser."""
        fed = {}
        for condition in self.manifest.conditions:
            graph = self.manifest.graphs[condition.encoder]
            inputs = {spec.name: sources[spec.name] for spec in graph.inputs}
            fed[condition.feeds] = self._engines[condition.encoder].run(inputs)[condition.feeds]
        return fed

    def latents(self, x: Float32, fed: Mapping[str, Array], plan: SamplingPlan, seed: int, indices: Indices) -> Float32:
        """Sample latents from the noise `x`; a stochastic sampler takes its noise from the samples' streams."""
        latent: Float32 = self._device.fetch(self._walk(x, fed, plan, seed, indices))()
        return latent

    def _walk(self, x: Float32, fed: Mapping[str, Array], plan: SamplingPlan, seed: int, indices: Indices,
              likeness: Likeness | None = None, given: KnownLatents | None = None) -> Tensor:
        """`latents`, which stay on the device."""
        put = self._device.put
        conditions = self._put(fed)
        null = self._put(self._null(fed)) if plan.guidance != 1 else {}
        on_host = null if self._device is HOST else {}
        doubled = {name: np.concatenate([conditions[name], on_host[name]]) for name in on_host}

        def predict(x: Tensor, timestep: int) -> Tensor:
            return self._predict(x, timestep, conditions)

        def predict_both(x: Tensor, timestep: int) -> tuple[Tensor, Tensor]:
            if not doubled:  # one half already keeps a GPU busy, and it prepares for one shape less
                return self._predict(x, timestep, conditions), self._predict(x, timestep, null)
            both = self._predict(np.concatenate([x, x]), timestep, doubled)
            return both[:len(x)], both[len(x):]

        def noise(step: int) -> Tensor:
            return put(normals(seed, indices, Purpose.STEP, x.shape[1:], step=step))

        train_timesteps = len(self.schedule.alphas_cumprod)
        guided = guide(predict, predict_both, plan.guidance, plan.guidance_interval, train_timesteps)
        sampler = plan.sampler if likeness is None else likened(likeness, plan.sampler, plan.table, train_timesteps,
                                                                put(normals(seed, indices, Purpose.LIKE, x.shape[1:])))
        denoise = denoiser(guided, self.schedule)
        return sampler(denoise if given is None else denoise_around(denoise, given, x, self._device), put(x),
                       plan.table, noise)

    def _predict(self, x: Tensor, timestep: int, conditions: Mapping[str, Tensor]) -> Tensor:
        """One call of the denoiser."""
        kind = self.manifest.graphs["denoiser"].input("timestep").dtype
        steps = self._device.put(np.full(len(x), timestep, dtype=kind))
        return launch(self._engines["denoiser"], {"x": x, "timestep": steps, **conditions})["prediction"]

    def _put(self, arrays: Mapping[str, Array]) -> dict[str, Tensor]:
        return {name: self._device.put(array) for name, array in arrays.items()}

    def _null(self, fed: Mapping[str, Array]) -> dict[str, Array]:
        """The null condition of each condition, as often as there are samples."""
        nulls = {}
        for condition in self.manifest.conditions:
            encoded = fed[condition.feeds]
            shape = encoded.shape[1:] if condition.kind == "vector" else (-1, *[1] * (encoded.ndim - 2))
            null = np.array(condition.null, dtype=encoded.dtype).reshape(shape)
            nulls[condition.feeds] = np.ascontiguousarray(np.broadcast_to(null, encoded.shape))
        return nulls

    def decode(self, latent: Float32, noise: Mapping[str, Array]) -> Float32:
        """Latents to images."""
        image: Float32 = self._engines["decoder"].run({"latent": latent, **noise})[self._output]
        return image

    def acquire(self, image: Tensor, noise: Mapping[str, Array]) -> Tensor:
        """Images of the decoder as the scanner gives them, with what `scan_noise` gives; unchanged without a graph for
        it."""
        if not noise:
            return image
        return launch(self._engines[ACQUISITION], {"image": image, **self._put(noise)})["acquired"]

    def sample(self, sources: Mapping[str, Array], plan: SamplingPlan, seed: int,
               indices: Sequence[int] | Indices) -> SampledBatch:
        """The samples of the given indices; each depends only on (bundle, seed, index, its condition)."""
        return self.sample_encoded(self.encode(sources), plan, seed, indices)

    def sample_encoded(self, fed: Mapping[str, Array], plan: SamplingPlan, seed: int,
                       indices: Sequence[int] | Indices) -> SampledBatch:
        """`sample` for encoded conditions."""
        return self.begin(fed, plan, seed, indices)()

    @property
    def device(self) -> Device:
        """Where latents stay until they are decoded."""
        return self._device

    @property
    def ahead(self) -> int:
        """How many batches to begin before waiting for the first; 0 if batches do not overlap on this device."""
        return self._device.ahead

    def begin(self, fed: Mapping[str, Array], plan: SamplingPlan, seed: int, indices: Sequence[int] | Indices,
              acquired: NDArray[np.floating] | None = None, likeness: Likeness | None = None,
              given: KnownLatents | None = None) -> Callable[[], SampledBatch]:
        """Begin a batch, and return a function that waits for it and returns it. On a GPU, latents stay there until
        they are decoded, and images are copied to the host while the next batch is computed. acquired: as in
        `scan_noise`. likeness: given images that the samples are drawn towards. given: images that the samples equal
        outside a region."""
        indices = np.asarray(indices, dtype=np.int64)
        graphs, device = self.manifest.graphs, self._device
        x = initial_noise(graphs["denoiser"], seed, indices)
        latent = self._walk(x, fed, plan, seed, indices, likeness, given)
        noise = self._put(decoder_noise(graphs["decoder"], seed, indices))
        scan = scan_noise(self.manifest, seed, indices, acquired)

        def image_of(latent: Tensor) -> Tensor:
            return self.acquire(launch(self._engines["decoder"], {"latent": latent, **noise})[self._output], scan)

        copies = [device.fetch(tensor) for tensor in (latent, image_of(latent))]
        copies += [] if given is None else [device.fetch(image_of(given.latent))]
        return lambda: SampledBatch(*(copy() for copy in copies))

    def seconds_a_sample(self, sources: Mapping[str, Array], plan: SamplingPlan, indices: Indices) -> float:
        """Seconds that sampling would need for a sample, estimated from one step."""
        graphs = self.manifest.graphs
        x = initial_noise(graphs["denoiser"], 0, indices)
        marks = [time.perf_counter()]
        fed = self.encode(sources)
        marks.append(time.perf_counter())
        self.latents(x, fed, replace(plan, sampler=_one_call, guidance_interval=EVERYWHERE), 0, indices)
        marks.append(time.perf_counter())
        image = self.decode(x, decoder_noise(graphs["decoder"], 0, indices))
        self._device.fetch(self.acquire(self._device.put(image), scan_noise(self.manifest, 0, indices)))()
        marks.append(time.perf_counter())
        encode, step, decode = np.diff(marks)
        return float(encode + len(plan.table.timesteps) * step + decode) / len(indices)


def distilled_faults(manifest: Manifest, settings: SamplingSpec) -> Iterator[str]:
    """Settings that a distilled bundle does not support, one line each."""
    only = manifest.sampling
    if manifest.distilled is None or only is None:
        return
    chosen = (settings.steps, settings.sampler, settings.spacing, settings.eta)
    if chosen != (only.steps, only.sampler, only.spacing, only.eta):
        yield (f"{settings.steps} steps of {settings.sampler}, {settings.spacing} spacing, eta {settings.eta:g}: "
               f"bundle {manifest.name} was distilled for {only.steps} steps of {only.sampler}, {only.spacing} "
               f"spacing, eta {only.eta:g}, and serves no others. Leave them out, or take its teacher, "
               f"{manifest.distilled.teacher}.")
    if settings.guidance != 1:
        yield (f"guidance = {settings.guidance:g}: guidance {manifest.distilled.guidance:g} is part of the weights of "
               f"bundle {manifest.name}. Leave it out, or take its teacher, {manifest.distilled.teacher}.")


def _one_call(denoise: Denoise, x: Array, table: StepTable, noise: Noise) -> Array:
    """One call of the denoiser, as the first step of any sampler, to time it."""
    return denoise(x, int(table.timesteps[0]), float(table.alpha[0]), float(table.sigma[0]))
