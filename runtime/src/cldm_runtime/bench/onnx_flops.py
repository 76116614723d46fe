"""Operations of an ONNX graph: twice the multiply-adds of its convolutions and matrix products, for one sample.

onnxruntime runs the graph once, unoptimised and on the CPU, and records the shapes of every operator's inputs and
outputs, so the graph need not be parsed. Additions of biases, norms, activations and resampling are left out, as usual.
"""

import json
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..bundle.manifest import GraphSpec
from ..errors import InputError

_NEGLIGIBLE = frozenset({
    "Abs", "Add", "And", "AveragePool", "BatchNormalization", "Cast", "Ceil", "Clip", "Concat", "Constant",
    "ConstantOfShape", "Cos", "CumSum", "DepthToSpace", "DequantizeLinear", "Div", "Dropout", "Elu", "Equal", "Erf",
    "Exp", "Expand", "Flatten", "Floor", "Gather", "GatherElements", "GatherND", "Gelu", "GlobalAveragePool",
    "Greater", "GreaterOrEqual", "GroupNormalization", "HardSigmoid", "Identity", "InstanceNormalization",
    "LayerNormalization", "LeakyRelu", "Less", "LessOrEqual", "Log", "LogSoftmax", "Max", "MaxPool", "Mean",
    "MemcpyFromHost", "MemcpyToHost", "Min", "Mod", "Mul", "Neg", "Not", "Or", "Pad", "Pow", "QuantizeLinear",
    "Range", "Reciprocal", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "ReduceSumSquare", "Relu",
    "Reshape", "Resize", "Round", "ScatterND", "Selu", "Shape", "Sigmoid", "Sign", "Sin", "Size", "Slice", "Softmax",
    "Softplus", "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Swish", "Tanh", "Tile", "TopK",
    "Transpose", "Trilu", "Unsqueeze", "Upsample", "Where",
})
Shape = list[int]


def graph_flops(data: bytes, graph: GraphSpec) -> int:
    """Operations that one sample of a graph takes. Raises InputError for an operator that cannot be counted."""
    total, unknown = 0, set()
    for name, inputs, outputs in _calls(data, graph):
        if name in _NEGLIGIBLE:
            continue
        counted = operations(name, inputs, outputs)
        if counted is None:
            unknown.add(name)
        else:
            total += counted
    if unknown:
        raise InputError(f"graph {graph.file}: operations of {', '.join(sorted(unknown))} are not counted.")
    return total


def operations(name: str, inputs: list[Shape], outputs: list[Shape]) -> int | None:
    """Operations of one call of an operator; None for an unknown operator.

    A convolution's kernel is (out, in / groups, ...), a transposed one's (in, out / groups, ...).
    """
    if name in ("Conv", "FusedConv", "ConvInteger"):
        return 2 * math.prod(outputs[0]) * math.prod(inputs[1][1:])
    if name == "ConvTranspose":
        return 2 * math.prod(inputs[0]) * math.prod(inputs[1][1:])
    if name in ("MatMul", "MatMulInteger"):
        return 2 * math.prod(outputs[0]) * inputs[0][-1]
    if name == "Gemm":  # whichever way its operands lie, the first has rows x inner values
        return 2 * math.prod(outputs[0]) * (math.prod(inputs[0]) // outputs[0][0])
    return None


def _calls(data: bytes, graph: GraphSpec) -> list[tuple[str, list[Shape], list[Shape]]]:
    """Every operator that ran for one sample: its name, the shapes of its inputs, constants included, and outputs."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.enable_profiling = True
    options.add_session_config_entry("session.disable_prepacking", "1")  # packed kernels would hide their shapes
    options.add_session_config_entry("session.load_model_format", "ONNX")
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder) / "calls")
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        session.run(None, one_sample(graph))
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    kernels = [event["args"] for event in events
               if event.get("cat") == "Node" and event["name"].endswith("_kernel_time")]
    return [(str(call["op_name"]), _shapes(call["input_type_shape"]), _shapes(call["output_type_shape"]))
            for call in kernels]


def one_sample(graph: GraphSpec) -> dict[str, Any]:
    """Inputs of the described shapes for one sample, filled with 0.5, which no operator turns into NaN or infinity."""
    return {spec.name: np.full([1 if isinstance(size, str) else size for size in spec.shape], 0.5, dtype=spec.dtype)
            for spec in graph.inputs}


def _shapes(stated: list[Mapping[str, Shape]]) -> list[Shape]:
    return [shape for entry in stated for shape in entry.values()]
