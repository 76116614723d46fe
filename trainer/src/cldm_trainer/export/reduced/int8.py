"""A generator bundle whose denoiser and decoder compute in int8, from one that computes in fp32.

Static quantisation by onnxruntime, written as QuantizeLinear and DequantizeLinear around every convolution and matrix
product (QDQ), which onnxruntime and OpenVINO both fuse: weights in int8, symmetric, with a scale an output channel;
activations in uint8, over the range that they take while the bundle generates images for label maps of the cohort.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from cldm_runtime.bundle.acquisition_spec import ROLE as ACQUISITION
from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.domains.labels import LabelMap
from cldm_runtime.engines.engine import Engine, Tensors
from cldm_runtime.engines.open import open_graph
from cldm_runtime.errors import InputError
from cldm_runtime.generation.generator import Generator
from cldm_runtime.generation.pipeline import Pipeline

from ...graphs.write import clean
from ..bundle_writer import refuse_to_overwrite
from .write import ROLES, Reduction, folded, write_reduced

_OPERATORS = ["Conv", "MatMul", "Gemm"]
_BATCH = 16
_MARGIN = 2.0  # whether a value is rounded up or down is the engine's affair


def write_int8(source: Path, target: Path, images: NDArray[np.float32], masks: LabelMap, segmenter: Path, *,
               force: bool = False) -> Path:
    """Write the int8 version of the bundle `source` to `target` and return it.

    masks (N, *spatial): label maps of the cohort, which activations are measured on, and the quality with their
    images (N, C, *spatial). Raises InputError for a bundle that label maps do not condition, BundleError where the
    target exists and `force` is not given.
    """
    refuse_to_overwrite(target, force=force)
    bundle = Bundle.load(source)
    if not {"masks"} <= set(bundle.manifest.sources) <= {"masks", "attributes"}:
        raise InputError(f"{source}: conditioned by {', '.join(bundle.manifest.sources) or 'nothing'}; an int8 version "
                         "is calibrated on label maps. Leave export.int8 empty.")
    seen = recorded_inputs(bundle, masks)
    models = {role: quantised(bundle.read(bundle.manifest.graphs[role]), seen[role]) for role in ROLES}
    reduction = Reduction("int8", models, _MARGIN, {"calibration_slices": len(masks)})
    return write_reduced(bundle, target, reduction, images, masks, segmenter, force=force)


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


class _RecordedGenerator(Generator):
    """Keeps what the graphs in `ROLES` are given, by role in `recorded`."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        last = [ACQUISITION] if bundle.manifest.acquisition else []
        others = dict.fromkeys([*(condition.encoder for condition in bundle.manifest.conditions), *last])
        self.recorded = {role: _Recording(open_graph(bundle, role)) for role in ROLES}
        self._pipeline = Pipeline(bundle.manifest, {**{role: open_graph(bundle, role) for role in others},
                                                    **self.recorded})


def recorded_inputs(bundle: Bundle, masks: LabelMap) -> dict[str, list[dict[str, NDArray[Any]]]]:
    """What the graphs in `ROLES` are given while the bundle generates an image for each label map, by role. Attributes
    of images are those that are drawn where nothing is requested."""
    generator = _RecordedGenerator(bundle)
    generator.sample(masks=masks, batch_size=_BATCH)
    return {role: engine.inputs for role, engine in generator.recorded.items()}


class _Inputs(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime comes without types
    def __init__(self, inputs: Sequence[Mapping[str, NDArray[Any]]]) -> None:
        self._inputs = iter(inputs)

    def get_next(self) -> Any:
        return next(self._inputs, None)


def quantised(model: bytes, inputs: Sequence[Mapping[str, NDArray[Any]]]) -> bytes:
    """An ONNX model with its convolutions and matrix products in int8, over the ranges that these inputs lead to."""
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "int8.onnx"
        quantize_static(folded(model), str(written), _Inputs(inputs), quant_format=QuantFormat.QDQ, per_channel=True,
                        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                        op_types_to_quantize=_OPERATORS)
        data: bytes = clean(onnx.load(str(written))).SerializeToString()
    return data
