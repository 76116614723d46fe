"""Tiny folders of words: an encoder that looks a vector up for each token, and what these vectors mean."""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from cldm_runtime.files.digest import sha256_of
from cldm_runtime.files.npz import npz_bytes

# Vectors of the tokens: unknown, then these. The first axis means "large", the second "subendocardial".
TOKENS = ("whopping", "lumenward", "banana")
TABLE = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float32)
WORDS = [["size", "large"], ["layer", "subendocardial"]]


def hugging_face_graph() -> bytes:
    """input_ids (N, L) -> last_hidden_state (N, L, 3)."""
    node = helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["N", "L"])
    out = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["N", "L", 3])
    graph = helper.make_graph([node], "tiny", [ids], [out], [numpy_helper.from_array(TABLE, "table")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    data: bytes = model.SerializeToString()
    onnx.checker.check_model(model)
    return data


def vocabulary_graph(longest: int) -> bytes:
    """pieces (N, longest) -> vector (N, 3), the sum over the pieces; 0 stands for no piece."""
    table = np.vstack([np.zeros(3, np.float32), TABLE[1:]])
    nodes = [helper.make_node("Gather", ["table", "pieces"], ["rows"]),
             helper.make_node("ReduceSum", ["rows", "axes"], ["vector"], keepdims=0)]
    pieces = helper.make_tensor_value_info("pieces", TensorProto.INT64, ["N", longest])
    out = helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["N", 3])
    stored = [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.array([1], np.int64), "axes")]
    graph = helper.make_graph(nodes, "tiny", [pieces], [out], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    data: bytes = model.SerializeToString()
    return data


def tokenizer() -> str:
    """tokenizer.json of words that are separated by blanks."""
    vocabulary = {"[UNK]": 0, **{token: number for number, token in enumerate(TOKENS, 1)}}
    return json.dumps({"version": "1.0", "truncation": None, "padding": {
        "strategy": {"Fixed": 16}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0,
        "pad_token": "[UNK]"}, "added_tokens": [], "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None, "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"}})


def write_words(folder: Path, kind: str = "vocabulary") -> Path:
    """A folder of words with the own vocabulary, or of the kind hugging-face."""
    folder.mkdir()
    if kind == "vocabulary":
        (folder / "encoder.onnx").write_bytes(vocabulary_graph(8))
        (folder / "tokens.txt").write_text("".join(f"<{token}>\n" for token in TOKENS))
        encoder = {"longest": 8}
    else:
        (folder / "encoder.onnx").write_bytes(hugging_face_graph())
        (folder / "tokens.txt").write_text(tokenizer())
        encoder = {"longest": 8, "output": "last_hidden_state", "pooling": "mean"}
    weights = np.array([[20, 0, 0], [0, 20, 0]], dtype=np.float32)
    known = np.array([[1, 0, 0], [0, 1, 0], [2**-0.5, 2**-0.5, 0]], dtype=np.float32)
    (folder / "meanings.npz").write_bytes(npz_bytes({
        "weights": weights, "offsets": np.full(2, -8, np.float32), "sentences": known}))
    listed = {name: {"file": file, "sha256": sha256_of(folder / file)} for name, file in
              (("graph", "encoder.onnx"), ("tokens", "tokens.txt"), ("meanings", "meanings.npz"))}
    stated = {"format": "cldm-words", "format_version": 1, "name": "tiny", "version": "1", "domain": "lge",
              "description": "for tests", "licence": "none", "meanings": listed["meanings"],
              "encoder": {"kind": kind, "graph": listed["graph"], "tokens": listed["tokens"], **encoder},
              "words": WORDS, "sentences": ["a big one", "an inner one", "a big inner one"], "least_similarity": 0.8,
              "least_probability": 0.5}
    (folder / "words.json").write_text(json.dumps(stated))
    return folder
