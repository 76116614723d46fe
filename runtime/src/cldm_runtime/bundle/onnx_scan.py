"""Scans the bytes of an ONNX model, before any session loads them, for contents that a bundle must not have.

Reads the protobuf wire format directly (protobuf.dev/programming-guides/encoding; field numbers from onnx.proto3), so
the runtime needs no onnx package. Refused: operators outside the standard set and a short list of onnxruntime's,
control flow and other subgraphs, random operators (randomness is an input of a graph), model-local functions,
tensors stored outside the file, sparse tensors, training graphs, and onnxruntime's own binary format.
"""

from collections.abc import Iterator
from pathlib import Path

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_STANDARD_DOMAINS = ("", "ai.onnx")


def read_operators(kind: str) -> frozenset[str]:
    """The operators of one list of onnx_operators.txt: microsoft (allowed), control_flow or random (refused)."""
    lines = Path(__file__).with_name("onnx_operators.txt").read_text(encoding="ascii").splitlines()
    return frozenset(line.split()[1] for line in lines if line.split()[0] == kind)


_MICROSOFT_OPERATORS = read_operators("microsoft")
_CONTROL_FLOW = read_operators("control_flow")
_RANDOM = read_operators("random")
_MODEL = {"graph": 7, "training_info": 20, "functions": 25}
_GRAPH = {"node": 1, "initializer": 5, "sparse_initializer": 15}
_NODE = {"op_type": 4, "attribute": 5, "domain": 7}
_ATTRIBUTE = {"tensor": 5, "graph": 6, "tensors": 10, "graphs": 11, "sparse_tensor": 22, "sparse_tensors": 23}
_TENSOR = {"external_data": 13, "data_location": 14}
_MOST_FIELDS = 500_000  # that are read; a network of 1000 nodes has 15 000

Field = tuple[int, int | memoryview]


class MalformedModel(ValueError):
    """The bytes are not a protobuf message."""


def scan_model(data: bytes) -> list[str]:
    """The forbidden contents of a model, one sentence each, without repetition; empty for an acceptable model."""
    if data[4:8] == b"ORTM":
        return ["is in onnxruntime's own format"]
    faults: dict[str, None] = {}
    try:
        graphs, fields = 0, _FieldCount()
        for number, value in fields.of(memoryview(data)):
            if number == _MODEL["graph"]:
                graphs += 1
                faults.update(dict.fromkeys(_graph_faults(_message(value), fields)))
            elif number == _MODEL["training_info"]:
                faults["holds a training graph"] = None
            elif number == _MODEL["functions"]:
                faults["holds model-local functions; inline them"] = None
        if graphs == 0:
            faults["holds no graph"] = None
    except MalformedModel as error:
        faults[f"is not a valid ONNX model ({error})"] = None
    return list(faults)


def _graph_faults(graph: memoryview, fields: "_FieldCount") -> Iterator[str]:
    for number, value in fields.of(graph):
        if number == _GRAPH["node"]:
            yield from _node_faults(_message(value), fields)
        elif number == _GRAPH["initializer"]:
            yield from _tensor_faults(_message(value), fields)
        elif number == _GRAPH["sparse_initializer"]:
            yield "holds a sparse tensor"


def _node_faults(node: memoryview, fields: "_FieldCount") -> Iterator[str]:
    domain, operator = "", ""
    for number, value in fields.of(node):
        if number == _NODE["domain"]:
            domain = _text(value)
        elif number == _NODE["op_type"]:
            operator = _text(value)
        elif number == _NODE["attribute"]:
            yield from _attribute_faults(_message(value), fields)
    if domain in _STANDARD_DOMAINS:
        if operator in _CONTROL_FLOW:
            yield f"holds control flow ({operator})"
        elif operator in _RANDOM:
            yield f"draws random numbers ({operator}); make them an input"
    elif domain != "com.microsoft" or operator not in _MICROSOFT_OPERATORS:
        yield f"uses the operator {domain}::{operator}, which is not allowed"


def _attribute_faults(attribute: memoryview, fields: "_FieldCount") -> Iterator[str]:
    for number, value in fields.of(attribute):
        if number in (_ATTRIBUTE["tensor"], _ATTRIBUTE["tensors"]):
            yield from _tensor_faults(_message(value), fields)
        elif number in (_ATTRIBUTE["graph"], _ATTRIBUTE["graphs"]):
            yield "holds a subgraph in an attribute"
        elif number in (_ATTRIBUTE["sparse_tensor"], _ATTRIBUTE["sparse_tensors"]):
            yield "holds a sparse tensor"


def _tensor_faults(tensor: memoryview, fields: "_FieldCount") -> Iterator[str]:
    for number, value in fields.of(tensor):
        if number == _TENSOR["external_data"] or (number == _TENSOR["data_location"] and value != 0):
            yield "keeps tensors in another file (external data)"


class _FieldCount:
    """Reads the fields of a model's messages, at most as many as take a second."""

    def __init__(self) -> None:
        self._left = _MOST_FIELDS

    def of(self, message: memoryview) -> Iterator[Field]:
        for field in _fields(message):
            self._left -= 1
            if self._left < 0:
                raise MalformedModel(f"more than {_MOST_FIELDS} fields")
            yield field


def _fields(message: memoryview) -> Iterator[Field]:
    """(field number, value) of a message: integers for the number types, a view of the bytes for the rest."""
    position, end = 0, len(message)
    while position < end:
        tag, position = _varint(message, position)
        number, wire_type = tag >> 3, tag & 7
        if number == 0 or tag >= 1 << 32:
            raise MalformedModel(f"field number {number}")
        value: int | memoryview
        if wire_type == _VARINT:
            value, position = _varint(message, position)
        else:
            length, position = _length(message, position, wire_type)
            if length > end - position:
                raise MalformedModel("ends within a field")
            value = message[position:position + length]
            position += length
        yield number, value


def _length(message: memoryview, position: int, wire_type: int) -> tuple[int, int]:
    if wire_type == _BYTES:
        return _varint(message, position)
    if wire_type in (_FIXED64, _FIXED32):
        return (8 if wire_type == _FIXED64 else 4), position
    raise MalformedModel(f"wire type {wire_type}")


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            break
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise MalformedModel("ends within a number, or holds one that is too long")


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise MalformedModel("a number where a message belongs")
    return value


def _text(value: int | memoryview) -> str:
    return bytes(_message(value)).decode("utf-8", errors="replace")
