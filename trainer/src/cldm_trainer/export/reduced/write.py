"""A second bundle from a written one, whose denoiser and decoder compute in fewer bits (int8.py, fp16.py).

The reference stays that of the bundle in fp32; its tolerances become what was found here, and a margin.
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization.shape_inference import quant_pre_process

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.domains.labels import LabelMap
from cldm_runtime.verification.replay import Check, verify_bundle

from ..bundle_writer import GraphFile, ReferenceFile, write_bundle
from ..model_card import generator_card
from ..quality import measure_generator

ROLES = ("denoiser", "decoder")  # nearly all of the arithmetic
_ANY = 1e30  # tolerance of a draft


@dataclass(frozen=True)
class Reduction:
    """models: the graphs of `ROLES` in the precision, by role. margin: of a tolerance over the error found here, since
    other engines round elsewhere. facts: about how it was made, for the manifest's provenance."""

    precision: Literal["fp16", "int8"]
    models: Mapping[str, bytes]
    margin: float
    facts: Mapping[str, Any]


def write_reduced(bundle: Bundle, target: Path, reduction: Reduction, images: NDArray[np.float32], masks: LabelMap,
                  segmenter: Path, *, force: bool = False) -> Path:
    """Write the version of `bundle` that computes in fewer bits to `target` and return it.

    images (N, C, *spatial) and masks (N, *spatial): slices of the cohort, which the quality is measured on. Raises
    BundleError where the target exists and `force` is not given.
    """
    graphs = [GraphFile(role, reduction.models[role] if role in ROLES else bundle.read(graph), graph.inputs,
                        graph.outputs, reduction.precision if role in ROLES else graph.precision)
              for role, graph in bundle.manifest.graphs.items()]
    sections = _sections(bundle, target.name, reduction)
    arrays, seed = bundle.reference(), bundle.manifest.reference.seed
    tolerances = bundle.manifest.reference.tolerances
    with tempfile.TemporaryDirectory() as folder:
        reference = ReferenceFile(arrays, seed, dict.fromkeys(tolerances, _ANY))
        draft = write_bundle(Path(folder) / target.name, sections, graphs, reference, generator_card,
                             check=lambda _: {})
        checks = [check for check in verify_bundle(Bundle.load(draft)) if check.name in tolerances]
    allowed = {check.name: max(tolerances[check.name], _rounded_up(reduction.margin * check.max_abs))
               if check.name.split("/")[0] in (*ROLES, "loop") else tolerances[check.name] for check in checks}

    def check(written: Bundle) -> Mapping[str, Any]:
        return {"parity": [_row(item, allowed[item.name], arrays) for item in checks],
                "validation": bundle.manifest.quality.get("validation", {}),
                "measured": measure_generator(written, segmenter, images, masks)}

    return write_bundle(target, sections, graphs, ReferenceFile(arrays, seed, allowed), generator_card, check=check,
                        force=force)


def folded(model: bytes) -> onnx.ModelProto:
    """The model with the weights unpacked that are stored in few bytes, and with the types of all tensors."""
    with tempfile.TemporaryDirectory() as folder:
        plain, prepared = Path(folder) / "plain.onnx", Path(folder) / "prepared.onnx"
        plain.write_bytes(model)
        quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
        return onnx.load(str(prepared))


def _sections(bundle: Bundle, name: str, reduction: Reduction) -> dict[str, Any]:
    """The manifest of the new bundle, without what follows from its files."""
    sections: dict[str, Any] = json.loads(bundle.manifest_text)
    for key in ("format", "format_version", "graphs", "reference", "quality"):
        sections.pop(key, None)
    origin = {"from": bundle.identity, "manifest_sha256": bundle.manifest_sha256, **reduction.facts}
    described = f"{sections['description']} {' and '.join(ROLES).capitalize()} compute in {reduction.precision}."
    return sections | {
        "name": name,
        "description": described,
        "provenance": sections.get("provenance", {}) | {reduction.precision: origin},
    }


def _row(check: Check, tolerance: float, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """A row of the card's table of parity."""
    return {"what": check.name, "inputs": "reference", "samples": len(next(iter(arrays.values()))),
            "max_abs": float(f"{check.max_abs:.3g}"), "tolerance": tolerance}


def _rounded_up(value: float) -> float:
    """To two significant digits."""
    return float(f"{value * 1.05:.1e}")
