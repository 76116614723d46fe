"""Encodes every slice and label map once; the diffusion model never sees a pixel.

    <run folder>/latents/latents.safetensors    for each subset: <subset>.mean, <subset>.deviation, <subset>.mask (raw
                                                latents, float16), and image_mean, image_std, mask_mean, mask_std
                                                (C,) of the training subset: the per-channel standardisation

    <run folder>/latents/standardisation.safetensors    where the weights come from a bundle: its standardisation, kept

The training subset may be encoded several times, the further times rotated, shifted and scaled a little together with
its label maps: a cohort has few slices for a generative model.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from cldm_runtime.errors import InputError
from cldm_runtime.files.digest import sha256_of
from cldm_runtime.files.records import plain

from ..config import CodecSections, LatentsConfig
from ..networks import Affine, Codec
from ..training import checkpoint
from ..training.batches import Slices, in_batches, load_slices, move, one_hot, step_generator
from ..training.processes import by_first
from ..training.run_folder import RunFolder
from .codec import IMAGE_STAGE, MASK_STAGE, trained_image_codec, trained_mask_codec

STAGE = "latents"
_FILE, _KEPT = "latents.safetensors", "standardisation.safetensors"
_SUBSETS = ("train", "val")
BATCH = 32


@dataclass(frozen=True)
class Latents:
    """Raw latents of one subset, float16: mean and deviation (N, C, *latent) of the images, mask (N, Cm, *latent)."""

    mean: Tensor
    deviation: Tensor
    mask: Tensor

    def __len__(self) -> int:
        return len(self.mean)


def load_affines(folder: Path) -> tuple[Affine, Affine]:
    """Standardisation of the image's and of the mask's latents. Raises InputError if the latents are missing."""
    tensors = _load(folder)
    dims = tensors["val.mask"].ndim - 2
    return (Affine(tensors["image_mean"], tensors["image_std"], dims),
            Affine(tensors["mask_mean"], tensors["mask_std"], dims))


def load_latents(folder: Path, subset: str) -> Latents:
    """Latents of a subset ("train" or "val"). Raises InputError if they are missing."""
    tensors = _load(folder)
    return Latents(tensors[f"{subset}.mean"], tensors[f"{subset}.deviation"], tensors[f"{subset}.mask"])


def _load(folder: Path) -> dict[str, Tensor]:
    path = folder / _FILE
    if not path.exists():
        raise InputError(f"{path}: not found. Make it first: {checkpoint.command(STAGE, folder)}.")
    return checkpoint.load_tensors(path)


def fingerprint(section: LatentsConfig, run: RunFolder) -> dict[str, str]:
    """What the latents depend on; a difference means that they are out of date."""
    return {
        "config": json.dumps(plain(section), sort_keys=True),
        "cohort": run.cohort.sha256,
        "image_codec": sha256_of(run.lent(IMAGE_STAGE) / checkpoint.MODEL),
        "mask_codec": sha256_of(run.lent(MASK_STAGE) / checkpoint.MODEL),
    }


@by_first
def run(sections: CodecSections, run: RunFolder) -> None:
    """Encode the training and validation subsets; at once if that has been done with these codecs.

    Raises InputError where `run.codecs` names a run whose latents are missing or out of date.
    """
    torch.set_num_threads(run.settings.threads)
    images, maps = trained_image_codec(sections.image, run), trained_mask_codec(sections.mask, run)
    section, path, metadata = sections.latents, run.lent(STAGE) / _FILE, fingerprint(sections.latents, run)
    if run.settings.codecs:
        for stage, codec in ((IMAGE_STAGE, sections.image), (MASK_STAGE, sections.mask)):
            resolved = {"seed": run.settings.seed, **plain(codec), **run.cohort.record}
            checkpoint.require(run.lent(stage), stage, codec.optimiser.steps, resolved)
    if checkpoint.metadata(path) == metadata:
        return
    if run.settings.codecs:
        state = "of another cohort, other codecs or another [latents] section" if path.exists() else "not found"
        raise InputError(f"{path}: {state}. Make it first: {checkpoint.command(STAGE, path.parent)}.")
    tensors: dict[str, Tensor] = {}
    for subset in _SUBSETS:
        latents = encode(images, maps, load_slices(run.cohort.file, subset), section,
                         copies=section.copies if subset == "train" else 1, seed=run.settings.seed)
        tensors |= {f"{subset}.{name}": getattr(latents, name) for name in ("mean", "deviation", "mask")}
        if subset == "train":
            tensors |= statistics(latents)
    standardisation = path.with_name(_KEPT)
    tensors |= checkpoint.load_tensors(standardisation) if standardisation.exists() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.save_tensors(path, tensors, metadata)


def keep_standardisation(folder: Path, image: Affine, mask: Affine) -> None:
    """Make the stage in `folder` standardise by these values, which a denoiser was trained with, not by its own."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {"image_mean": image.mean, "image_std": image.std, "mask_mean": mask.mean, "mask_std": mask.std}
    checkpoint.save_tensors(folder / _KEPT, {name: value.flatten() for name, value in values.items()}, {})


def statistics(latents: Latents) -> dict[str, Tensor]:
    """Per-channel mean and std of z = mean + deviation * noise, and of the mask's latents."""
    mean, deviation, mask = latents.mean.float(), latents.deviation.float(), latents.mask.float()
    axes = (0, *range(2, mean.ndim))
    variance = mean.var(axes, correction=0) + deviation.square().mean(axes)
    return {"image_mean": mean.mean(axes), "image_std": variance.sqrt(),
            "mask_mean": mask.mean(axes), "mask_std": mask.std(axes, correction=0)}


@torch.no_grad()
def encode(image_codec: Codec, mask_codec: Codec, slices: Slices, config: LatentsConfig, copies: int,
           seed: int) -> Latents:
    """`copies` encodings of each slice, the first of them plain, copy after copy."""
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for image, mask in moved_slices(slices, mask_codec.image_channels, config, copies, seed):
        mean, deviation = image_codec.encode(2.0 * image - 1.0)
        parts.append((mean.half(), deviation.half(), mask_codec.encode(mask)[0].half()))
    mean, deviation, mask = (torch.cat(column) for column in zip(*parts, strict=True))
    return Latents(mean, deviation, mask)


def moved_slices(slices: Slices, classes: int, config: LatentsConfig, copies: int,
                 seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of images (n, C, *spatial) and one-hot maps, copy after copy, the first of them as they are."""
    for copy in range(copies):
        for number, part in enumerate(in_batches(len(slices), BATCH)):
            image, mask = slices.images[part], one_hot(slices.masks[part], classes)
            yield (image, mask) if copy == 0 else _move_both(image, mask, config, (seed, number, copy))


def _move_both(image: Tensor, mask: Tensor, config: LatentsConfig, key: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """The same random motion for images and one-hot maps; the maps become one-hot again."""
    limits = (config.rotation_deg, config.shift_pixels, config.scale)
    image = move(image, *limits, generator=step_generator(*key), mode="bicubic").clamp(0.0, 1.0)
    return image, one_hot(move_labels(mask, config, key), mask.shape[1])


def move_labels(mask: Tensor, config: LatentsConfig, key: tuple[int, int, int]) -> Tensor:
    """One-hot maps (N, K, *spatial), moved -> labels (N, *spatial)."""
    limits = (config.rotation_deg, config.shift_pixels, config.scale)
    return move(mask, *limits, generator=step_generator(*key)).argmax(1)
