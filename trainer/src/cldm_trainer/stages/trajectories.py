"""Where a bundle's denoiser walks from noise to latents: what a student of fewer steps learns from.

    <run folder>/trajectories/<subset>-<part>.safetensors
        x (n, S + 1, C, *latent)  states at S evenly spaced steps, from noise to the finished latent
        condition (n, ...)       the denoiser's condition; both float16

The teacher walks in more steps, of second order, with the guidance that the bundle stands for, so the student needs
none. Only a bundle and a cohort's label maps are needed, no image and no run folder.
"""

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cldm_runtime.bundle.conditions import encoder_inputs
from cldm_runtime.bundle.manifest import GraphSpec, SamplingSpec
from cldm_runtime.bundle.sources import CLASSES
from cldm_runtime.cli.progress import show_progress
from cldm_runtime.diffusion.samplers import Denoise, Noise
from cldm_runtime.diffusion.schedule import Array, StepTable
from cldm_runtime.engines.engine import Tensors
from cldm_runtime.engines.open import open_graph
from cldm_runtime.errors import InputError
from cldm_runtime.files.records import plain
from cldm_runtime.generation.pipeline import Pipeline, initial_noise

from ..conditions.kind import Design
from ..config import DistilConfig, LatentsConfig, RunConfig
from ..training import checkpoint
from ..training.batches import in_batches
from ..training.derived_tensors import is_fresh, load_derived, save_derived
from ..training.processes import by_first
from ..training.run_folder import RunFolder
from .from_bundle import load_denoiser, teacher_bundle
from .moved import label_maps, measured_attributes

STAGE = "trajectories"
SUBSETS = ("train", "val")
_PART, _BATCH = 320, 32
_UNSEEN = 128  # trajectories of validation slices
_SEEDS = {"train": 0, "val": 1}


@dataclass(frozen=True)
class Trajectories:
    """States (N, S + 1, C, *latent) and conditions (N, ...), float16."""

    x: Tensor
    condition: Tensor

    def __len__(self) -> int:
        return len(self.x)


@by_first
def run(section: DistilConfig, design: Design, run: RunFolder) -> None:
    """Walk every trajectory that is missing. Raises InputError for a [distil] section that does not fit the bundle."""
    torch.set_num_threads(run.settings.threads)
    folder, fingerprint = run.own(STAGE), recipe(section, design.codecs.latents, run)
    missing = [(subset, number) for subset in SUBSETS for number in range(_parts(section, subset))
               if not is_fresh(_file(folder, subset, number), fingerprint)]
    if not missing:
        return
    teacher = Teacher(section, design, run)
    for subset in SUBSETS:
        numbers = [number for name, number in missing if name == subset]
        with show_progress(f"trajectories, {subset}", len(numbers), sys.stderr) as progress:
            for done, number in enumerate(numbers, 1):
                tensors = teacher.walk(subset, number)
                save_derived(_file(folder, subset, number), tensors, fingerprint)
                progress(done, len(numbers))


def load_trajectories(section: DistilConfig, latents: LatentsConfig, run: RunFolder, subset: str) -> Trajectories:
    """The trajectories of a subset. Raises InputError if they have not been walked."""
    folder, fingerprint = run.own(STAGE), recipe(section, latents, run)
    parts = [load_derived(_file(folder, subset, number), fingerprint, checkpoint.command(STAGE, folder))
             for number in range(_parts(section, subset))]
    return Trajectories(*(torch.cat([part[name] for part in parts]) for name in ("x", "condition")))


class Teacher:
    """The bundle's denoiser in torch, on label maps of a cohort."""

    def __init__(self, section: DistilConfig, design: Design, run: RunFolder) -> None:
        self.section, self.latents, self.run = section, design.codecs.latents, run
        self.bundle = teacher_bundle(section.bundle)
        manifest = self.bundle.manifest
        self.pipeline = Pipeline(manifest, {
            **{condition.encoder: open_graph(self.bundle, condition.encoder) for condition in manifest.conditions},
            "denoiser": AutocastEngine(load_denoiser(design.diffusion, self.bundle), manifest.graphs["denoiser"],
                                       run.settings)})
        self.table = self.pipeline.schedule.step_table(section.states, "trailing")
        self.settings = teacher_settings(section, manifest.sampling)
        missing = set(self.table.timesteps) - set(self.pipeline.plan(self.settings).table.timesteps)
        if missing:
            raise InputError(f"distil.teacher_steps = {self.settings.steps}: its steps do not pass through the "
                             f"{section.states} states to keep (training steps "
                             f"{sorted(int(t) for t in missing)} are left out). Take a multiple of the states.")
        self._sources: dict[str, tuple[NDArray[np.uint8], NDArray[np.float32] | None]] = {}

    def walk(self, subset: str, number: int) -> dict[str, Tensor]:
        """One part of the trajectories of a subset."""
        rows = part_rows(self.section, subset, number)
        states, conditions = [], []
        for part in in_batches(len(rows), _BATCH):
            x, fed = self._batch(subset, rows[part])
            states.append(torch.from_numpy(x).half())
            conditions.append(torch.from_numpy(fed).half())
        return {"x": torch.cat(states), "condition": torch.cat(conditions)}

    def _batch(self, subset: str, indices: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        masks, attributes = self._told(subset)
        rows = indices % len(masks)
        manifest = self.bundle.manifest
        requested = np.zeros((len(rows), 0), np.float32) if attributes is None else attributes[rows]
        seed, others = _SEEDS[subset], dict[str, NDArray[Any]]()
        if CLASSES.name in manifest.sources:
            others[CLASSES.name] = classes_told(seed, indices, len(manifest.labels.names))
        fed = self.pipeline.encode(encoder_inputs(manifest, self.bundle.domain(), masks[rows], requested, others))
        start = initial_noise(manifest.graphs["denoiser"], seed, indices)
        plan = self.pipeline.plan(self.settings)
        states: list[Array] = []
        recording = replace(plan, sampler=recorded(plan.sampler, set(self.table.timesteps.tolist()), states))
        states.append(self.pipeline.latents(start, fed, recording, seed, indices))
        return np.stack(states, axis=1), fed[manifest.conditions[0].feeds]

    def _told(self, subset: str) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None]:
        """Label maps (N, *spatial) and, where the bundle takes them, attributes (N, A), in an order of their own."""
        if subset not in self._sources:
            masks = label_maps(self.latents, self.run, subset).numpy()
            order = order_told(self.run.settings.seed, len(masks))
            attributes = None
            if "attributes" in self.bundle.manifest.sources:
                values, defined = measured_attributes(self.latents, self.run, subset,
                                                      self.run.cohort.domain.image_attribute_names)
                attributes = np.where(defined.numpy() > 0, values.numpy(), np.nan)[order].astype(np.float32)
            self._sources[subset] = masks[order], attributes
        return self._sources[subset]


