"""Tensors that a stage makes from what other stages left, and keeps: latents, trajectories, conditions.

The file states what it was made from, and the SHA-256 of what it holds. It is used again where both are true, whatever
its name and time.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from cldm_runtime.errors import InputError

from . import checkpoint

_CONTENT = "content_sha256"


def save_derived(path: Path, tensors: Mapping[str, Tensor], made_from: Mapping[str, str]) -> None:
    """Write tensors with what they were made from. Raises InputError where the disk does not take them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.save_tensors(path, tensors, {**made_from, _CONTENT: _content_sha256(tensors)})


def is_fresh(path: Path, made_from: Mapping[str, str]) -> bool:
    """Whether the file holds what was made from this. Raises InputError for a damaged file."""
    return _fresh_tensors(path, made_from) is not None


def load_derived(path: Path, made_from: Mapping[str, str], renew: str) -> dict[str, Tensor]:
    """The tensors made from this. renew: the command that makes them. Raises InputError where they are not there."""
    tensors = _fresh_tensors(path, made_from)
    if tensors is None:
        state = "out of date: it was made from other data or settings, or was changed" if path.exists() else "not found"
        raise InputError(f"{path}: {state}. Make it first: {renew}.")
    return tensors


def _fresh_tensors(path: Path, made_from: Mapping[str, str]) -> dict[str, Tensor] | None:
    stated = checkpoint.metadata(path)
    content = stated.pop(_CONTENT, "")
    if not content or stated != dict(made_from):
        return None
    tensors = checkpoint.load_tensors(path)
    return tensors if _content_sha256(tensors) == content else None


def _content_sha256(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
