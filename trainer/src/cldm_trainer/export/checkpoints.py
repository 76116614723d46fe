"""What a finished run left behind: its networks, and the facts about it that a bundle states."""

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from cldm_runtime.bundle.declarations import find_domain
from cldm_runtime.bundle.nature import joined_nature
from cldm_runtime.errors import DatasetError
from cldm_runtime.store import Dataset, open_dataset

from ..conditions.facts import condition_facts
from ..config import Config
from ..graphs.accurate_norm import use_accurate_norms
from ..graphs.write import round_to_bytes, round_to_half
from ..networks import Encoder, TexturedDecoder
from ..stages import codec, diffusion, label_vae, latents, texture
from ..training import checkpoint
from ..training.batches import one_hot
from .anatomy.traversal import traversal_of
from .generator import GeneratorExport, Networks
from .manifest_sections import TrainingFacts

_VALIDATION_SLICES = 128


def load_generator(config: Config, *, torchscript: bool = True) -> GeneratorExport:
    """Everything for a generator bundle. Raises InputError naming the stage that has not been trained, or for an
    unconditional model."""
    condition_facts(config.diffusion.condition)
    image_codec = latents.trained_codec(config, codec.IMAGE_STAGE)
    affine = latents.load_affines(config.codecs_folder / latents.STAGE)[0]
    encoder = diffusion.trained_condition_encoder(config)
    assert encoder is not None  # there is a condition
    networks = Networks(
        denoiser=diffusion.trained_denoiser(config),
        condition_encoder=encoder,
        decoder=TexturedDecoder(image_codec, affine, texture.trained_texture(config)).eval().requires_grad_(False),
        encoder=Encoder(image_codec, affine).eval().requires_grad_(False),
    )
    use_accurate_norms(encoder)  # it runs once a sample, so it need not be fast
    round_weights(networks, config.export.weights)
    pictures = {}
    if config.diffusion.condition == "label-vae":
        vae = label_vae.trained_label_vae(config)
        pictures = traversal_of(config, vae, vae.decode)
    schedule = diffusion.noise_schedule(config.diffusion)
    training = read_training(config, generator_stages(config))
    return GeneratorExport(config, networks, schedule, training, torchscript, pictures)


def round_weights(networks: Networks, stored: str) -> None:
    """Round large weights in place for storage as "fp32", "fp16" or "int8". The last is the denoiser's alone: the
    others stay in fp16, since they are small and run once."""
    if stored == "fp32":
        return
    for role, module in networks.modules().items():
        if stored == "int8" and role == "denoiser":
            round_to_bytes(module)
        else:
            round_to_half(module)


def generator_stages(config: Config) -> dict[str, Path]:
    """The stages whose weights are in the bundle, and their folders."""
    mask = [codec.MASK_STAGE] if config.diffusion.condition == "mask" else []
    vector = [label_vae.STAGE] if config.diffusion.condition == "label-vae" else []
    folders = {stage: config.codecs_folder / stage for stage in (codec.IMAGE_STAGE, *mask, texture.STAGE)}
    return folders | {stage: config.run_folder / stage for stage in (*vector, diffusion.STAGE)}


def read_training(config: Config, folders: Mapping[str, Path]) -> TrainingFacts:
    """Facts about the cohort and the stages, which are given by name and folder. Raises DatasetError where the cohort
    lacks a column."""
    with open_dataset(config.cohort_file) as dataset:
        subset, attributes = dataset.subset, dataset.mask_attributes
        if subset is None or attributes is None:
            raise DatasetError(
                f"{config.cohort_file}: /subset or /attributes/mask is missing. Make it with `cldm-train prepare`."
            )
        rows = dataset.rows("val")
        rows = rows[np.linspace(0, len(rows) - 1, min(_VALIDATION_SLICES, len(rows))).astype(int)]
        images, masks = dataset.images(rows), dataset.masks(rows)
        counts, nature = count_slices(dataset), dataset.nature
    steps = {stage: int(checkpoint.metadata(folder / checkpoint.MODEL).get("step", "0"))
             for stage, folder in folders.items()}
    if diffusion.STAGE in folders:
        steps |= {f"{diffusion.STAGE} of {run}": number for run, number in diffusion.inherited_steps(config).items()}
    return TrainingFacts(
        counts,
        attributes[subset == "train"],
        torch.from_numpy(images),
        one_hot(torch.from_numpy(masks), len(find_domain(config.cohort.domain).labels)),
        steps,
        {stage: last_figures(folder / "validation.csv") for stage, folder in folders.items()},
        joined_nature([nature, *adopted_natures(config)]),
    )


def adopted_natures(config: Config) -> list[str]:
    """What the bundles were trained on whose weights this run, or the run of its codecs, began with."""
    files = {folder / checkpoint.ADOPTED for folder in (config.run_folder, config.codecs_folder)}
    return [str(json.loads(file.read_text(encoding="utf-8"))["nature"]) for file in sorted(files) if file.exists()]


def count_slices(dataset: Dataset) -> dict[str, int]:
    """Slices and patients of each subset."""
    subset, patients = dataset.subset, dataset.patients
    counts: dict[str, int] = {}
    if subset is not None:
        for name in dict.fromkeys(subset.tolist()):
            counts[f"{name}_slices"] = int((subset == name).sum())
            if patients is not None:
                counts[f"{name}_patients"] = len(np.unique(patients[subset == name]))
    return counts


def last_figures(path: Path) -> dict[str, float]:
    """The last row of a stage's validation.csv, without what was undefined; empty where there is none."""
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    figures = {name: float(value) for name, value in rows[-1].items() if value} if rows else {}
    return {name: float(f"{value:.4g}") for name, value in figures.items() if math.isfinite(value)}
