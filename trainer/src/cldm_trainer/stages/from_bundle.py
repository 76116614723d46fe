"""Trained networks out of a bundle: the teacher of a distillation, the start of a training."""

from dataclasses import replace

import torch
from torch import nn

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.errors import InputError

from ..conditions.kind import Design
from ..conditions.mask import untrained_mask_encoder
from ..conditions.models import make_model
from ..conditions.registry import KINDS, condition_facts
from ..config import DiffusionConfig, TextureConfig
from ..graphs.read_weights import fill
from ..networks import Affine, Denoiser, Encoder, IdentityCodec, PlainDecoder, TexturedDecoder, make_image_codec
from .texture import make_texture

_CODEC_ROLES = ("encoder", "decoder", "mask_encoder")


def teacher_bundle(folder: str) -> Bundle:
    """The bundle that `distil.bundle` names. Raises InputError where it names none, BundleError for a bad one."""
    if not folder:
        raise InputError("distil.bundle: empty, expected the folder of the generator to distil, for example "
                         "exported/lge-teacher.")
    return Bundle.load(folder)


def load_denoiser(section: DiffusionConfig, bundle: Bundle) -> Denoiser:
    """The denoiser of a generator bundle of any condition, without its null condition, frozen, in evaluation mode.

    Raises InputError where it is not the network that the configuration's [diffusion] describes.
    """
    manifest = bundle.manifest
    if manifest.kind != "generator" or len(manifest.conditions) != 1 or manifest.latent is None:
        raise InputError(f"{bundle.path}: is a {manifest.kind} with {len(manifest.conditions)} condition(s), expected "
                         "a generator with one.")
    encoder = condition_facts(section.condition).encoder
    if manifest.conditions[0].encoder != encoder:
        raise InputError(f"{bundle.path}: its condition comes from {manifest.conditions[0].encoder}, that of the "
                         f"configuration, {section.condition}, from {encoder}.")
    graph = manifest.graphs["denoiser"]
    shape = tuple(int(size) for size in graph.input(manifest.conditions[0].feeds).shape[1:])
    denoiser = Denoiser(manifest.latent.channels, KINDS[section.condition].condition_input(shape),
                        replace(section, condition_dropout=0.0), len(manifest.latent.shape))
    filled = fill(denoiser, graph, (bundle.path / graph.file).read_bytes(), "denoiser")
    missing = set(denoiser.state_dict()) - filled
    if missing:
        raise InputError(f"{bundle.path}: the denoiser's graph lacks {', '.join(sorted(missing)[:5])}.")
    return denoiser.eval().requires_grad_(False)


def load_module(design: Design, texture: TextureConfig, bundle: Bundle, role: str) -> nn.Module:
    """The encoder, decoder or condition's encoder of a bundle in torch, frozen, in evaluation mode.

    Raises InputError where it is not the network that the configuration describes, or the bundle has none.
    """
    if role not in bundle.manifest.graphs:
        raise InputError(f"{bundle.path}: has no {role}; it has {', '.join(bundle.manifest.graphs)}.")
    kind, graph = KINDS[design.diffusion.condition], bundle.manifest.graphs[role]
    module = kind.exported(design, kind.learned(design)) if role not in _CODEC_ROLES else None
    if module is None:
        module = _codec_modules(design, texture, bundle.manifest.image.channels)[role]
    fill(module, graph, (bundle.path / graph.file).read_bytes(), role)
    return module.eval().requires_grad_(False)


def untrained(design: Design, texture: TextureConfig, channels: int) -> dict[str, nn.Module]:
    """The networks of the configuration by graph role, for images with that number of channels."""
    return {**_codec_modules(design, texture, channels), "denoiser": make_model(design)}


def _codec_modules(design: Design, texture: TextureConfig, channels: int) -> dict[str, nn.Module]:
    """The networks of the codecs by graph role. Encoder and decoder share the image codec."""
    section, dims = design.codecs.image, design.dims
    image = make_image_codec(section, channels, dims)
    affine = Affine(torch.zeros(image.latent_channels), torch.ones(image.latent_channels), dims)
    decoder = PlainDecoder(affine) if isinstance(image, IdentityCodec) else TexturedDecoder(
        image, affine, make_texture(texture, section, channels, dims))
    return {"encoder": Encoder(image, affine), "decoder": decoder, "mask_encoder": untrained_mask_encoder(design)}
