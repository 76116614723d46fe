"""Graphs that a bundle must not hold: the C++ program refuses them, in the words of cldm_runtime.bundle.onnx_scan."""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from cldm_runtime.bundle.onnx_scan import scan_model
from cpp_program import SEGMENTER, copied, cpp, needs_program

pytestmark = needs_program


def altered(change: str) -> bytes:
    """The committed segmenter with something that does not belong there."""
    model = onnx.load_from_string((SEGMENTER / "segmenter.onnx").read_bytes())
    node, inner = model.graph.node[0], helper.make_graph([], "inner", [], [])
    if change == "external data":
        model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    elif change == "sparse":
        parts = [numpy_helper.from_array(np.ones(1, kind), "s") for kind in (np.float32, np.int64)]
        model.graph.sparse_initializer.append(helper.make_sparse_tensor(*parts, [1]))
    elif change == "subgraph":
        node.attribute.append(helper.make_attribute("then_branch", inner))
        node.op_type = "If"
    elif change == "constant":
        tensor = numpy_helper.from_array(np.ones(1, np.float32), "c")
        tensor.external_data.add(key="location", value="elsewhere")
        node.attribute.append(helper.make_attribute("value", tensor))
    elif change == "function":
        model.functions.append(helper.make_function("d", "f", [], [], [], []))
    elif change == "training":
        model.training_info.add()
    else:
        node.domain, node.op_type = change.split("::")
    return model.SerializeToString()


@pytest.mark.parametrize("model", [
    *(altered(change) for change in ("external data", "sparse", "subgraph", "constant", "function", "training",
                                     "my.domain::Evil", "com.microsoft::EPContext", "::RandomNormalLike")),
    b"", b"\x08\x01", b"\x00\x01", b"\x3a\xff", b"\x39\x00", b"\x3b\x00", b"\x38\x01", b"\x80" * 12, b"1234ORTM5678",
    (SEGMENTER / "segmenter.onnx").read_bytes()[:-20]])
def test_what_python_refuses_is_refused_in_the_same_words(tmp_path: Path, model: bytes) -> None:
    file = copied(SEGMENTER, tmp_path) / "manifest.json"
    (tmp_path / "segmenter.onnx").write_bytes(model)
    manifest = json.loads(file.read_text())
    manifest["graphs"]["segmenter"]["sha256"] = hashlib.sha256(model).hexdigest()
    file.write_text(json.dumps(manifest))
    done, faults = cpp("segment", tmp_path, "--images", "x.npy", "--out", "y.npy"), scan_model(model)
    assert faults and f"segmenter.onnx is refused: {'; '.join(faults)}." in done.stderr
    assert done.returncode == 3
