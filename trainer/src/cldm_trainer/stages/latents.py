"""Encodes every slice and label map once; the diffusion model never sees a pixel.

    <run folder>/latents/latents.safetensors    for each subset: <subset>.mean, <subset>.deviation, <subset>.mask (raw
                                                latents, float16), and image_mean, image_std, mask_mean, mask_std
                                                (C,) of the training subset: the per-channel standardisation;
                                                0 and 1 where the codec has components

    <run folder>/latents/standardisation.safetensors    where the weights come from a bundle: its standardisation, kept

The training subset may be encoded several times, the further times rotated, shifted and scaled a little together with
its label maps: a cohort has few slices for a generative model.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from cldm_runtime.domains.label_channels import LabelChannels
from cldm_runtime.errors import InputError
from cldm_runtime.files.digest import sha256_of
from cldm_runtime.files.records import plain

from ..config import CodecSections, LatentsConfig
from ..config.codec import IDENTITY
from ..networks import Affine, Codec, IdentityCodec
from ..training import checkpoint
from ..training.batches import Slices, in_batches, move, one_hot, samples_at_once, step_generator
from ..training.derived_tensors import is_fresh, load_derived, save_derived
from ..training.processes import by_first
from ..training.run_folder import RunFolder
from .codec import (
    IMAGE_STAGE,
    MASK_STAGE,
    codec_stages,
    image_codec_made_from,
    mask_codec_made_from,
    trained_image_codec,
    trained_mask_codec,
)

STAGE = "latents"
_FILE, _KEPT = "latents.safetensors", "standardisation.safetensors"
_SUBSETS = ("train", "val")
BATCH = 32


@dataclass(frozen=True)
class Latents:
    """Raw latents of one subset, float16: mean and deviation (N, C, *latent) of what is drawn, mask (N, Cm, *latent),
    Cm = 0 where label maps are drawn or codecs are identities: then there is no mask codec. Of an identity, the mean is
    the image in [-1, 1], and the deviation (N, C, 1, ...) is 0."""

    mean: Tensor
    deviation: Tensor
    mask: Tensor

    def __len__(self) -> int:
        return len(self.mean)


def load_affines(sections: CodecSections, run: RunFolder) -> tuple[Affine, Affine]:
    """Standardisation of the image's and of the mask's latents. Raises InputError as `load_latents`."""
    tensors = _load(sections, run)
    dims = tensors["val.mean"].ndim - 2
    return (Affine(tensors["image_mean"], tensors["image_std"], dims),
            Affine(tensors["mask_mean"], tensors["mask_std"], dims))


def load_latents(sections: CodecSections, run: RunFolder, subset: str) -> Latents:
    """Latents of a subset ("train" or "val"). Raises InputError if they are missing, or of another cohort, other codecs
    or another [latents] section."""
    tensors = _load(sections, run)
    return Latents(tensors[f"{subset}.mean"], tensors[f"{subset}.deviation"], tensors[f"{subset}.mask"])


def _load(sections: CodecSections, run: RunFolder) -> dict[str, Tensor]:
    folder = run.lent(STAGE)
    return load_derived(folder / _FILE, fingerprint(sections, run), checkpoint.command(STAGE, folder))


def fingerprint(sections: CodecSections, run: RunFolder) -> dict[str, str]:
    """What the latents depend on; a difference means that they are out of date. Raises InputError where a codec has not
    been trained, or was made from something else than the configuration says."""
    made = {IMAGE_STAGE: image_codec_made_from, MASK_STAGE: mask_codec_made_from}
    codecs = {stage: made[stage](section, run) for stage, section in codec_stages(sections, run).items()}
    kept = run.lent(STAGE) / _KEPT
    return {
        "config": json.dumps(plain(sections.latents), sort_keys=True),
        "cohort": run.cohort.sha256,
        "seed": str(run.settings.seed),
        **{stage.replace("-", "_"): checkpoint.weights_sha256(run.lent(stage), stage, made_from)
           for stage, made_from in codecs.items()},
        **({"codec": IDENTITY} if sections.image.is_identity else {}),
        **({"standardisation": sha256_of(kept)} if kept.exists() else {}),
    }


@by_first
def run(sections: CodecSections, run: RunFolder) -> None:
    """Encode the training and validation subsets; at once if that has been done with these codecs.

    Raises InputError where `run.codecs` names a run whose latents are missing or out of date.
    """
    torch.set_num_threads(run.settings.threads)
    images = trained_image_codec(sections.image, run)
    maps = trained_mask_codec(sections.mask, run) if MASK_STAGE in codec_stages(sections, run) else None
    section, path, made_from = sections.latents, run.lent(STAGE) / _FILE, fingerprint(sections, run)
    if run.settings.codecs:
        for stage, codec in codec_stages(sections, run).items():
            checkpoint.require(run.lent(stage), stage, codec.optimiser.steps, {**plain(codec), **run.record})
    if is_fresh(path, made_from):
        return
    if run.settings.codecs:
        state = "of another cohort, other codecs or another [latents] section" if path.exists() else "not found"
        raise InputError(f"{path}: {state}. Make it first: {checkpoint.command(STAGE, path.parent)}.")
    tensors: dict[str, Tensor] = {}
    for subset in _SUBSETS:
        moved = moved_slices(run.cohort.drawn(subset), run.cohort.classes, section,
                             section.copies if subset == "train" else 1, run.settings.seed, run.cohort.drawn_labels)
        latents = encode(images, maps, moved)
        tensors |= {f"{subset}.{name}": getattr(latents, name) for name in ("mean", "deviation", "mask")}
        if subset == "train":
            tensors |= as_they_are(latents) if in_common_units(images) else statistics(latents)
    standardisation = path.with_name(_KEPT)
    tensors |= checkpoint.load_tensors(standardisation) if standardisation.exists() else {}
    save_derived(path, tensors, made_from)


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
    mask_mean = mask.mean(axes)
    mask_std = mask.std(axes, correction=0) if len(mask_mean) else mask_mean
    return {"image_mean": mean.mean(axes), "image_std": variance.sqrt(), "mask_mean": mask_mean, "mask_std": mask_std}


def in_common_units(codec: Codec | IdentityCodec) -> bool:
    """Whether the channels of a latent are not to be standardised one by one: those of principal components differ in
    variance for a reason, and background is 0 in all of them."""
    return isinstance(codec, Codec) and codec.components is not None


def as_they_are(latents: Latents) -> dict[str, Tensor]:
    """`statistics` that leave latents without a mask's as they are."""
    channels = latents.mean.shape[1]
    return {"image_mean": torch.zeros(channels), "image_std": torch.ones(channels),
            "mask_mean": torch.zeros(0), "mask_std": torch.zeros(0)}


