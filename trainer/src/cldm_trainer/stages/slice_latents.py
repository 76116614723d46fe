"""Latents of a cohort's slices, drawn by a bundle's image encoder: what a student's finished latents are compared with.

    <run folder>/slice-latents/train.safetensors    latent (copies * N, C, h, w), float16, standardised

The slices come in the order of `moved.label_maps`, rotated, shifted and scaled as those are.
"""

import json
from pathlib import Path

import click
import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.bundle.declarations import find_domain
from cldm_runtime.engines.open import open_graph
from cldm_runtime.errors import BundleError, InputError
from cldm_runtime.files.records import plain

from ..config import Config
from ..training import checkpoint
from ..training.batches import load_slices, step_generator
from ..training.processes import by_first
from .latents import BATCH, moved_slices

STAGE = "slice-latents"
SUBSET = "train"
_ROLE = "encoder"


@by_first
def run(config: Config, bundle: Bundle) -> None:
    """Encode the training slices, unless that has been done. Raises BundleError for a bundle without an encoder."""
    torch.set_num_threads(config.run.threads)
    path, wanted = _file(config), fingerprint(config, bundle)
    if checkpoint.metadata(path) == wanted:
        return
    engine = open_graph(bundle, _ROLE, threads=config.run.threads)
    slices = load_slices(config.cohort_file, SUBSET)
    batches = config.latents.copies * -(-len(slices) // BATCH)
    parts = []
    classes = len(find_domain(config.cohort.domain).labels)
    moved = moved_slices(slices, classes, config.latents, config.latents.copies, config.run.seed)
    with click.progressbar(moved, length=batches, label="latents of slices") as shown:
        for number, (image, _) in enumerate(shown):
            generator = step_generator(config.run.seed, number)
            noise = torch.randn((len(image), *_latent_shape(bundle)), generator=generator)
            said = engine.run({"image": image.numpy(), "posterior_noise": noise.numpy()})
            parts.append(torch.from_numpy(np.asarray(said["latent"])).half())
    path.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.save_tensors(path, {"latent": torch.cat(parts)}, wanted)


def load(config: Config, bundle: Bundle) -> Tensor:
    """The latents. Raises InputError if they are missing or of another cohort, encoder or [latents] section."""
    path = _file(config)
    if checkpoint.metadata(path) != fingerprint(config, bundle):
        raise InputError(f"{path}: missing or out of date. Make it first: `cldm-train finish`.")
    latents: Tensor = load_file(path)["latent"]
    return latents


def fingerprint(config: Config, bundle: Bundle) -> dict[str, str]:
    """What the latents depend on. Raises BundleError for a bundle without an image encoder."""
    graph = bundle.manifest.graphs.get(_ROLE)
    if graph is None:
        raise BundleError(f"bundle {bundle.path} has no image encoder, which [[finish]] needs. Leave that section "
                          "out, or distil a bundle with one.")
    return {"encoder": graph.sha256, "cohort": str(config.cohort_file), "seed": str(config.run.seed),
            "config": json.dumps(plain(config.latents), sort_keys=True)}


def _latent_shape(bundle: Bundle) -> tuple[int, ...]:
    return tuple(int(size) for size in bundle.manifest.graphs[_ROLE].outputs[0].shape[1:])


def _file(config: Config) -> Path:
    return config.run_folder / STAGE / f"{SUBSET}.safetensors"
