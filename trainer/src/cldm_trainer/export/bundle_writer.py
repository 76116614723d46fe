"""Writes a bundle folder: all of it, checked, or nothing."""

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cldm_runtime.bundle import MANIFEST_FILE, Bundle, sha256_of, sha256_of_bytes
from cldm_runtime.errors import BundleError
from cldm_runtime.manifest import FORMAT, FORMAT_VERSION, Manifest, TensorSpec
from cldm_runtime.records import plain

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
    model_card: Callable[[Manifest], str],
    *,
    check: Callable[[Bundle], Mapping[str, Any]],
    force: bool = False,
) -> Path:
    """Write the folder `target` and return it.

    `manifest` is the manifest as JSON values, without `format`, `graphs`, `reference` and `quality`. The first three
    follow from the files; the quality figures are what `check` returns, which gets the bundle as a user would open it.
    `model_card` writes the card from the finished manifest. The folder takes its name at the very end: raises
    BundleError where the target exists and `force` is not given, or when the manifest is not valid, and lets through
    whatever `check` raises; in every such case the target is as it was before.
    """
    refuse_to_overwrite(target, force=force)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.partial")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    try:
        sections = _write_files(draft, graphs, reference)
        _write_manifest(draft, {**manifest, **sections})
        quality = check(Bundle.load(draft))
        finished = _write_manifest(draft, {**manifest, **sections, "quality": dict(quality)})
        (draft / MODEL_CARD).write_text(model_card(finished), encoding="utf-8")
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
    if not (target / MANIFEST_FILE).is_file():
        raise BundleError(f"{target} exists and is not a bundle (no {MANIFEST_FILE} in it): it is not replaced. Move it away.")


def _write_files(folder: Path, graphs: Sequence[GraphFile], reference: Reference) -> dict[str, Any]:
    """Write graphs and reference; return the sections of the manifest that describe them."""
    described = {graph.role: _write_graph(folder, graph) for graph in graphs}
    with (folder / REFERENCE).open("wb") as stream:
        np.savez(stream, **{name: np.asarray(array) for name, array in reference.arrays.items()})
    return {
        "graphs": described,
        "reference": {
            "file": REFERENCE,
            "sha256": sha256_of(folder / REFERENCE),
            "seed": reference.seed,
            "tolerances": dict(reference.tolerances),
        },
    }


def _write_manifest(folder: Path, sections: Mapping[str, Any]) -> Manifest:
    whole = {"format": FORMAT, "format_version": FORMAT_VERSION, **sections}
    manifest = Manifest.from_json(json.dumps(whole, allow_nan=False))
    (folder / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def _write_graph(folder: Path, graph: GraphFile) -> dict[str, Any]:
    """Write the graph's files and return its section of the manifest."""
    name = f"{graph.role}.onnx"
    (folder / name).write_bytes(graph.model)
    section: dict[str, Any] = {
        "file": name,
        "sha256": sha256_of_bytes(graph.model),
        "precision": graph.precision,
        "inputs": plain(graph.inputs),
        "outputs": plain(graph.outputs),
    }
    if graph.torchscript is not None:
        (folder / f"{graph.role}.ts").write_bytes(graph.torchscript)
        section["torchscript"] = {"file": f"{graph.role}.ts", "sha256": sha256_of_bytes(graph.torchscript)}
    return section


def _replace(draft: Path, target: Path) -> None:
    """Move the finished draft to its name. A folder cannot be replaced in one step, so the old one steps aside first."""
    old = target.with_name(f".{target.name}.replaced.partial")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        os.rename(target, old)
    os.rename(draft, target)
    shutil.rmtree(old, ignore_errors=True)