@torch.no_grad()
def encode(image_codec: Codec | IdentityCodec, mask_codec: Codec | None,
           moved: Iterable[tuple[Tensor, Tensor]]) -> Latents:
    """Encodings of batches of images and one-hot maps, as `moved_slices` gives them."""
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for batch in moved:
        for part in in_batches(len(batch[0]), samples_at_once(batch[0], BATCH)):
            image, mask = (tensor[part] for tensor in batch)
            mean, deviation = image_codec.encode(2.0 * image - 1.0)
            mask_latent = mean[:, :0] if mask_codec is None else mask_codec.encode(mask)[0]
            deviation = deviation.half().expand(len(image), *deviation.shape[1:])
            parts.append((mean.half(), deviation, mask_latent.half()))
    mean, deviation, mask = (torch.cat(column) for column in zip(*parts, strict=True))
    return Latents(mean, deviation, mask)


def moved_slices(slices: Slices, classes: int, config: LatentsConfig, copies: int, seed: int,
                 drawn_labels: LabelChannels | None = None) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of images (n, C, *spatial) and one-hot maps, copy after copy, the first of them as they are.

    drawn_labels: what the images' channels stand for, where they are label maps: they are made of the moved maps again,
    so that they stay 0 or 1.
    """
    for copy in range(copies):
        for number, part in enumerate(in_batches(len(slices), BATCH)):
            image, mask, key = slices.images[part], one_hot(slices.masks[part], classes), (seed, number, copy)
            if copy == 0:
                yield image, mask
            elif drawn_labels is None:
                yield _move_both(image, mask, config, key)
            else:
                labels = move_labels(mask, config, key)
                yield torch.from_numpy(drawn_labels.encode(labels.numpy())), one_hot(labels, classes)


def move_images(image: Tensor, config: LatentsConfig, key: tuple[int, int, int]) -> Tensor:
    """Images (N, C, *spatial) in [0, 1], moved as `move_labels` moves their maps with the same key."""
    limits = (config.rotation_deg, config.shift_pixels, config.scale)
    return move(image, *limits, generator=step_generator(*key), mode="bicubic").clamp(0.0, 1.0)


def _move_both(image: Tensor, mask: Tensor, config: LatentsConfig, key: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """The same random motion for images and one-hot maps; the maps become one-hot again."""
    return move_images(image, config, key), one_hot(move_labels(mask, config, key), mask.shape[1])


def move_labels(mask: Tensor, config: LatentsConfig, key: tuple[int, int, int]) -> Tensor:
    """One-hot maps (N, K, *spatial), moved -> labels (N, *spatial)."""
    limits = (config.rotation_deg, config.shift_pixels, config.scale)
    return move(mask, *limits, generator=step_generator(*key)).argmax(1)
