"""Torch modules to serialised graphs: ONNX with named tensors and a free batch dimension, and TorchScript traces."""

import io
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

OPSET = 20
BATCH = "N"
HALF, INT8, SCALE = ".half", ".int8", ".scale"  # what the names of weights in small storage end with
_SMALL = 1024  # numbers: a tensor below is not worth a node
_LARGEST = 127
_DEBUG = ".debug_pkl"
_WRITTEN_AT_THE_END = ("version", ".data/serialization_id")  # by torch's writer of archives itself
_PRODUCTS = {"abcd,abed->abce": "a @ b.T", "abcd,abde->abce": "a @ b"}  # einsum equations, axes renamed


def export_graph(module: nn.Module, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> bytes:
    """The module as an ONNX model: inputs in the order of `forward`, first axis free and called "N", the rest fixed.

    `inputs` are examples with a batch of at least 2, since a batch of 1 would be taken for a constant.
    """
    batch = torch.export.Dim(BATCH, min=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations, and one warning for each axis called "N"
        program = torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=tuple({0: batch} for _ in inputs),
            verbose=False,
        )
    assert program is not None
    data: bytes = store_small(write_matmul(clean(program.model_proto))).SerializeToString()
    return data


@torch.no_grad()
def round_to_half(module: nn.Module) -> None:
    """Round the large weights of a module to numbers that half precision can hold, in place.

    Their graph is stored in half the bytes (see `store_small`) and still computes in single precision.
    """
    for parameter in module.parameters():
        if parameter.numel() >= _SMALL:
            parameter.copy_(parameter.half().float())


@torch.no_grad()
def round_to_bytes(module: nn.Module) -> None:
    """Round the large weights of a module, in place, to whole multiples, -127 to 127, of one scale an output channel.

    Their graph is stored in a quarter of the bytes (see `store_small`) and still computes in single precision.
    """
    for parameter in module.parameters():
        if parameter.numel() >= _SMALL and parameter.ndim > 1:
            values = parameter.numpy()
            scale = _round_up(np.abs(values).max(axis=tuple(range(1, values.ndim)), keepdims=True) / _LARGEST)
            whole = np.round(np.divide(values, scale, out=np.zeros_like(values), where=scale > 0))
            parameter.copy_(torch.from_numpy(whole * scale))


def _round_up(scale: NDArray[np.float32]) -> NDArray[np.float32]:
    """The next number of 11 significant bits, so that its first 127 multiples are exact in single precision."""
    mantissa, exponent = np.frexp(scale)
    return np.asarray(np.ldexp(np.ceil(mantissa * 2048) / 2048, exponent), dtype=np.float32)


def store_small(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store large float32 weights in int8 with Cast and Mul behind them, or in float16 with a Cast, where that loses
    nothing at all.

    A session folds these nodes when it is opened, so nothing is slower. onnxruntime 1.32 leaves DequantizeLinear,
    which would say the same, in the graph (docs/engines.md).
    """
    nodes: list[onnx.NodeProto] = []
    added: list[onnx.TensorProto] = []
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) < _SMALL:
            continue
        name, values = tensor.name, numpy_helper.to_array(tensor)
        scale = _scale_of(values)
        if scale is not None:
            whole = np.divide(values, scale, out=np.zeros_like(values), where=scale > 0).astype(np.int8)
            tensor.CopyFrom(numpy_helper.from_array(whole, f"{name}{INT8}"))
            added.append(numpy_helper.from_array(scale, f"{name}{SCALE}"))
            nodes.append(onnx.helper.make_node("Cast", [f"{name}{INT8}"], [f"{name}.whole"], to=onnx.TensorProto.FLOAT))
            nodes.append(onnx.helper.make_node("Mul", [f"{name}.whole", f"{name}{SCALE}"], [name]))
            continue
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if np.array_equal(half.astype(np.float32), values):
            tensor.CopyFrom(numpy_helper.from_array(half, f"{name}{HALF}"))
            nodes.append(onnx.helper.make_node("Cast", [f"{name}{HALF}"], [name], to=onnx.TensorProto.FLOAT))
    model.graph.initializer.extend(added)
    nodes += [onnx.NodeProto.FromString(node.SerializeToString()) for node in model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def _scale_of(values: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """The scales, along the first or the last axis, of weights that `round_to_bytes` rounded; None for others."""
    for axis in sorted({0, values.ndim - 1}) if values.ndim > 1 else ():
        others = tuple(i for i in range(values.ndim) if i != axis)
        scale = np.asarray(np.abs(values).max(axis=others, keepdims=True) / np.float32(_LARGEST))
        whole = np.divide(values, scale, out=np.zeros_like(values), where=scale > 0)
        if np.array_equal(np.round(whole) * scale, values):
            return scale
    return None


def clean(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop what the exporter notes for debugging: stack traces, which hold paths of this machine, and doc strings."""
    del model.metadata_props[:]
    model.doc_string = ""
    graph = model.graph
    graph.doc_string = ""
    for item in [graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer]:
        del item.metadata_props[:]
        item.doc_string = ""
    del graph.value_info[:]
    return model


def write_matmul(model: onnx.ModelProto) -> onnx.ModelProto:
    """Attention as MatMul: onnxruntime takes a quarter longer over the same product as Einsum, bit for bit."""
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        equation = onnx.helper.get_node_attr_value(node, "equation").decode() if node.op_type == "Einsum" else ""
        kind = _PRODUCTS.get(_rename_axes(equation))
        if kind == "a @ b.T":
            transposed = f"{node.output[0]}_transposed"
            nodes.append(onnx.helper.make_node("Transpose", [node.input[1]], [transposed], perm=[0, 1, 3, 2]))
            nodes.append(onnx.helper.make_node("MatMul", [node.input[0], transposed], list(node.output)))
        elif kind == "a @ b":
            nodes.append(onnx.helper.make_node("MatMul", list(node.input), list(node.output)))
        else:
            nodes.append(node)
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)
    return model


def _rename_axes(equation: str) -> str:
    """The equation with its letters in order of appearance: "bhxy,bhyd->bhxd" becomes "abcd,abde->abce"."""
    letters = list(dict.fromkeys(character for character in equation if character.isalpha()))
    return equation.translate({ord(letter): "abcdefgh"[i] for i, letter in enumerate(letters[:8])}).replace(" ", "")


def trace(module: nn.Module, inputs: Mapping[str, Tensor]) -> bytes:
    """The module as a TorchScript trace, for the torchscript provider. It keeps neither the inputs nor paths.

    Frozen, so that it holds the weights that it uses and no others, and no device: the tracer writes down that of every
    tensor which the module makes, and would refuse to compute elsewhere.
    """
    buffer = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer warns about every Python number that it makes a constant
        script = torch.jit.trace(  # type: ignore[no-untyped-call]
            module.eval(), tuple(inputs.values()), check_trace=False, _store_inputs=False)
        torch.jit.save(torch.jit.freeze(script), buffer)
    return without_debug(buffer.getvalue())


def without_debug(archive: bytes) -> bytes:
    """A TorchScript archive without its debug files, which hold the paths of the sources on this machine."""
    reader, buffer = torch._C.PyTorchFileReader(io.BytesIO(archive)), io.BytesIO()
    writer = torch._C.PyTorchFileWriter(buffer)
    for name in reader.get_all_records():
        if not name.endswith(_DEBUG) and name not in _WRITTEN_AT_THE_END:
            record = reader.get_record(name)
            writer.write_record(name, record, len(record))
    writer.write_end_of_file()
    return buffer.getvalue()
