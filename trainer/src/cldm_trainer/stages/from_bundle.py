"""Trained networks out of a bundle: the teacher of a distillation, the start of a training."""

from dataclasses import replace

import torch
from torch import nn

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.bundle.declarations import find_domain
from cldm_runtime.errors import InputError

from ..conditions.encoders import make_encoder, make_model
from ..conditions.facts import condition_facts
from ..config import Config
from ..graphs.read_weights import fill
from ..networks import (
    Affine,
    AttributeTokens,
    Codec,
    Denoiser,
    Encoder,
    LabelVectorEncoder,
    MaskEncoder,
    TexturedDecoder,
)
from . import texture
from .label_vae import untrained_label_vae

_CODEC_ROLES = ("encoder", "decoder", "mask_encoder")


def teacher_bundle(config: Config) -> Bundle:
    """The bundle that is distilled. Raises InputError where the configuration names none, BundleError for a bad one."""
    if not config.distil.bundle:
        raise InputError("distil.bundle: empty, expected the folder of the generator to distil, for example "
                         "exported/lge-teacher.")
    return Bundle.load(config.distil.bundle)


def load_denoiser(config: Config, bundle: Bundle) -> Denoiser:
    """The denoiser of a generator bundle of any condition, without its null condition, frozen, in evaluation mode.

    Raises InputError where it is not the network that the configuration's [diffusion] describes.
    """
    manifest = bundle.manifest
    if manifest.kind != "generator" or len(manifest.conditions) != 1 or manifest.latent is None:
        raise InputError(f"{bundle.path}: is a {manifest.kind} with {len(manifest.conditions)} condition(s), expected "
                         "a generator with one.")
    told = condition_facts(config.diffusion.condition).encoder
    if manifest.conditions[0].encoder != told:
        raise InputError(f"{bundle.path}: its condition comes from {manifest.conditions[0].encoder}, that of the "
                         f"configuration, {config.diffusion.condition}, from {told}.")
    graph = manifest.graphs["denoiser"]
    shape = [int(size) for size in graph.input(manifest.conditions[0].feeds).shape[1:]]
    denoiser = Denoiser(manifest.latent.channels, shape, replace(config.diffusion, condition_dropout=0.0))
    found = fill(denoiser, graph, (bundle.path / graph.file).read_bytes(), "denoiser")
    missing = set(denoiser.state_dict()) - found
    if missing:
        raise InputError(f"{bundle.path}: the denoiser's graph lacks {', '.join(sorted(missing)[:5])}.")
    return denoiser.eval().requires_grad_(False)


def load_module(config: Config, bundle: Bundle, role: str) -> nn.Module:
    """The encoder, decoder or condition's encoder of a bundle in torch, frozen, in evaluation mode.

    Raises InputError where it is not the network that the configuration describes, or the bundle has none.
    """
    if role not in bundle.manifest.graphs:
        raise InputError(f"{bundle.path}: has no {role}; it has {', '.join(bundle.manifest.graphs)}.")
    told, graph = _condition_encoder(config), bundle.manifest.graphs[role]
    module = told if told is not None and role not in _CODEC_ROLES else _codec_modules(config)[role]
    fill(module, graph, (bundle.path / graph.file).read_bytes(), role)
    return module.eval().requires_grad_(False)


def untrained(config: Config) -> dict[str, nn.Module]:
    """The networks of the configuration by graph role."""
    return {**_codec_modules(config), "denoiser": make_model(config)}


def _condition_encoder(config: Config) -> nn.Module | None:
    """The untrained encoder of a condition that is no mask's latent; None for one that is."""
    learned = make_encoder(config)
    if config.diffusion.condition == "label-vae":
        assert isinstance(learned, AttributeTokens)
        return LabelVectorEncoder(untrained_label_vae(config), learned)
    return learned


def _codec_modules(config: Config) -> dict[str, nn.Module]:
    """The networks of the codecs by graph role. Encoder and decoder share the image codec."""
    classes = len(find_domain(config.cohort.domain).labels)
    image, masks = Codec(1, config.image_codec), Codec(classes, config.mask_codec)
    affine = _no_affine(image.latent_channels)
    return {
        "encoder": Encoder(image, affine),
        "decoder": TexturedDecoder(image, affine, texture.make_texture(config)),
        "mask_encoder": MaskEncoder(masks, _no_affine(masks.latent_channels)),
    }


def _no_affine(channels: int) -> Affine:
    return Affine(torch.zeros(channels), torch.ones(channels))
