"""What a stage leaves on disk.

    <run folder>/adopted.json               the bundle that the run began with, and what that was trained on
    <run folder>/<stage>/config.json        the resolved configuration that the weights came from
                         state.pt           everything needed to go on; loads with weights_only=True
                         model.safetensors  the moving average of the weights, with the step in its metadata
                         log.csv, validation.csv, samples/*.png, tensorboard/
"""

import json
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cldm_runtime.errors import InputError, list_faults
from cldm_runtime.files.atomic import whole_file, write_json
from cldm_runtime.files.derived import differing_values
from cldm_runtime.files.digest import sha256_of
from cldm_runtime.files.user_files import read_json

from .faults import first_line

MODEL, STATE, CONFIG, ADOPTED = "model.safetensors", "state.pt", "config.json", "adopted.json"

# Keys that may change between a run and its continuation: how long, how often something is written, and where a bundle
# lies, whose content is recorded besides.
_FREE = frozenset({"bundle", "epochs", *(f"optimiser.{key}" for key in (
    "steps", "log_every", "validate_every", "picture_every", "checkpoint_every"))})
COHORT = "cohort"  # key of the configuration: SHA-256 of the cohort's content, and its nature


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file atomically. Raises InputError where the disk does not take it."""
    with _writing(path), whole_file(path) as partial:
        save_file({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, partial, dict(metadata))


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write tensors and plain Python values atomically; torch.load(weights_only=True) reads them. Raises InputError
    where the disk does not take them."""
    with _writing(path), whole_file(path) as partial:
        torch.save(dict(state), partial)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:  # torch's RuntimeError does not name the cause
        raise InputError(f"{path}: cannot be written ({first_line(error)}). Free space on that disk, or choose another "
                         "run.folder. The same command continues from the last checkpoint.") from error


def load_state(path: Path) -> dict[str, Any]:
    """What `save_state` wrote. Raises InputError for a damaged file."""
    with _reading(path):
        return dict(torch.load(path, map_location="cpu", weights_only=True))


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file. Raises InputError for a damaged file."""
    with _reading(path):
        return dict(load_file(path))


def metadata(path: Path) -> dict[str, str]:
    """Metadata of a safetensors file; empty if there is no file. Raises InputError for a damaged file."""
    if not path.exists():
        return {}
    with _reading(path), safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (pickle.UnpicklingError, RuntimeError, EOFError, LookupError, TypeError, ValueError, AttributeError,
            OSError, SafetensorError) as error:
        if isinstance(error, MemoryError):
            raise
        raise InputError(f"{path}: damaged, or of another program ({first_line(error)}). Put back a copy of it; or "
                         "delete this file and repeat the training command, which makes it again.") from error


@contextmanager
def fitting(path: Path) -> Iterator[None]:
    """Filling a module from the tensors of `path`. Raises InputError where names or shapes differ."""
    try:
        yield
    except (RuntimeError, KeyError, ValueError) as error:
        raise InputError(f"{path}: holds weights of another network ({first_line(error)}). Put back the file that this "
                         f"configuration made, or delete {path.parent} and train it again.") from error


def finished(folder: Path, steps: int) -> bool:
    """Whether the stage in `folder` has been trained for at least `steps` steps."""
    return int(metadata(folder / MODEL).get("step", -1)) >= steps


def weights_sha256(folder: Path, stage: str, made_from: Mapping[str, Any]) -> str:
    """SHA-256 of the file of a stage's weights. Raises InputError if the stage has not been trained, or was made from
    something else than `made_from`."""
    _require_weights(folder, stage)
    require_config(folder, made_from)
    return sha256_of(folder / MODEL)


def _require_weights(folder: Path, stage: str) -> None:
    if not (folder / MODEL).exists():
        raise InputError(f"{folder / MODEL}: not found. Train it first: {command(stage, folder)}.")


def load_weights(module: nn.Module, folder: Path, stage: str, made_from: Mapping[str, Any]) -> nn.Module:
    """Fill `module` from a finished stage and freeze it. Raises InputError if the stage has not been trained, or was
    made from something else than `made_from`."""
    path = folder / MODEL
    _require_weights(folder, stage)
    require_config(folder, made_from)
    tensors = load_tensors(path)
    with fitting(path):
        module.load_state_dict(tensors)
    return module.eval().requires_grad_(False)


def command(stage: str, folder: Path) -> str:
    """The command that trains the stage in `<run folder>/<stage>`."""
    return f"`cldm-train {stage}` with the --config of run {folder.parent.name!r}"


def agree_on_config(folder: Path, config: Mapping[str, Any], *, has_weights: bool | None = None) -> None:
    """Store the configuration of a stage, or compare it with the one that the stage was begun with.

    has_weights: whether there are weights already; None: as the stage's files say. Raises InputError that names every
    difference, because weights of two configurations must not be mixed.
    """
    path = folder / CONFIG
    if has_weights is None:
        has_weights = (folder / STATE).exists() or (folder / MODEL).exists()
    if path.exists() and has_weights:
        stored = stored_config(folder)
        if faults := differing_values(stored, json.loads(json.dumps(config)), free=_FREE):
            raise InputError(list_faults(
                f"{folder} was begun with another configuration or cohort. Choose another run.name, or delete that "
                "folder to train it again:", faults))
        if COHORT in config and COHORT not in stored:
            click.echo(f"{folder}: an earlier version began it and did not record the cohort. It is taken to be of the "
                       "present one.", err=True)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, config, indent=2)


def stored_config(folder: Path) -> dict[str, Any]:
    """The configuration that a stage was begun with; empty if it was not."""
    path = folder / CONFIG
    stored = read_json(path) if path.exists() else {}
    return stored if isinstance(stored, dict) else {}


def require(folder: Path, stage: str, steps: int | None, config: Mapping[str, Any]) -> None:
    """Raise InputError unless another run has trained a stage for `steps` steps (None: as many as it was to), with a
    configuration that agrees with `config` in every key that both have. Nothing is written."""
    stored = stored_config(folder)
    expected_steps = stored.get("optimiser", {}).get("steps", 0) if steps is None else steps
    if not finished(folder, expected_steps):
        step = metadata(folder / MODEL).get("step", "0")
        raise InputError(f"{folder}: found step {step} of {expected_steps}. It belongs to another run. Train it "
                         f"first: {command(stage, folder)}.")
    require_config(folder, config)


def require_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Raise InputError if a stage was trained with other values than those of `config`, in the keys that both have."""
    shared = {key: value for key, value in stored_config(folder).items() if key in config}
    if faults := differing_values(shared, json.loads(json.dumps(config)), free=_FREE):
        raise InputError(list_faults(f"{folder} was trained with another configuration or cohort. Set here what it "
                                     "was, or delete that folder and train it again:", faults))
