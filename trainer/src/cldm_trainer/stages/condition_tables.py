"""What the denoiser is told about each sample, for each kind of condition.

    condition     sources in training, as the encoder takes them        encoder, learned with the denoiser
    none          -                                                     -
    mask          mask_latent, standardised, from the latents           -
    attributes    attributes and defined, (N, A)                        AttributeTokens
    label-vae     the label VAE's mean and ones, (N, d)                 AttributeTokens
    control       the label map, one-hot                                ControlEncoder

    <run folder>/conditions/<condition>.safetensors    <subset>.values, <subset>.defined: one row for each latent

The label maps and attributes of moved copies are those of `moved`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from cldm_runtime.bundle.declarations import find_domain
from cldm_runtime.files.digest import sha256_of

from ..config import Config
from ..networks import AttributeTokens
from ..training import checkpoint
from ..training.batches import in_batches, one_hot
from ..training.processes import by_first
from . import label_vae
from . import latents as latents_stage
from .latents import load_affines, load_latents
from .moved import label_maps, measured_attributes

FOLDER = "conditions"
SUBSETS = ("train", "val")
Rows = slice | NDArray[np.int64]
Sources = tuple[Tensor, ...]
_BATCH = 64


@dataclass(frozen=True)
class Table:
    """The condition of every sample of a subset: columns (N, ...), and what makes a source of some of their rows."""

    columns: tuple[Tensor, ...]
    prepare: Callable[[Tensor], Tensor]

    def __call__(self, rows: Rows) -> Sources:
        """The sources of some rows."""
        return tuple(self.prepare(column[rows]) for column in self.columns)


def tables(config: Config) -> dict[str, Table]:
    """The conditions of the training and validation samples, in the order of their latents."""
    kind = config.diffusion.condition
    if kind == "none":
        return {subset: Table((), torch.Tensor.float) for subset in SUBSETS}
    if kind == "mask":
        folder = config.codecs_folder / latents_stage.STAGE
        affine = load_affines(folder)[1]
        return {subset: Table((load_latents(folder, subset).mask,), lambda raw: affine.standardise(raw.float()))
                for subset in SUBSETS}
    if kind == "control":
        classes = len(find_domain(config.cohort.domain).labels)
        return {subset: Table((label_maps(config, subset),), lambda labels: one_hot(labels, classes))
                for subset in SUBSETS}
    stored = _stored(config, kind)
    return {subset: Table((stored[f"{subset}.values"], stored[f"{subset}.defined"]), torch.Tensor.float)
            for subset in SUBSETS}


def prepare_encoder(encoder: nn.Module, training: Table) -> None:
    """Give an encoder of numbers the mean and deviation of the training samples."""
    if isinstance(encoder, AttributeTokens):
        encoder.standardise_by(*training.columns)


@by_first
def _stored(config: Config, kind: str) -> dict[str, Tensor]:
    """Values and definedness of every sample; made once, and again when what they depend on has changed."""
    path, wanted = config.run_folder / FOLDER / f"{kind}.safetensors", latents_stage.fingerprint(config)
    wanted["seed"] = str(config.run.seed)
    if kind == "label-vae":
        wanted["label_vae"] = sha256_of(config.run_folder / label_vae.STAGE / checkpoint.MODEL)
    if checkpoint.metadata(path) != wanted:
        make = measured_attributes if kind == "attributes" else _label_vectors
        tensors: dict[str, Tensor] = {}
        for subset in SUBSETS:
            tensors[f"{subset}.values"], tensors[f"{subset}.defined"] = make(config, subset)
        path.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.save_tensors(path, tensors, wanted)
    return dict(load_file(path))


@torch.no_grad()
def _label_vectors(config: Config, subset: str) -> tuple[Tensor, Tensor]:
    """The label VAE's mean (N, d) of a subset's samples; it is defined everywhere."""
    vae, maps = label_vae.trained_label_vae(config), label_maps(config, subset)
    classes = len(find_domain(config.cohort.domain).labels)
    means = torch.cat([vae.encode(one_hot(maps[part], classes))[0] for part in in_batches(len(maps), _BATCH)])
    return means, torch.ones_like(means)