class AutocastEngine:
    """A torch denoiser where the pipeline expects a graph's engine, on the run's device and in its precision."""

    def __init__(self, module: nn.Module, graph: GraphSpec, settings: RunConfig) -> None:
        accelerator = settings.accelerator
        cuda = accelerator == "cuda" or (accelerator == "auto" and torch.cuda.is_available())
        self.device = torch.device("cuda" if cuda else "cpu")
        self._half = settings.precision.startswith("bf16")
        self._module, self._graph = module.eval().to(self.device), graph

    @property
    def provider(self) -> str:
        return "torch"

    @torch.inference_mode()
    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        tensors = [torch.from_numpy(np.ascontiguousarray(inputs[spec.name])).to(self.device)
                   for spec in self._graph.inputs]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._half):
            output = self._module(*tensors)
        return {self._graph.outputs[0].name: output.float().cpu().numpy()}


def classes_told(seed: int, indices: NDArray[np.int64], classes: int) -> NDArray[np.bool_]:
    """Which classes (n, K) of their label maps trajectories are told: all in every second one, else each by chance."""
    drawn = np.stack([np.random.default_rng([seed, int(index)]).random(classes) for index in indices])
    told: NDArray[np.bool_] = (drawn < 0.5) | (indices % 2 == 0)[:, None] | (np.arange(classes) == 0)
    return told


def order_told(seed: int, count: int) -> NDArray[np.int64]:
    """The order in which the trajectories of a subset are told its `count` label maps, again and again."""
    return np.random.default_rng(seed).permutation(count)


def recorded(sampler: Callable[..., Array], stops: set[int], states: list[Array]) -> Callable[..., Array]:
    """A sampler that puts its state at some training steps into `states`."""
    def sample(denoise: Denoise, x: Array, table: StepTable, noise: Noise) -> Array:
        def seen(x: Array, timestep: int, alpha: float, sigma: float) -> Array:
            if timestep in stops:
                states.append(x)
            return denoise(x, timestep, alpha, sigma)

        return sampler(seen, x, table, noise)

    return sample


def teacher_settings(section: DistilConfig, default: SamplingSpec | None) -> SamplingSpec:
    """How the teacher walks: deterministic, second order, guided as its bundle is unless told otherwise."""
    assert default is not None  # a generator has it: the manifest was checked
    return replace(default, sampler="dpm++2m", eta=0.0, spacing="trailing", steps=section.teacher_steps,
                   guidance=section.guidance or default.guidance)


def part_rows(section: DistilConfig, subset: str, number: int) -> NDArray[np.int64]:
    """Numbers of the trajectories of a part."""
    return np.arange(number * _PART, min((number + 1) * _PART, _count(section, subset)), dtype=np.int64)


def _file(folder: Path, subset: str, number: int) -> Path:
    return folder / f"{subset}-{number:03d}.safetensors"


def _count(section: DistilConfig, subset: str) -> int:
    return section.trajectories if subset == "train" else min(_UNSEEN, section.trajectories)


def _parts(section: DistilConfig, subset: str) -> int:
    return -(-_count(section, subset) // _PART)


def recipe(section: DistilConfig, latents: LatentsConfig, run: RunFolder) -> dict[str, str]:
    """What the trajectories depend on: of the bundle, its networks, schedule and guidance."""
    manifest = teacher_bundle(section.bundle).manifest
    basis = {
        "section": {name: plain(section)[name] for name in ("states", "teacher_steps", "trajectories")},
        "networks": {role: graph.sha256 for role, graph in manifest.graphs.items()
                     if role not in ("encoder", "decoder")},
        "schedule": plain(manifest.schedule), "nulls": [condition.null for condition in manifest.conditions],
        "settings": plain(teacher_settings(section, manifest.sampling)), "moved": plain(latents),
        "precision": run.settings.precision, "seed": run.settings.seed, "cohort": run.cohort.sha256,
    }
    return {"recipe_sha256": hashlib.sha256(json.dumps(basis, sort_keys=True).encode()).hexdigest()}
