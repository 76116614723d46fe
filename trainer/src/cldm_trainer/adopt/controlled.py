"""A run folder from a bundle with a ControlNet: to train on where its run is gone.

The codecs are those of another run, adopted from a bundle that has the same ones. The frozen model that the ControlNet
stands on is in the same graph; where its run is gone, it is written too.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.bundle.nature import stated_natures
from cldm_runtime.errors import BundleError, InputError
from cldm_runtime.files.atomic import write_text
from cldm_runtime.files.records import plain

from ..conditions.kind import Design
from ..conditions.models import make_model
from ..conditions.registry import KINDS
from ..config import OptimiserConfig, TextureConfig
from ..networks import Conditioned, Denoiser, Encoder
from ..stages import bases
from ..stages.codec import trained_image_codec
from ..stages.from_bundle import load_denoiser, load_module
from ..training import checkpoint
from ..training.run_folder import RunFolder
from .saving import save_stage

_SAME = 2e-3  # weights of bundles are rounded


def adopt_controlled(design: Design, section: TextureConfig, run: RunFolder, bundle: Bundle) -> Path:
    """Write the weights of the bundle's denoiser and of its condition's encoder into the diffusion stage of a run, and
    those of the frozen model into that of the run that `control.base` names, unless it is there; returns the run's
    folder. Raises InputError where the run has weights already, or its codecs or networks differ from the bundle's."""
    home, base = run.own(""), run.other(design.control.base, bases.STAGE)
    if any(run.own(bases.STAGE).glob("*")):
        raise InputError(f"{home}: already holds {bases.STAGE}. Choose another run.name, or delete it.")
    facts = KINDS[design.diffusion.condition].facts
    assert facts is not None  # a kind with a ControlNet is exported
    _require_same_codec(design, section, run, bundle)
    denoiser = load_denoiser(design.diffusion, bundle)
    encoder = load_module(design, section, bundle, facts.encoder)
    step = int(bundle.manifest.provenance.get("steps", {}).get(bases.STAGE, 0))
    save_stage(run.own(bases.STAGE), trainable(design, denoiser, encoder, bundle), step, design.diffusion.optimiser)
    adopted: dict[str, Any] = {"bundle": bundle.identity,
                               "natures": stated_natures(bundle.manifest.nature, bundle.manifest.provenance)}
    write_text(home / checkpoint.ADOPTED, json.dumps(adopted) + "\n")
    if not base.exists():
        weights = {f"unet.{name}": value for name, value in denoiser.unet.state_dict().items()}
        base.mkdir(parents=True)
        checkpoint.save_tensors(base / checkpoint.MODEL, weights, {"step": "0"})
        stated = {**plain(design.diffusion), "condition": "none", "optimiser": plain(OptimiserConfig(0, 1, 1e-3))}
        checkpoint.agree_on_config(base, stated, has_weights=False)
        write_text(base.parent / checkpoint.ADOPTED, json.dumps(adopted) + "\n")
    return home


def trainable(design: Design, denoiser: Denoiser, encoder: nn.Module, bundle: Bundle) -> Conditioned:
    """The model of the configuration with these weights, of which all but the frozen U-Net learns. Raises BundleError
    for a bundle that states no null condition where the configuration drops conditions."""
    model, null = make_model(design), bundle.manifest.conditions[0].null
    assert isinstance(model, Conditioned)  # the encoder of a ControlNet learns with it
    weights = denoiser.state_dict()
    if model.denoiser.null is not None:
        if null is None:
            raise BundleError(f"{bundle.path}: states no null condition. Set diffusion.condition_dropout = 0.")
        weights["null"] = torch.tensor(null)
    model.denoiser.load_state_dict(weights)
    model.encoder.load_state_dict(encoder.state_dict())
    model.denoiser.unet.requires_grad_(False)
    return model


def _require_same_codec(design: Design, section: TextureConfig, run: RunFolder, bundle: Bundle) -> None:
    """The run's latents must be those that the bundle's denoiser knows."""
    own = trained_image_codec(design.codecs.image, run).state_dict()
    theirs = load_module(design, section, bundle, "encoder")
    assert isinstance(theirs, Encoder)
    used = {name: value for name, value in theirs.codec.state_dict().items() if name.startswith("autoencoder.encoder")}
    wrong = [name for name, value in used.items() if not torch.allclose(own[name], value, atol=_SAME)]
    if wrong:
        raise InputError(f"{bundle.path}: its image codec is not that of the run {run.settings.codecs}: "
                         f"{', '.join(wrong[:3])} differ. Set run.codecs to a run that was adopted from a bundle with "
                         "the same codec.")
