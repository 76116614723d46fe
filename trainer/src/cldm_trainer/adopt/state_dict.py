"""Weights as files of tensors: .safetensors, or what torch.save made of a state dict. Nothing else is unpickled."""

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from cldm_runtime.errors import InputError

from ..training.faults import first_line

State = dict[str, Tensor]
_INSIDE = ("state_dict", "model_state_dict", "model", "network_weights")  # where programs put a state dict
_SHOWN = 3


def read_state(file: Path, prefix: str = "") -> State:
    """The weights in a file whose names begin with `prefix`, without it.

    Raises InputError for a file that is missing, damaged, or holds anything but tensors and plain values.
    """
    try:
        stored = load_file(file) if file.suffix == ".safetensors" else torch.load(file, "cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{file}: not found. Paths are relative to the file that describes the networks.") from error
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{file}: holds more than tensors, and is not opened, because opening such a file runs code. Where it was "
            "trained, save the weights alone: torch.save(module.state_dict(), \"weights.pt\"). "
            f"({first_line(error)})") from error
    except (SafetensorError, RuntimeError, EOFError, ValueError, OSError, LookupError, TypeError) as error:
        raise InputError(f"{file}: cannot be read as weights ({first_line(error)}). Expected a .safetensors file, or "
                         "what torch.save(module.state_dict(), ...) writes. Copy it again.") from error
    return _with_prefix(_tensors(stored, file), prefix, file)


def _tensors(stored: object, file: Path) -> State:
    """The state dict itself, or the one inside a checkpoint."""
    for name in _INSIDE:
        if isinstance(stored, Mapping) and isinstance(stored.get(name), Mapping):
            stored = stored[name]
            break
    if isinstance(stored, Mapping):
        tensors = {str(name): value for name, value in stored.items() if isinstance(value, Tensor)}
        if tensors:
            return tensors
    raise InputError(f"{file}: no state dict in it, expected names and tensors, as torch.save(module.state_dict(), ...)"
                     f" writes them, or those under one of {', '.join(_INSIDE)}.")


def _with_prefix(state: State, prefix: str, file: Path) -> State:
    chosen = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    if not chosen:
        raise InputError(f"{file}: no name begins with the prefix {prefix!r}; found {_some(list(state))}. Set prefix "
                         "to what stands in front of this network's names.")
    return chosen


def load_into(module: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """Fill a module, in place and in float32. what: file and network, for messages.

    Raises InputError that names the first weights that are missing, too many, of another shape or not finite.
    """
    own = module.state_dict()
    missing, extra = [name for name in own if name not in state], [name for name in state if name not in own]
    shapes = [f"{name} {list(state[name].shape)}, expected {list(own[name].shape)}" for name in own
              if name in state and state[name].shape != own[name].shape]
    faults = [f"{text}: {_some(names)}" for text, names in (
        (f"{len(missing)} missing", missing), (f"{len(extra)} too many", extra),
        (f"{len(shapes)} of another shape", shapes)) if names]
    if faults:
        raise InputError(f"{what}: the weights are not those of the network that is described. {'; '.join(faults)}. "
                         f"{_advice(missing, extra, own)}")
    damaged = [name for name, value in state.items() if value.is_floating_point() and not value.isfinite().all()]
    if damaged:
        raise InputError(f"{what}: holds numbers that are not finite: {_some(damaged)}. The training diverged; take an "
                         "earlier checkpoint.")
    module.load_state_dict(state)
    module.float().eval().requires_grad_(False)


def _advice(missing: Sequence[str], extra: Sequence[str], own: Mapping[str, Tensor]) -> str:
    """What to do: a prefix where names end alike, else the options."""
    for name in extra:
        end = next((key for key in own if name.endswith(f".{key}") and key in missing), None)
        if end is not None:
            return f"Set prefix to {name.removesuffix(end)!r}."
    return "Correct the options: they must be those that the network was trained with."


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
