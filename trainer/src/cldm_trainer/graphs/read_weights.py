"""Weights of ONNX graphs, and how they are put back into torch modules."""

from collections.abc import Iterable, Mapping

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from cldm_runtime.bundle.manifest import GraphSpec
from cldm_runtime.errors import InputError

from .accurate_norm import use_accurate_norms
from .write import HALF, INT8, SCALE, export_graph

Weights = dict[str, NDArray[np.float32]]
_ACCURATE = ("mask_encoder", "condition_encoder")  # exported with `use_accurate_norms`: they hold the mask codec

Places = dict[str, tuple[int, int, bool]]  # weight of a module -> which input of which node it is; whether transposed


def read_weights(model: onnx.ModelProto) -> Weights:
    """Weights of an ONNX graph by name, in single precision."""
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer
              if tensor.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.INT8)}
    scales = {name.removesuffix(SCALE): stored.pop(name) for name in list(stored) if name.endswith(SCALE)}
    plain = {name.removesuffix(HALF).removesuffix(INT8): values.astype(np.float32) for name, values in stored.items()}
    return {name: values * scales.get(name, np.float32(1)) for name, values in plain.items()}


def node_inputs(model: onnx.ModelProto) -> list[list[str]]:
    """The inputs of every node in order, without the nodes that unpack weights in small storage."""
    return [list(node.input) for node in model.graph.node
            if not (node.op_type == "Cast" and node.input[0].endswith((HALF, INT8)))
            and not (node.op_type == "Mul" and node.input[1].endswith(SCALE))]


def weight_places(module: nn.Module, inputs: Mapping[str, Tensor], outputs: Iterable[str]) -> Places:
    """Where each weight of the module stands in its exported graph; those that the graph does not use are left out.

    Changes the module's weights.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in module.state_dict().values():
            value.copy_(0.5 + torch.rand(value.shape, generator=generator))
    model = onnx.load_from_string(export_graph(module, inputs, list(outputs)))
    first = {name: (i, j) for i, names in reversed(list(enumerate(node_inputs(model)))) for j, name in enumerate(names)}
    used = {name: values for name, values in read_weights(model).items() if name in first}
    turned = {tuple(values.T.ravel()[:16]): (*first[name], True) for name, values in used.items() if values.ndim == 2}
    plain_order = {tuple(values.ravel()[:16]): (*first[name], False) for name, values in used.items()}
    places = turned | plain_order
    keys = {key: tuple(value.numpy().ravel()[:16]) for key, value in module.state_dict().items()}
    return {key: places[values] for key, values in keys.items() if values in places}


def fill(module: nn.Module, graph: GraphSpec, data: bytes, role: str) -> set[str]:
    """Put the weights of a bundle's graph into a module; those that the graph lacks stay as they are. Returns the names
    of those that it has."""
    before = {key: value.clone() for key, value in module.state_dict().items()}
    if role in _ACCURATE:
        use_accurate_norms(module)
    inputs = {spec.name: torch.ones((2, *(int(size) for size in spec.shape[1:]))) for spec in graph.inputs}
    places = weight_places(module, inputs, [spec.name for spec in graph.outputs])
    model = onnx.load_from_string(data)
    stored, nodes = read_weights(model), node_inputs(model)
    faults = []
    for key, (i, j, transposed) in places.items():
        name = nodes[i][j] if i < len(nodes) and j < len(nodes[i]) else ""
        values = stored.get(name)
        if values is None or values.size != before[key].numel():
            faults.append(f"{key}: expected {tuple(before[key].shape)}, found "
                          f"{'nothing' if values is None else values.shape}")
            continue
        before[key] = torch.from_numpy((values.T if transposed else values).copy()).reshape(before[key].shape)
    if faults:
        raise InputError(f"graph {graph.file} is not the network that the configuration describes, or was exported by "
                         "another version: " + "; ".join(faults[:5]))
    module.load_state_dict(before)
    return set(places)
