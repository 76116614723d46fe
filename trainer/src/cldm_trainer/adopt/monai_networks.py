"""AutoencoderKL, DiffusionModelUNet and ControlNet, as MONAI or monai-generative trained them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from monai.networks.nets import AutoencoderKL, ControlNet, DiffusionModelUNet
from torch import Tensor, nn

from cldm_runtime.errors import InputError

from ..training.faults import first_line
from .description import NetworkFile
from .state_dict import State, load_into, read_state

_CLASSES: Final[dict[str, type[nn.Module]]] = {
    "autoencoder": AutoencoderKL, "mask_autoencoder": AutoencoderKL, "unet": DiffusionModelUNet,
    "controlnet": ControlNet}
_OLD_OPTIONS = {"num_channels": "channels"}  # monai-generative's name -> MONAI's
_OF_TRAINING = ("use_checkpoint", "use_checkpointing", "use_flash_attention", "dropout_cattn")  # same numbers without
_OLD_PROJECTION = ".proj_attn."
_LARGEST_OPTION = 16384


def build(role: str, described: NetworkFile, folder: Path, dims: int, fixed: Mapping[str, int]) -> nn.Module:
    """The network of a role, with its weights. folder: that paths are relative to. fixed: options that follow from the
    rest of the description. Raises InputError where MONAI refuses the options, or the weights are others."""
    options: dict[str, Any] = {"spatial_dims": dims, **fixed}
    for name, value in described.options.items():
        name = _OLD_OPTIONS.get(name, name)
        if name in options and options[name] != value:
            raise InputError(f"{role}.options.{name}: found {value}, but the rest of the description says "
                             f"{options[name]}. Correct one of them.")
        if name not in _OF_TRAINING:
            options[name] = value
    if not _are_small(options):
        raise InputError(f"{role}.options: a number above {_LARGEST_OPTION}, expected the sizes of a network.")
    try:
        network = _CLASSES[role](**options)
    except (TypeError, ValueError, AssertionError, LookupError, RuntimeError, ZeroDivisionError) as error:
        raise InputError(f"{role}.options: MONAI's {_CLASSES[role].__name__} refuses them: {first_line(error)} "
                         "Give the options that it was trained with, by MONAI's names.") from error
    file = folder / described.weights
    load_into(network, translate(read_state(file, described.prefix), network.state_dict()), f"{file} ({role})")
    return network


def _are_small(value: object) -> bool:
    if isinstance(value, Mapping | list):
        return all(map(_are_small, value.values() if isinstance(value, Mapping) else value))
    return not isinstance(value, int | float) or abs(value) <= _LARGEST_OPTION


def translate(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> State:
    """Names of monai-generative to those of MONAI; names that are known stay.

    monai-generative's attention between pixels has weights `proj_attn` that it never applied. MONAI's applies its
    output projection, which therefore becomes the identity: copied weights would give other images.
    """
    translated, left = {}, dict(state)
    for name, value in own.items():
        for old in (name, *_old_names(name)):
            if old in left:
                translated[name] = left.pop(old)
                break
        else:
            block, separator, kind = name.rpartition(".attn.out_proj.")
            if separator and f"{block}{_OLD_PROJECTION}{kind}" in left:
                translated[name] = torch.eye(len(value)) if kind == "weight" else torch.zeros(len(value))
    old_blocks = {name.partition(_OLD_PROJECTION)[0] for name in left if _OLD_PROJECTION in name}
    unused = {name for name in left if name.partition(_OLD_PROJECTION)[0] in old_blocks and _OLD_PROJECTION in name}
    return translated | {name: value for name, value in left.items() if name not in unused}


def _old_names(name: str) -> list[str]:
    """What a weight may be called in monai-generative."""
    names = []
    for new, old in ((".attn.to_", ".to_"), (".out_proj.", ".to_out.0."), (".postconv.", ".conv.")):
        if new in name:
            names.append(name.replace(new, old))
    return names
