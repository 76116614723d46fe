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

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.bundle.manifest import FORMAT, FORMAT_VERSION, MANIFEST_FILE, Manifest, TensorSpec
from cldm_runtime.bundle.read_manifest import read_manifest
from cldm_runtime.bundle.reference import write_reference
from cldm_runtime.errors import BundleError
from cldm_runtime.files.atomic import file_behind, keep_rights
from cldm_runtime.files.digest import sha256_of_bytes
from cldm_runtime.files.records import plain

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

    def section(self) -> dict[str, Any]:
        """The graph's entry in the manifest."""
        entry: dict[str, Any] = {
            "file": f"{self.role}.onnx",
            "sha256": sha256_of_bytes(self.model),
            "precision": self.precision,
            "inputs": plain(self.inputs),
            "outputs": plain(self.outputs),
        }
        if self.torchscript is not None:
            entry["torchscript"] = {"file": f"{self.role}.ts", "sha256": sha256_of_bytes(self.torchscript)}
        return entry


@dataclass(frozen=True)
class ReferenceFile:
    """Inputs and the outputs that they must give: arrays for reference.npz (keys: `cldm_runtime.bundle.reference`), the
    seed of the noise in them, and the largest absolute error allowed of each output."""

    arrays: Mapping[str, NDArray[np.generic]]
    seed: int
    tolerances: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Picture:
    """A PNG that the model card shows, with its caption. Nothing of a patient may be in it."""

    data: bytes
    caption: str


def write_bundle(
    target: Path,
    manifest: Mapping[str, Any],
    graphs: Sequence[GraphFile],
    reference: ReferenceFile,
    model_card: Callable[[Manifest, Mapping[str, str]], str],
    *,
    check: Callable[[Bundle], Mapping[str, Any]],
    pictures: Mapping[str, Picture] | None = None,
    force: bool = False,
) -> Path:
    """Write the folder `target` and return it.

    `manifest` is the manifest as JSON values, without `format`, `graphs`, `reference` and `quality`. The first three
    follow from the files; the quality figures are what `check` returns, which gets the bundle as a user would open it.
    `model_card` writes the card from the finished manifest and the captions of `pictures`, both by file name. The
    folder takes its name at the very end: raises BundleError where the target exists and `force` is not given, or
    when the manifest is not valid, and lets through what `check` raises; in every such case the target is as it
    was before.
    """
    refuse_to_overwrite(target, force=force)
    target = file_behind(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.partial")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    try:
        sections = _write_files(draft, graphs, reference)
        _write_manifest(draft, {**manifest, **sections})
        quality = check(Bundle.load(draft, require_signature=""))  # nobody can have signed it yet
        finished = _write_manifest(draft, {**manifest, **sections, "quality": dict(quality)})
        all_pictures = pictures or {}
        for name, picture in all_pictures.items():
            (draft / name).write_bytes(picture.data)
        captions = {name: picture.caption for name, picture in all_pictures.items()}
        (draft / MODEL_CARD).write_text(model_card(finished, captions), encoding="utf-8")
        _replace(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def refuse_to_overwrite(target: Path, *, force: bool) -> None:
    """Raise BundleError when `target` may not be written. Even `force` replaces nothing but a bundle."""
    if not target.exists():
        return
    if not force:
        raise BundleError(f"{target} exists. Pass --force to replace it, or choose another folder, with "
                          "--out or under [export].")
    if not (target / MANIFEST_FILE).is_file():
        raise BundleError(f"{target} exists and is not a bundle (no {MANIFEST_FILE} in it). Move it away.")


def _write_files(folder: Path, graphs: Sequence[GraphFile], reference: ReferenceFile) -> dict[str, Any]:
    """Write graphs and reference; return the sections of the manifest that describe them."""
    for graph in graphs:
        (folder / f"{graph.role}.onnx").write_bytes(graph.model)
        if graph.torchscript is not None:
            (folder / f"{graph.role}.ts").write_bytes(graph.torchscript)
    return file_sections(graphs, reference, write_reference(folder / REFERENCE, reference.arrays))


def file_sections(graphs: Sequence[GraphFile], reference: ReferenceFile, reference_sha256: str) -> dict[str, Any]:
    """The manifest's `graphs` and `reference`."""
    described = {"file": REFERENCE, "sha256": reference_sha256, "seed": reference.seed}
    return {
        "graphs": {graph.role: graph.section() for graph in graphs},
        "reference": {**described, "tolerances": dict(reference.tolerances)},
    }


def draft_manifest(sections: Mapping[str, Any], graphs: Sequence[GraphFile], seed: int) -> Manifest:
    """The manifest as it will be, before there is a reference: enough to run the graphs' modules through a pipeline."""
    files = file_sections(graphs, ReferenceFile({}, seed), "0" * 64)
    return read_manifest(_as_text({**sections, **files}))


def _write_manifest(folder: Path, sections: Mapping[str, Any]) -> Manifest:
    manifest = read_manifest(_as_text(sections))
    (folder / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def _as_text(sections: Mapping[str, Any]) -> str:
    return json.dumps({"format": FORMAT, "format_version": FORMAT_VERSION, **sections}, allow_nan=False)


def _replace(draft: Path, target: Path) -> None:
    """Move the draft to its name. A folder cannot be replaced in one step, so the old one steps aside first."""
    old = target.with_name(f".{target.name}.replaced.partial")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        keep_rights(draft, target)
        os.rename(target, old)
    os.rename(draft, target)
    shutil.rmtree(old, ignore_errors=True)
