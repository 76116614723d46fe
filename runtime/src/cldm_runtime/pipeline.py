"""One batch of a generator bundle: from conditions and sample indices to latents and images.

All randomness is drawn here, from the streams of the samples, and handed to the graphs as inputs.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .bundle import Bundle
from .engines import Engine
from .errors import BundleError, InputError
from .guidance import EVERYWHERE, Interval, guidance_faults, guide
from .manifest import GraphSpec, Manifest, SamplingSpec, TensorSpec
from .noise import Purpose, normals
from .samplers import Sampler, denoiser, get_sampler
from .schedule import Array, NoiseSchedule, StepTable

Float32 = NDArray[np.float32]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class SamplingPlan:
    """A sampler, the table that it walks, and the guidance on its way: its weight (1: none) and where it acts."""

    sampler: Sampler
    table: StepTable
    guidance: float = 1.0
    guidance_interval: Interval = EVERYWHERE


@dataclass(frozen=True)
class Batch:
    """`latent` (N, C, *latent shape), standardised; `image` (N, channels, *spatial) in the manifest's value range."""

    latent: Float32
    image: Float32


def initial_noise(denoiser_graph: GraphSpec, seed: int, indices: Indices) -> Float32:
    """The noise that sampling starts from, one stream for each sample."""
    return normals(seed, indices, Purpose.INITIAL, _sample_shape(denoiser_graph.input("x")))


def decoder_noise(decoder: GraphSpec, seed: int, indices: Indices) -> dict[str, Float32]:
    """Standard normals for every input of the decoder except the latent; the k-th of them has step k."""
    specs = [spec for spec in decoder.inputs if spec.name != "latent"]
    return {spec.name: normals(seed, indices, Purpose.TEXTURE, _sample_shape(spec), step=k)
            for k, spec in enumerate(specs)}


