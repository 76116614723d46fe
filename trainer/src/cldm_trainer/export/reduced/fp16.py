"""A generator bundle whose denoiser and decoder compute in half precision, from one that computes in fp32.

Convolutions, matrix products and the activations between them take and give half precision. Whatever adds up many
numbers or spreads them over many orders of magnitude stays in fp32: norms, softmax, means, square roots, and what is
not listed in `_HALVED`. So do the graphs' inputs and outputs, and what is computed from them before the first product
and behind the last.

Written here, since the converter in onnxruntime.transformers casts a tensor twice under one name where two nodes in
fp32 take it, and rounds a tensor that passes from one node in fp32 to the next.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.domains.labels import LabelMap

from ...graphs.write import clean
from ..bundle_writer import refuse_to_overwrite
from .write import ROLES, Reduction, folded, write_reduced

_PRODUCTS = {"Conv", "ConvTranspose", "MatMul", "Gemm"}
_HALVED = _PRODUCTS | {"Add", "Mul", "Sigmoid", "Relu", "LeakyRelu", "Concat", "Split", "Slice", "Pad", "Reshape",
                       "Transpose", "Squeeze", "Unsqueeze", "Expand", "DepthToSpace", "SpaceToDepth", "Resize"}
_ALWAYS_FLOAT = {("Resize", 2)}  # operator and number of an input that the operator wants in fp32
_WAVES = ("Sin", "Cos")  # of the timestep, whose digits half precision does not hold
# onnxruntime's CPU rounds behind some operators only. With all of them rounded, by onnx's ReferenceEvaluator, the error
# of exported/lge was 2.3 times as large.
_MARGIN = 4.0


def write_fp16(source: Path, target: Path, images: NDArray[np.float32], masks: LabelMap, segmenter: Path, *,
               force: bool = False) -> Path:
    """Write the fp16 version of the bundle `source` to `target` and return it.

    images (N, C, *spatial) and masks (N, *spatial): slices of the cohort, which the quality is measured on. Raises
    BundleError where the target exists and `force` is not given.
    """
    refuse_to_overwrite(target, force=force)
    bundle = Bundle.load(source)
    models = {role: halved(bundle.read(bundle.manifest.graphs[role])) for role in ROLES}
    return write_reduced(bundle, target, Reduction("fp16", models, _MARGIN, {}), images, masks, segmenter, force=force)


def halved(model: bytes) -> bytes:
    """An ONNX model that computes in half precision, with the inputs and outputs that it had."""
    prepared = folded(model)
    graph = prepared.graph
    rewritten = _Rewritten(graph)
    exact = _exact_nodes(graph)
    for number, node in enumerate(graph.node):
        rewritten.add(node, half=node.op_type in _HALVED and number not in exact)
    for output in graph.output:
        rewritten.finish(output.name)
    used = {name for node in rewritten.nodes for name in node.input}
    weights = [tensor for tensor in (*graph.initializer, *rewritten.weights) if tensor.name in used]
    reduced = helper.make_graph(rewritten.nodes, graph.name, graph.input, graph.output, weights)
    opsets = [opset for opset in prepared.opset_import if opset.domain in {node.domain for node in graph.node}]
    written = helper.make_model(reduced, opset_imports=opsets, ir_version=prepared.ir_version,
                                producer_name=prepared.producer_name)
    onnx.checker.check_model(written)
    data: bytes = clean(written).SerializeToString()
    return data


def _exact_nodes(graph: onnx.GraphProto) -> set[int]:
    """Numbers of the nodes from the last products to the outputs, and of those that lead to sines and cosines."""
    makers = {name: number for number, node in enumerate(graph.node) for name in node.output}
    open_names = [output.name for output in graph.output]
    open_names += [name for node in graph.node if node.op_type in _WAVES for name in node.input]
    exact: set[int] = set()
    while open_names:
        number = makers.get(open_names.pop())
        if number is not None and number not in exact and graph.node[number].op_type not in _PRODUCTS:
            exact.add(number)
            open_names += graph.node[number].input
    return exact


class _Rewritten:
    """Nodes and weights of a graph while its tensors change their types; casts stand where types meet, each once."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._stored = {tensor.name: tensor for tensor in graph.initializer}
        self._is_half = {value.name: False for value in (*graph.value_info, *graph.input, *graph.output)
                         if value.type.tensor_type.elem_type == TensorProto.FLOAT}
        self._is_half |= {name: False for name, tensor in self._stored.items() if tensor.data_type == TensorProto.FLOAT}
        self._cast: dict[str, str] = {}

    def add(self, node: onnx.NodeProto, *, half: bool) -> None:
        """The node, behind the casts of its inputs. Shape and the like, which take no number, never need one."""
        copy = onnx.NodeProto.FromString(node.SerializeToString())
        half = half and any(name in self._is_half for name in node.input)
        if node.op_type != "Shape":
            for place, name in enumerate(node.input):
                copy.input[place] = self._as(name, half=half and (node.op_type, place) not in _ALWAYS_FLOAT)
        self.nodes.append(copy)
        self._is_half |= {name: half for name in self._floats(node.output)}

    def finish(self, output: str) -> None:
        """Give the graph's output in fp32."""
        if not self._is_half.get(output, False):
            return
        inner = f"{output}.half"
        for node in self.nodes:
            for names in (node.input, node.output):
                for place, name in enumerate(names):
                    if name == output:
                        names[place] = inner
        self.nodes.append(helper.make_node("Cast", [inner], [output], to=TensorProto.FLOAT))

    def _floats(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if name in self._is_half]

    def _as(self, name: str, *, half: bool) -> str:
        """The name of the tensor in the type that is wanted."""
        if self._is_half.get(name, half) == half:
            return name
        if name not in self._cast:
            self._cast[name] = f"{name}.half" if half else f"{name}.float"
            if name in self._stored:
                values = numpy_helper.to_array(self._stored[name]).astype(np.float16)
                self.weights.append(numpy_helper.from_array(values, self._cast[name]))
            else:
                kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
                self.nodes.append(helper.make_node("Cast", [name], [self._cast[name]], to=kind))
        return self._cast[name]
