"""A loop with diffusers' schedulers around this project's trained denoiser and decoder in torch, plain and compiled."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cldm_runtime.bench.work import BundleNetworks, Clock, Parts, example_sources
from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.diffusion.samplers import SAMPLERS
from cldm_runtime.errors import InputError
from cldm_runtime.generation.pipeline import decoder_noise, initial_noise

from ..conditions.kind import Design
from ..graphs.read_weights import fill
from ..stages.config_file import load_config
from ..stages.from_bundle import untrained
from .torch_flops import call_flops

ESTIMATE_STEPS = 4
_PREDICTIONS = {"v": "v_prediction", "epsilon": "epsilon", "sample": "sample"}


class DiffusersLoop:
    """The bundle's networks in torch, its conditions, its noise and its schedule, sampled by diffusers."""

    def __init__(self, config: str, bundle: str, sampler: str, steps: int, threads: int, compiled: bool = False,
                 seed: int = 0, clock: Clock = time.perf_counter) -> None:
        """config: the configuration that the bundle's networks were trained with.

        Raises InputError for a bundle whose networks are others, or that is not conditioned by label maps alone.
        """
        torch.set_num_threads(threads)
        self._bundle, self._seed, self._threads, self._clock = Bundle.load(bundle), seed, threads, clock
        self._modules = bundle_modules(Path(config), self._bundle)
        manifest = self._bundle.manifest
        assert manifest.schedule is not None and manifest.sampling is not None  # a generator has both
        self._guidance, self._name, self._steps = manifest.sampling.guidance, sampler, steps
        self._scheduler = make_scheduler(sampler, np.array(manifest.schedule.alphas_cumprod),
                                         _PREDICTIONS[manifest.schedule.prediction_type])
        self._denoise, self._decode, self._encode = (
            _wrapped(self._modules[role], compiled) for role in ("denoiser", "decoder", "mask_encoder"))
        self._null = torch.tensor(manifest.conditions[0].null or ()).reshape(1, -1, 1, 1)
        self._one_hot, self._noise = torch.zeros(0), torch.zeros(0)
        self._texture: tuple[Tensor, ...] = ()  # a decoder that only scales takes none
        self.prepare(1)

    def facts(self) -> dict[str, Any]:
        self.prepare(1)
        modules, image = self._modules, self._sample(self._steps)
        condition = self._null.expand(1, -1, *self._noise.shape[-2:])
        once = call_flops(lambda: modules["mask_encoder"](self._one_hot))
        once += call_flops(lambda: modules["decoder"](self._noise, *self._texture))
        each = call_flops(lambda: modules["denoiser"](self._noise, torch.tensor([1.0]), condition))
        evaluations = self._steps * (2 if self._guidance != 1 else 1)
        return {"networks": self._bundle.identity, "sampler": self._name, "steps": self._steps,
                "guidance": self._guidance, "precision": "fp32", "evaluations": evaluations,
                "gflop_per_image": (once + each * evaluations) / 1e9,
                "differs_from_runtime": self._difference(image)}

    def prepare(self, batch: int) -> None:
        sources, graphs = example_sources(self._bundle, batch, self._seed), self._bundle.manifest.graphs
        indices = np.arange(batch, dtype=np.int64)
        texture = decoder_noise(graphs["decoder"], self._seed, indices).values()
        noise = initial_noise(graphs["denoiser"], self._seed, indices)
        self._one_hot = torch.from_numpy(np.array(sources["one_hot"]))
        self._noise, self._texture = torch.from_numpy(noise), tuple(map(torch.from_numpy, texture))

    def complete(self) -> int:
        self._sample(self._steps)
        return len(self._noise)

    @torch.inference_mode()
    def estimate(self) -> Parts:
        steps = min(ESTIMATE_STEPS, self._steps)
        parts, started = {"images": float(len(self._noise))}, self._clock()
        condition = self._encode(self._one_hot)
        parts["condition encoder"], started = self._clock() - started, self._clock()
        latent = self._walk(condition, steps)
        parts["denoiser and sampler"], started = (self._clock() - started) * self._steps / steps, self._clock()
        self._decode(latent, *self._texture)
        parts["decoder"] = self._clock() - started
        return parts

    @torch.inference_mode()
    def _sample(self, steps: int) -> Tensor:
        image: Tensor = self._decode(self._walk(self._encode(self._one_hot), steps), *self._texture)
        return image

    def _walk(self, condition: Tensor, steps: int) -> Tensor:
        """From noise to latents, both halves of a guided step in one call."""
        guided = self._guidance != 1
        conditions = torch.cat([condition, self._null.expand_as(condition)]) if guided else condition
        self._scheduler.set_timesteps(steps)
        x: Tensor = self._noise * self._scheduler.init_noise_sigma
        for t in self._scheduler.timesteps:
            inputs = torch.cat([x, x]) if guided else x
            prediction = self._denoise(inputs, t.float().expand(len(inputs)), conditions)
            if guided:
                conditional, null = prediction.chunk(2)
                prediction = null + self._guidance * (conditional - null)
            x = self._scheduler.step(prediction, t, x).prev_sample
        return x

    def _difference(self, image: Tensor) -> float | None:
        """Root mean square difference from the runtime's image of the same noise and sampler, where it has that."""
        if self._name not in SAMPLERS:
            return None
        runtime = BundleNetworks(str(self._bundle.path), threads=self._threads, seed=self._seed, sampler=self._name,
                                 steps=self._steps)
        runtime.prepare(1)
        return float(np.sqrt(np.mean((image.numpy() - runtime.image()) ** 2)))


def bundle_modules(config: Path, bundle: Bundle) -> dict[str, nn.Module]:
    """Encoder of the condition, denoiser and decoder of a mask-conditioned bundle, in torch, ready to run."""
    if [condition.encoder for condition in bundle.manifest.conditions] != ["mask_encoder"]:
        raise InputError(f"{bundle.path}: only bundles conditioned by the mask's latent are rebuilt in torch.")
    loaded = load_config(config)
    every = untrained(Design.of(loaded), loaded.texture, bundle.manifest.image.channels)
    modules = {role: module for role, module in every.items() if role != "encoder"}
    for role, module in modules.items():
        graph = bundle.manifest.graphs[role]
        fill(module, graph, bundle.read(graph), role)
        module.eval().requires_grad_(False)
    return modules


def make_scheduler(sampler: str, alphas_cumprod: np.ndarray[Any, np.dtype[np.float64]], prediction: str) -> Any:
    """diffusers' scheduler for the same noise levels and steps as the runtime's sampler of that name."""
    from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

    betas = 1.0 - alphas_cumprod / np.concatenate([[1.0], alphas_cumprod[:-1]])
    shared: dict[str, Any] = {"num_train_timesteps": len(betas), "trained_betas": betas.tolist(),
                              "prediction_type": prediction, "timestep_spacing": "trailing"}
    if sampler == "ddim":
        return DDIMScheduler(**shared, clip_sample=False, set_alpha_to_one=True)
    if sampler == "dpm++2m":
        return DPMSolverMultistepScheduler(**shared, algorithm_type="dpmsolver++", solver_order=2)
    raise InputError(f"sampler {sampler!r}: diffusers is driven with ddim and dpm++2m.")


def _wrapped(module: nn.Module, compiled: bool) -> Any:
    return torch.compile(module) if compiled else module
