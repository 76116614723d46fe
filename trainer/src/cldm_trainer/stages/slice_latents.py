"""Latents of a cohort's slices, drawn by a bundle's image encoder: what a student's finished latents are compared with.

    <run folder>/slice-latents/train.safetensors    latent (copies * N, C, *latent), float16, standardised

The slices come in the order of `moved.label_maps`, rotated, shifted and scaled as those are.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.cli.progress import show_progress
from cldm_runtime.engines.open import open_graph
from cldm_runtime.errors import BundleError
from cldm_runtime.files.records import plain

from ..config import LatentsConfig
from ..training import checkpoint
from ..training.batches import load_slices, step_generator
from ..training.derived_tensors import is_fresh, load_derived, save_derived
from ..training.processes import by_first
from ..training.run_folder import RunFolder
from .latents import BATCH, moved_slices

STAGE = "slice-latents"
SUBSET = "train"
_ROLE = "encoder"


@by_first
def run(section: LatentsConfig, run: RunFolder, bundle: Bundle) -> None:
    """Encode the training slices, unless that has been done. Raises BundleError for a bundle without an encoder."""
    torch.set_num_threads(run.settings.threads)
    path, made_from = _file(run), fingerprint(section, run, bundle)
    if is_fresh(path, made_from):
        return
    engine = open_graph(bundle, _ROLE, threads=run.settings.threads)
    slices = load_slices(run.cohort.file, SUBSET)
    batches = section.copies * -(-len(slices) // BATCH)
    parts = []
    moved = moved_slices(slices, run.cohort.classes, section, section.copies, run.settings.seed)
    with show_progress("latents of slices", batches, sys.stderr) as progress:
        for number, (image, _) in enumerate(moved):
            generator = step_generator(run.settings.seed, number)
            noise = torch.randn((len(image), *_latent_shape(bundle)), generator=generator)
            outputs = engine.run({"image": image.numpy(), "posterior_noise": noise.numpy()})
            parts.append(torch.from_numpy(np.asarray(outputs["latent"])).half())
            progress(number + 1, batches)
    save_derived(path, {"latent": torch.cat(parts)}, made_from)


def load(section: LatentsConfig, run: RunFolder, bundle: Bundle) -> Tensor:
    """The latents. Raises InputError if they are missing or of another cohort, encoder or [latents] section."""
    path = _file(run)
    return load_derived(path, fingerprint(section, run, bundle), checkpoint.command("finish", path.parent))["latent"]


def fingerprint(section: LatentsConfig, run: RunFolder, bundle: Bundle) -> dict[str, str]:
    """What the latents depend on. Raises BundleError for a bundle without an image encoder."""
    graph = bundle.manifest.graphs.get(_ROLE)
    if graph is None:
        raise BundleError(f"bundle {bundle.path} has no image encoder, which [[finish]] needs. Leave that section "
                          "out, or distil a bundle with one.")
    return {"encoder": graph.sha256, "cohort": run.cohort.sha256, "seed": str(run.settings.seed),
            "config": json.dumps(plain(section), sort_keys=True)}


def _latent_shape(bundle: Bundle) -> tuple[int, ...]:
    return tuple(int(size) for size in bundle.manifest.graphs[_ROLE].outputs[0].shape[1:])


def _file(run: RunFolder) -> Path:
    return run.own(STAGE) / f"{SUBSET}.safetensors"
