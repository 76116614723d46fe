"""Trained denoisers of other runs: the start of a training, or the frozen base of a ControlNet."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from cldm_runtime.errors import InputError
from cldm_runtime.files.records import plain

from ..conditions.kind import Condition, Design
from ..conditions.registry import KINDS
from ..networks import Denoiser
from ..training import checkpoint
from ..training.run_folder import RunFolder
from . import latents as latents_stage

STAGE = "diffusion"
_OF_THE_TRUNK = ("channels", "residual_blocks", "norm_groups", "objective", "schedule", "timesteps", "beta_start",
                 "beta_end", "zero_terminal_snr", "patch", "hidden_channels", "shifted_for")
_OF_THE_BASE = (*_OF_THE_TRUNK, "attention", "head_channels")


def base_folder(design: Design, run: RunFolder) -> Path:
    """The diffusion stage of the run that `control.base` names."""
    return run.other(design.control.base, STAGE)


def unconditional_base(design: Design, run: RunFolder) -> Denoiser:
    """The trained unconditional denoiser that a ControlNet stands on.

    Raises InputError where it has not been trained, or differs in its architecture, schedule or latents from what this
    configuration says.
    """
    folder = _require_denoiser(design, run, design.control.base, _OF_THE_BASE)
    kind = _condition_of(folder)
    if kind.way != "nothing":
        raise InputError(f"{folder}: its condition is {kind.name}. Name a run with diffusion.condition = "
                         "\"none\" as control.base.")
    section = replace(design.diffusion, condition=kind.name, condition_dropout=0.0)
    base = Denoiser(design.codecs.image.latent_channels, kind.condition_input(()), section, design.dims)
    checkpoint.load_weights(base, folder, STAGE, {})  # the configuration has been compared
    return base


def begin_with_trunk(design: Design, run: RunFolder, denoiser: Denoiser) -> None:
    """Fill a denoiser from the run that `diffusion.start` names. Raises InputError where that cannot be."""
    folder = require_trunk(design, run)
    kind, weights = _condition_of(folder), _of_denoiser(checkpoint.load_tensors(folder / checkpoint.MODEL))
    possible = [name for name, other in KINDS.items() if other.way in ("nothing", "channels")]
    if kind.name not in possible:
        raise InputError(f"{folder}: its condition is {kind.name}. Name a run whose diffusion.condition is "
                         f"{' or '.join(possible)} as diffusion.start.")
    was = {**plain(design.diffusion), **checkpoint.stored_config(folder)}  # an adopted denoiser has the run's networks
    section = replace(design.diffusion, condition=kind.name, condition_dropout=0.1 if "null" in weights else 0.0,
                      attention=tuple(was["attention"]), head_channels=was["head_channels"])
    shape = (len(weights["null"]),) if "null" in weights else kind.shape(design)
    trunk = Denoiser(design.codecs.image.latent_channels, kind.condition_input(shape), section, design.dims)
    try:
        trunk.load_state_dict(weights)
        denoiser.begin_with(trunk)
    except (ValueError, RuntimeError) as error:
        raise InputError(f"{folder}: cannot be diffusion.start of this run: {error}.") from error


def _of_denoiser(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without those of an encoder that learned with it."""
    own = "denoiser."
    parts = {name.removeprefix(own): values for name, values in weights.items() if name.startswith(own)}
    return parts or dict(weights)


def require_trunk(design: Design, run: RunFolder) -> Path:
    """The diffusion stage that `diffusion.start` names; it may attend at other levels."""
    return _require_denoiser(design, run, design.diffusion.start, _OF_THE_TRUNK)


def _require_denoiser(design: Design, run: RunFolder, name: str, keys: Sequence[str]) -> Path:
    """The diffusion stage of another run, finished, with this run's latents and values of some keys."""
    folder = run.other(name, STAGE)
    same = {key: value for key, value in plain(design.diffusion).items() if key in keys}
    latents = latents_stage.fingerprint(design.codecs, run)
    checkpoint.require(folder, STAGE, None, same | {"latents": latents})
    return folder


def _condition_of(folder: Path) -> Condition:
    return KINDS[str(checkpoint.stored_config(folder).get("condition", "mask"))]  # older runs had masks only
