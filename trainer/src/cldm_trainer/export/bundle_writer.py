"""Writes a bundle folder: all of it, checked, or nothing."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cldm_runtime.bundle import Bundle
from cldm_runtime.errors import BundleError
from cldm_runtime.manifest import FORMAT, FORMAT_VERSION, Manifest, TensorSpec
from cldm_runtime.records import plain

MANIFEST = "manifest.json"
REFERENCE = "reference.npz"
MODEL_CARD = "MODEL_CARD.md"


@dataclass(frozen=True)
class GraphFile:
    """A graph to be written: its role, the serialised ONNX model and what its tensors mean."""

    role: str
    model: bytes
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    precision: str = "fp32"
    torchscript: bytes | None = None


@dataclass(frozen=True)
class Reference:
    """Inputs and the outputs that they must give: arrays for reference.npz, the seed that made them, and how far
    another machine may be off (name of a tolerance -> value)."""

    arrays: Mapping[str, NDArray[np.generic]]
    seed: int
    tolerances: Mapping[str, float] = field(default_factory=dict)


def write_bundle(
    target: Path,
    manifest: Mapping[str, Any],
    graphs: Sequence[GraphFile],
    reference: Reference,
    model_card: str,
    *,
    check: Callable[[Bundle], None],
    force: bool = False,
) -> Path:
    """Write the folder `target` and return it.

    `manifest` is the manifest as JSON values, without `format`, `graphs` and `reference`: those follow from the files.
    The bundle is written beside the target, opened as a user would open it, handed to `check`, and renamed only when `check` returns.
    Raises BundleError where the target exists and `force` is not given, or when the manifest is not valid; whatever
    `check` raises goes through. In every such case the target is as it was before.
    """
    refuse_to_overwrite(target, force=force)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.partial")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    try:
        _write_files(draft, manifest, graphs, reference, model_card)
        check(Bundle.load(draft))
        _replace(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def refuse_to_overwrite(target: Path, *, force: bool) -> None:
    """Raise BundleError when `target` may not be written. Even `force` replaces nothing but a bundle."""
    if not target.exists():
        return
    if not force:
        raise BundleError(f"{target} exists. Pass --force to replace it, or set another folder under [export].")
    if not (target / MANIFEST).is_file():
        raise BundleError(f"{target} exists and is not a bundle (no {MANIFEST} in it): it is not replaced. Move it away.")


def _write_files(
    folder: Path, manifest: Mapping[str, Any], graphs: Sequence[GraphFile], reference: Reference, model_card: str
) -> None:
    sections = {graph.role: _write_graph(folder, graph) for graph in graphs}
    np.savez(folder / REFERENCE, **dict(reference.arrays))  # type: ignore[arg-type]  # names are ours, none is allow_pickle
    described = {
        "file": REFERENCE,
        "sha256": _sha256((folder / REFERENCE).read_bytes()),
        "seed": reference.seed,
        "tolerances": dict(reference.tolerances),
    }
    whole = {"format": FORMAT, "format_version": FORMAT_VERSION, **manifest, "graphs": sections, "reference": described}
    (folder / MODEL_CARD).write_text(model_card, encoding="utf-8")
    checked = Manifest.from_json(json.dumps(whole, allow_nan=False))
    (folder / MANIFEST).write_text(checked.to_json(), encoding="utf-8")


def _write_graph(folder: Path, graph: GraphFile) -> dict[str, Any]:
    """Write the graph's files and return its section of the manifest."""
    name = f"{graph.role}.onnx"
    (folder / name).write_bytes(graph.model)
    section: dict[str, Any] = {
        "file": name,
        "sha256": _sha256(graph.model),
        "precision": graph.precision,
        "inputs": plain(graph.inputs),
        "outputs": plain(graph.outputs),
    }
    if graph.torchscript is not None:
        (folder / f"{graph.role}.ts").write_bytes(graph.torchscript)
        section["torchscript"] = {"file": f"{graph.role}.ts", "sha256": _sha256(graph.torchscript)}
    return section


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _replace(draft: Path, target: Path) -> None:
    """Move the finished draft to its name. A folder cannot be replaced in one step, so the old one steps aside first."""
    old = target.with_name(f".{target.name}.replaced.partial")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        os.rename(target, old)
    os.rename(draft, target)
    shutil.rmtree(old, ignore_errors=True)
