"""A generator bundle whose denoiser and decoder compute in int8, from one that computes in fp32.

Static quantisation by onnxruntime, written as QuantizeLinear and DequantizeLinear around every convolution and matrix
product (QDQ), which onnxruntime and OpenVINO both fuse: weights in int8, symmetric, with a scale an output channel;
activations in uint8, over the range that they take while the bundle generates images for label maps of real slices.
The reference stays that of the bundle in fp32; its tolerances become what was found here, and a margin.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from cldm_runtime.bundle import Bundle
from cldm_runtime.conditions import encoder_inputs
from cldm_runtime.engines import Engine, Tensors
from cldm_runtime.errors import InputError
from cldm_runtime.labels import LabelMap
from cldm_runtime.pipeline import Pipeline
from cldm_runtime.verify import Check, verify_bundle

from ..data import in_batches
from .bundle_writer import GraphFile, Reference, write_bundle
from .graphs import clean
from .model_card import generator_card
from .quality import measure_generator

ROLES = ("denoiser", "decoder")  # nearly all of the arithmetic
_OPERATORS = ["Conv", "MatMul", "Gemm"]
_BATCH = 16
_MARGIN = 2.0  # of a tolerance over the error here: whether a value is rounded up or down is the engine's affair
_ANY = 1e30  # tolerance of a draft


def write_int8(source: Path, target: Path, images: NDArray[np.float32], masks: LabelMap, segmenter: Path, *,
               force: bool = False) -> Path:
    """Write the int8 version of the bundle `source` to `target` and return it.

    masks (N, *spatial): label maps of real slices, which activations are measured on, and the quality with their
    images (N, C, *spatial). Raises InputError for a bundle that label maps do not condition, BundleError where the
    target exists and `force` is not given.
    """
    bundle = Bundle.load(source)
    if set(bundle.manifest.sources) != {"masks"}:
        raise InputError(f"{source}: conditioned by {', '.join(bundle.manifest.sources) or 'nothing'}; an int8 version "
                         "is calibrated on label maps alone. Leave export.int8 empty.")
    seen = recorded_inputs(bundle, masks)
    graphs = [GraphFile(role, quantised(bundle.read(graph), seen[role]) if role in ROLES else bundle.read(graph),
                        graph.inputs, graph.outputs, "int8" if role in ROLES else graph.precision)
              for role, graph in bundle.manifest.graphs.items()]
    sections = _sections(bundle, target.name, len(masks))
    arrays, seed = bundle.reference(), bundle.manifest.reference.seed
    known = bundle.manifest.reference.tolerances
    with tempfile.TemporaryDirectory() as folder:
        draft = write_bundle(Path(folder) / target.name, sections, graphs,
                             Reference(arrays, seed, dict.fromkeys(known, _ANY)), generator_card, check=lambda _: {})
        found = [check for check in verify_bundle(Bundle.load(draft)) if check.name in known]
    allowed = {check.name: max(known[check.name], _rounded_up(_MARGIN * check.max_abs))
               if check.name.split("/")[0] in (*ROLES, "loop") else known[check.name] for check in found}

    def check(written: Bundle) -> Mapping[str, Any]:
        return {"parity": [_row(item, allowed[item.name], arrays) for item in found],
                "validation": bundle.manifest.quality.get("validation", {}),
                "measured": measure_generator(written, segmenter, images, masks)}

    return write_bundle(target, sections, graphs, Reference(arrays, seed, allowed), generator_card, check=check,
                        force=force)


class _Recording:
    """An engine that keeps what it was given."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.inputs: list[dict[str, NDArray[Any]]] = []

    @property
    def provider(self) -> str:
        return self._engine.provider

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        self.inputs.append({name: np.array(array) for name, array in inputs.items()})
        return self._engine.run(inputs)


def recorded_inputs(bundle: Bundle, masks: LabelMap) -> dict[str, list[dict[str, NDArray[Any]]]]:
    """What the graphs in `ROLES` are given while the bundle generates an image for each label map, by role."""
    manifest = bundle.manifest
    recording = {role: _Recording(bundle.open(role)) for role in ROLES}
    encoders = {condition.encoder: bundle.open(condition.encoder) for condition in manifest.conditions}
    pipeline = Pipeline(manifest, {**encoders, **recording})
    assert manifest.sampling is not None  # a generator has it: the manifest was checked
    plan = pipeline.plan(manifest.sampling)
    for part in in_batches(len(masks), _BATCH):
        nothing = np.zeros((len(masks[part]), 0), np.float32)
        sources = encoder_inputs(manifest, bundle.domain(), masks[part], nothing)
        pipeline.sample(sources, plan, 0, np.arange(len(masks))[part])
    return {role: engine.inputs for role, engine in recording.items()}


class _Inputs(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime comes without types
    def __init__(self, inputs: Sequence[Mapping[str, NDArray[Any]]]) -> None:
        self._inputs = iter(inputs)

    def get_next(self) -> Any:
        return next(self._inputs, None)


def quantised(model: bytes, inputs: Sequence[Mapping[str, NDArray[Any]]]) -> bytes:
    """An ONNX model with its convolutions and matrix products in int8, over the ranges that these inputs lead to."""
    with tempfile.TemporaryDirectory() as folder:
        plain, prepared, written = (Path(folder) / f"{name}.onnx" for name in ("plain", "prepared", "int8"))
        plain.write_bytes(model)
        # Folds weights that are stored in few bytes, and infers shapes.
        quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
        quantize_static(str(prepared), str(written), _Inputs(inputs), quant_format=QuantFormat.QDQ, per_channel=True,
                        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                        op_types_to_quantize=_OPERATORS)
        data: bytes = clean(onnx.load(str(written))).SerializeToString()
    return data


def _sections(bundle: Bundle, name: str, slices: int) -> dict[str, Any]:
    """The manifest of the int8 bundle, without what follows from its files."""
    sections: dict[str, Any] = json.loads(bundle.manifest_text)
    for key in ("format", "format_version", "graphs", "reference", "quality"):
        sections.pop(key, None)
    made = {"from": bundle.identity, "manifest_sha256": bundle.manifest_sha256, "calibration_slices": slices}
    return sections | {
        "name": name,
        "description": f"{sections['description']} {' and '.join(ROLES).capitalize()} compute in int8.",
        "provenance": sections.get("provenance", {}) | {"int8": made},
    }


def _row(check: Check, tolerance: float, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """A row of the card's table of parity."""
    return {"what": check.name, "inputs": "reference", "samples": len(next(iter(arrays.values()))),
            "max_abs": float(f"{check.max_abs:.3g}"), "tolerance": tolerance}


def _rounded_up(value: float) -> float:
    """To two significant digits."""
    return float(f"{value * 1.05:.1e}")