class Pipeline:
    """The opened graphs of a generator bundle. Calls do not depend on each other."""

    def __init__(self, manifest: Manifest, engines: Mapping[str, Engine]) -> None:
        if manifest.schedule is None:
            raise BundleError(f"bundle {manifest.name} is a {manifest.kind}; generating needs a generator.")
        self.manifest = manifest
        self.schedule = NoiseSchedule.from_spec(manifest.schedule)
        self._engines = engines

    @classmethod
    def open(cls, bundle: Bundle, provider: str = "cpu", threads: int | None = None,
             precision: str = "fp32") -> Self:
        """Open the graphs that generation needs. Raises BundleError and ProviderError."""
        encoders = [condition.encoder for condition in bundle.manifest.conditions]
        roles = dict.fromkeys(["denoiser", *encoders, "decoder"])
        if bundle.manifest.kind != "generator":
            raise BundleError(f"bundle {bundle.path} is a {bundle.manifest.kind}; generating needs a generator.")
        return cls(bundle.manifest, {role: bundle.open(role, provider, threads, precision) for role in roles})

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
        """Inputs of the conditions' encoders by name, see `conditions.py` -> the conditions that the denoiser takes."""
        fed = {}
        for condition in self.manifest.conditions:
            graph = self.manifest.graphs[condition.encoder]
            inputs = {spec.name: sources[spec.name] for spec in graph.inputs}
            fed[condition.feeds] = self._engines[condition.encoder].run(inputs)[condition.feeds]
        return fed

    def latents(self, x: Float32, fed: Mapping[str, Array], plan: SamplingPlan, seed: int, indices: Indices) -> Float32:
        """Walk from the noise `x` to latents; a stochastic sampler draws its noise from the samples' streams."""
        doubled = self._with_null(fed) if plan.guidance != 1 else {}

        def predict(x: Array, timestep: int) -> Array:
            return self._predict(x, timestep, fed)

        def predict_both(x: Array, timestep: int) -> tuple[Array, Array]:
            both = self._predict(np.concatenate([x, x]), timestep, doubled)
            return both[:len(x)], both[len(x):]

        def noise(step: int) -> Float32:
            return normals(seed, indices, Purpose.STEP, x.shape[1:], step=step)

        train_timesteps = len(self.schedule.alphas_cumprod)
        guided = guide(predict, predict_both, plan.guidance, plan.guidance_interval, train_timesteps)
        return plan.sampler(denoiser(guided, self.schedule), x, plan.table, noise)

    def _predict(self, x: Array, timestep: int, fed: Mapping[str, Array]) -> Array:
        """One call of the denoiser."""
        kind = self.manifest.graphs["denoiser"].input("timestep").dtype
        tensors = {"x": x, "timestep": np.full(len(x), timestep, dtype=kind), **fed}
        prediction: Array = self._engines["denoiser"].run(tensors)["prediction"]
        return prediction

    def _with_null(self, fed: Mapping[str, Array]) -> dict[str, Array]:
        """The denoiser's conditions (N, ...), and behind them as many null ones: (2 N, ...)."""
        doubled = {}
        for condition in self.manifest.conditions:
            given = fed[condition.feeds]
            shape = given.shape[1:] if condition.kind == "vector" else (-1, *[1] * (given.ndim - 2))
            null = np.array(condition.null, dtype=given.dtype).reshape(shape)
            doubled[condition.feeds] = np.concatenate([given, np.broadcast_to(null, given.shape)])
        return doubled

    def decode(self, latent: Float32, noise: Mapping[str, Array]) -> Float32:
        """Latents to images."""
        image: Float32 = self._engines["decoder"].run({"latent": latent, **noise})["image"]
        return image

    def sample(self, sources: Mapping[str, Array], plan: SamplingPlan, seed: int,
               indices: Sequence[int] | Indices) -> Batch:
        """The samples of the given indices, each fixed by (bundle, seed, index, its condition) alone."""
        return self.sample_encoded(self.encode(sources), plan, seed, indices)

    def sample_encoded(self, fed: Mapping[str, Array], plan: SamplingPlan, seed: int,
                       indices: Sequence[int] | Indices) -> Batch:
        """`sample` for conditions that are encoded."""
        indices = np.asarray(indices, dtype=np.int64)
        graphs = self.manifest.graphs
        x = initial_noise(graphs["denoiser"], seed, indices)
        latent = self.latents(x, fed, plan, seed, indices)
        return Batch(latent, self.decode(latent, decoder_noise(graphs["decoder"], seed, indices)))

    def seconds_a_sample(self, sources: Mapping[str, Array], plan: SamplingPlan, indices: Indices) -> float:
        """How long sampling would take, estimated from one step of it."""
        graphs, guided = self.manifest.graphs, plan.guidance != 1
        x = initial_noise(graphs["denoiser"], 0, indices)
        marks = [time.perf_counter()]
        fed = self.encode(sources)
        marks.append(time.perf_counter())
        self._predict(np.concatenate([x, x]) if guided else x, 0, self._with_null(fed) if guided else fed)
        marks.append(time.perf_counter())
        self.decode(x, decoder_noise(graphs["decoder"], 0, indices))
        marks.append(time.perf_counter())
        encode, step, decode = np.diff(marks)
        return float(encode + len(plan.table.timesteps) * step + decode) / len(indices)


def distilled_faults(manifest: Manifest, settings: SamplingSpec) -> Iterator[str]:
    """What a distilled bundle cannot do of what the settings ask for, one line each."""
    only = manifest.sampling
    if manifest.distilled is None or only is None:
        return
    found = (settings.steps, settings.sampler, settings.spacing, settings.eta)
    if found != (only.steps, only.sampler, only.spacing, only.eta):
        yield (f"{settings.steps} steps of {settings.sampler}, {settings.spacing} spacing, eta {settings.eta:g}: "
               f"bundle {manifest.name} was distilled for {only.steps} steps of {only.sampler}, {only.spacing} "
               f"spacing, eta {only.eta:g}, and serves no others. Leave them out, or take its teacher, "
               f"{manifest.distilled.teacher}.")
    if settings.guidance != 1:
        yield (f"guidance = {settings.guidance:g}: guidance {manifest.distilled.guidance:g} is part of the weights of "
               f"bundle {manifest.name}. Leave it out, or take its teacher, {manifest.distilled.teacher}.")


def _sample_shape(spec: TensorSpec) -> tuple[int, ...]:
    """The shape of one sample: every dimension after the batch, which must be a number."""
    sizes: list[Any] = list(spec.shape[1:])
    if any(isinstance(size, str) for size in sizes):
        raise BundleError(f"input {spec.name} has the shape {list(spec.shape)}; only the batch size may be open.")
    return tuple(sizes)
