"""A run folder from a bundle: to train on where its run folder is gone, or on a cohort of one's own.

The graphs of a bundle hold its weights under names that the exporter chose, equal weights once. Where a weight stands
is found by exporting the same network with weights that are all different: the nodes come in the same order again.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
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
from ..conditions.registry import KINDS
from ..config import OptimiserConfig, TextureConfig
from ..graphs.read_weights import fill
from ..networks import Conditioned, Denoiser, Encoder, MaskEncoder, TexturedDecoder
from ..networks.planes import MaskAndAttributesEncoder
from ..stages import bases, codec, latents, texture
from ..stages.from_bundle import untrained
from ..training import checkpoint
from ..training.run_folder import RunFolder
from .controlled import adopt_controlled
from .saving import save_stage


def adopt(design: Design, section: TextureConfig, run: RunFolder, folder: Path, new_images: bool = False) -> Path:
    """Write the weights of a bundle conditioned by masks, or by masks and attributes of the image, into the stages of
    a run; returns the run's folder. Of a bundle with a ControlNet: see `controlled.py`.

    new_images: the run's images look otherwise, so its texture and the standardisation of its latents are made anew.

    Every stage stands at the step that the bundle states, with a fresh optimiser: raise its `steps` to go on. The mask
    codec's decoder is in no bundle and stays untrained; nothing but more training of that codec needs it.
    Raises InputError where the run has weights already or its networks differ from the bundle's, BundleError for a
    faulty bundle.
    """
    bundle = Bundle.load(folder)
    roles = [condition.encoder for condition in bundle.manifest.conditions]
    kind, home = KINDS[design.diffusion.condition], run.own("")
    if kind.way == "control" and kind.facts is not None and roles == [kind.facts.encoder]:
        return adopt_controlled(design, section, run, bundle)
    if not kind.adoptable or kind.facts is None or roles != [kind.facts.encoder]:
        raise InputError(f"{folder}: conditioned by {', '.join(roles) or 'nothing'}, the configuration by "
                         f"{kind.name}. Only bundles conditioned by the mask's latent, alone or with attributes of the "
                         "image, or through a ControlNet, can be adopted, with the same diffusion.condition.")
    if design.codecs.image.is_identity:
        raise InputError(f"{folder}: a run with the codec identity takes no weights from a bundle. To begin with "
                         "another run's denoiser, set diffusion.start.")
    stages = (codec.IMAGE_STAGE, codec.MASK_STAGE, latents.STAGE, texture.STAGE, bases.STAGE)
    trained = [name for name in stages if any((home / name).glob("*"))]
    if trained:
        raise InputError(f"{home}: already holds {', '.join(trained)}. Choose another run.name, or delete "
                         "it.")
    modules = _Modules.of(design, section, bundle.manifest.image.channels)
    filled = {}
    for role, module in modules.by_role(kind.facts.encoder).items():
        graph = bundle.manifest.graphs[role]
        filled[role] = fill(module, graph, (bundle.path / graph.file).read_bytes(), role)
    _require_all(modules, filled, kind.facts.encoder)
    _save(design, section, run, modules, bundle, new_images)
    manifest = bundle.manifest
    natures = stated_natures(manifest.nature, manifest.provenance)
    adopted: dict[str, Any] = {"bundle": bundle.identity, "natures": natures}
    if manifest.acquisition is not None and not new_images:
        adopted["acquisition"] = {"detection": manifest.acquisition.detection, "zero": manifest.acquisition.zero}
    write_text(home / checkpoint.ADOPTED, json.dumps(adopted) + "\n")
    return home


@dataclass(frozen=True)
class _Modules:
    """The networks of the configuration. model: the denoiser, with the encoder that learns with it where there is one.
    """

    encoder: Encoder
    decoder: TexturedDecoder
    masks: MaskEncoder
    condition: nn.Module  # from what is given to what the denoiser takes: `masks`, or what holds them
    model: Denoiser | Conditioned

    @classmethod
    def of(cls, design: Design, section: TextureConfig, channels: int) -> "_Modules":
        parts, kind = untrained(design, section, channels), KINDS[design.diffusion.condition]
        model = parts["denoiser"]
        encoder, decoder, masks = parts["encoder"], parts["decoder"], parts["mask_encoder"]
        assert isinstance(encoder, Encoder) and isinstance(decoder, TexturedDecoder) and isinstance(masks, MaskEncoder)
        assert isinstance(model, Denoiser | Conditioned)
        if isinstance(model, Denoiser):
            return cls(encoder, decoder, masks, masks, model)
        condition = kind.exported(design, model.encoder)
        assert isinstance(condition, MaskAndAttributesEncoder) and isinstance(condition.masks, MaskEncoder)
        return cls(encoder, decoder, condition.masks, condition, model)

    @property
    def denoiser(self) -> Denoiser:
        return self.model.denoiser if isinstance(self.model, Conditioned) else self.model

    def by_role(self, condition: str) -> dict[str, nn.Module]:
        """By graph role; `condition` is that of the condition's encoder."""
        return {"encoder": self.encoder, "decoder": self.decoder, condition: self.condition, "denoiser": self.denoiser}


def _require_all(modules: _Modules, filled: Mapping[str, set[str]], condition: str) -> None:
    """Raise InputError for a weight of the denoiser, the image codec or its texture that no graph holds, and for a
    number of the condition's encoder."""
    both = filled["encoder"] | filled["decoder"]
    missing = {key for module in (modules.encoder, modules.decoder) for key in module.state_dict()} - both
    missing |= set(modules.denoiser.state_dict()) - filled["denoiser"] - {"null"}
    of_codec = "codec." if modules.condition is modules.masks else "masks.codec."  # its decoder is in no bundle
    missing |= {key for key in modules.condition.state_dict() if not key.startswith(of_codec)} - filled[condition]
    if missing:
        raise InputError("the bundle's graphs lack " + ", ".join(sorted(missing)[:5]) + ". It was exported by another "
                         "version of cldm-trainer or of torch.")


def _save(design: Design, section: TextureConfig, run: RunFolder, modules: _Modules, bundle: Bundle,
          new_images: bool) -> None:
    decoder, masks, null = modules.decoder, modules.masks, modules.denoiser.null
    if null is not None:
        stated = bundle.manifest.conditions[0].null
        if stated is None:
            raise BundleError(f"{bundle.path}: states no null condition. Set diffusion.condition_dropout = 0.")
        with torch.no_grad():
            null.copy_(torch.tensor(stated))
    steps = bundle.manifest.provenance.get("steps", {})
    codecs, learning = design.codecs, design.diffusion.optimiser
    saved: list[tuple[str, nn.Module, OptimiserConfig]] = [
        (codec.IMAGE_STAGE, decoder.codec, codecs.image.optimiser), (bases.STAGE, modules.model, learning)]
    if not new_images:
        saved += [(texture.STAGE, decoder.texture, section.optimiser)] if section.channels else []
        latents.keep_standardisation(run.own(latents.STAGE), decoder.affine, masks.affine)
    for stage, module, optimiser in saved:
        save_stage(run.own(stage), module, int(steps.get(stage, 0)), optimiser)
    save_stage(run.own(codec.MASK_STAGE), masks.codec, int(steps.get(codec.MASK_STAGE, 0)), None)
    for stage, trained in ((codec.IMAGE_STAGE, codecs.image), (codec.MASK_STAGE, codecs.mask)):
        begun_with = {"seed": run.settings.seed, **plain(trained), checkpoint.COHORT: {}}  # that of the bundle
        checkpoint.agree_on_config(run.own(stage), begun_with, has_weights=False)
