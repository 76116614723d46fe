"""What a finished run left behind: its networks, and the facts about it that a bundle states."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cldm_runtime.errors import DatasetError
from cldm_runtime.store import Dataset, open_dataset

from ..conditions.kind import Design
from ..conditions.registry import KINDS, condition_facts
from ..config import AcquisitionConfig, TextureConfig
from ..graphs.accurate_norm import use_accurate_norms
from ..networks import Encoder, IdentityCodec, LabelDecoder, PlainDecoder, TexturedDecoder
from ..stages import bases, codec, diffusion, label_vae, latents, texture
from ..stages.acquisition import NO_ACQUISITION, load_spec
from ..stages.lineage import NO_INHERITANCE, Inheritance, inheritance, natures_of, recorded_inheritance
from ..stages.moved import image_attributes
from ..training import checkpoint
from ..training.batches import one_hot
from ..training.run_folder import RunFolder
from .acquisition import acquisition_graph
from .anatomy.traversal import traversal_of
from .generator import GeneratorExport, Networks
from .manifest_sections import TrainingFacts
from .settings import BundleSettings

_VALIDATION_SLICES = 128
_VALIDATION_MAPS = 4  # volumes, for parity alone


def load_generator(settings: BundleSettings, design: Design, section: TextureConfig,
                   acquisition: AcquisitionConfig = NO_ACQUISITION, *, torchscript: bool = True) -> GeneratorExport:
    """Everything for a generator bundle. Raises InputError naming the stage that has not been trained, or for an
    unconditional model."""
    run, codecs = settings.run, design.codecs
    if run.cohort.drawn_labels is None:
        condition_facts(design.diffusion.condition)
    image_codec = codec.trained_image_codec(codecs.image, run)
    affine = latents.load_affines(codecs, run)[0]
    encoder = diffusion.trained_condition_encoder(design, run)
    decoder: TexturedDecoder | LabelDecoder | PlainDecoder
    if isinstance(image_codec, IdentityCodec):
        decoder = PlainDecoder(affine)
    elif run.cohort.drawn_labels is not None:
        decoder = LabelDecoder(image_codec, affine)
    else:
        decoder = TexturedDecoder(image_codec, affine, texture.trained_texture(section, codecs, run, acquisition))
    networks = Networks(
        denoiser=diffusion.trained_denoiser(design, run),
        condition_encoder=encoder,
        decoder=decoder.eval().requires_grad_(False),
        encoder=Encoder(image_codec, affine).eval().requires_grad_(False),
    )
    if encoder is not None:
        use_accurate_norms(encoder)  # it runs once a sample, so it need not be fast
    pictures = {}
    if label_vae.STAGE in KINDS[design.diffusion.condition].stages:
        vae = label_vae.trained_label_vae(design.label_vae, codecs.latents, run)
        pictures = traversal_of(run.cohort, vae, vae.decode)
    parent = KINDS[design.diffusion.condition].parent(design)
    inherited = recorded_inheritance(run.own(bases.STAGE)) or inheritance(run, parent)
    training = read_training(run, generator_stages(design, section, run), inherited, design.told_attributes)
    if (spec := load_spec(acquisition, run)) and isinstance(networks.decoder, TexturedDecoder):
        networks = replace(networks, acquisition=acquisition_graph(
            spec, networks.decoder, networks.encoder, training.images, run.cohort.spacing_mm))
    schedule = diffusion.noise_schedule(design.diffusion)
    return GeneratorExport(settings, networks, schedule, training, torchscript, pictures)


def generator_stages(design: Design, section: TextureConfig, run: RunFolder) -> dict[str, Path]:
    """The stages whose weights are in the bundle, and their folders."""
    kind = KINDS[design.diffusion.condition]
    decoding = (texture.STAGE,) if run.cohort.drawn_labels is None and section.channels else ()
    lent = () if design.codecs.image.is_identity else (codec.IMAGE_STAGE, *kind.codecs, *decoding)
    folders = {stage: run.lent(stage) for stage in lent}
    return folders | {stage: run.own(stage) for stage in (*kind.stages, bases.STAGE)}


def read_training(run: RunFolder, folders: Mapping[str, Path], inherited: Inheritance = NO_INHERITANCE,
                  of_images: tuple[str, ...] = ()) -> TrainingFacts:
    """Facts about the cohort and the stages, which are given by name and folder. inherited: from the denoisers of other
    runs that the run's began with. Raises DatasetError where the cohort lacks a column, InputError where a stage was
    trained on another cohort."""
    path = run.cohort.file
    for folder in folders.values():
        checkpoint.require_config(folder, run.cohort.record)
    with open_dataset(path) as dataset:
        subset, attributes = dataset.subset, dataset.mask_attributes
        if subset is None or attributes is None:
            raise DatasetError(
                f"{path}: /subset or /attributes/mask is missing. Make it with `cldm-train prepare`."
            )
        rows = dataset.rows("val")
        most = _VALIDATION_SLICES if run.cohort.drawn_labels is None else _VALIDATION_MAPS
        rows = rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)]
        images, masks = dataset.images(rows), dataset.masks(rows)
        counts, nature = count_slices(dataset), dataset.nature
    steps = {stage: int(checkpoint.metadata(folder / checkpoint.MODEL).get("step", "0"))
             for stage, folder in folders.items()}
    steps |= {f"{bases.STAGE} of {name}": number for name, number in inherited.steps.items()}
    natures = sorted({nature, *natures_of(folders.values(), inherited)})
    return TrainingFacts(
        counts,
        _attributes(run, attributes[subset == "train"], of_images),
        torch.from_numpy(images),
        one_hot(torch.from_numpy(masks), run.cohort.classes),
        steps,
        {stage: last_figures(folder / "validation.csv") for stage, folder in folders.items()},
        tuple(natures),
        run.cohort.sha256,
        of_images,
    )


def _attributes(run: RunFolder, values: NDArray[np.float32], of_images: Sequence[str]) -> NDArray[np.float32]:
    """Attributes of the training slices (N, A), then those of images."""
    return np.concatenate([values, image_attributes(run.cohort, "train", of_images)], axis=1) if of_images else values


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
