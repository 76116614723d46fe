"""The scan of model bytes, on sound models and on a corpus of attacks."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.bundle.onnx_scan import read_operators, scan_model
from cldm_runtime.engines.open import open_graph
from cldm_runtime.errors import BundleError

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402


def value_info(name):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1])


def graph(*nodes, initializers=(), sparse=()):
    return helper.make_graph(list(nodes), "g", [value_info("x")], [value_info("y")], list(initializers),
                             sparse_initializer=list(sparse))


def model(*nodes, **options):
    return helper.make_model(graph(*nodes, **options))


def node(operator="Identity", domain="", **attributes):
    return helper.make_node(operator, ["x"], ["y"], domain=domain, **attributes)


def external_tensor():
    tensor = numpy_helper.from_array(np.zeros(1, np.float32), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return tensor


def sparse_tensor():
    return helper.make_sparse_tensor(numpy_helper.from_array(np.ones(1, np.float32), "s"),
                                     numpy_helper.from_array(np.zeros(1, np.int64), "i"), [1])


def scan(message):
    return scan_model(message.SerializeToString())


@pytest.mark.parametrize("accepted", [node(), node("Conv", "ai.onnx"), node("FastGelu", "com.microsoft"),
                                      node("Constant", value=numpy_helper.from_array(np.ones(3)))])
def test_sound_models_pass(accepted):
    assert scan(model(accepted, initializers=[numpy_helper.from_array(np.ones((100, 100)), "w")])) == []


@pytest.mark.parametrize(("refused", "fault"), [
    (node("EPContext", "com.microsoft", embed_mode=1, ep_cache_context=b"native"), "com.microsoft::EPContext"),
    (node("PyOp", "ai.onnx.contrib"), "ai.onnx.contrib::PyOp"),
    (node("Evil", "my.domain"), "my.domain::Evil"),
    (node("Conv", "com.microsoft.nchwc"), "com.microsoft.nchwc::Conv"),
    (node("TreeEnsemble", "ai.onnx.ml"), "ai.onnx.ml::TreeEnsemble"),
    (node("RandomNormalLike"), "draws random numbers"),
    (node("Loop"), "control flow"),
    (node("If", then_branch=graph(node("Evil", "my.domain"))), "subgraph"),
    (node("Other", then=[graph(node())]), "subgraph"),
    (node("Constant", value=external_tensor()), "external data"),
    (node("Constant", values=[external_tensor()]), "external data"),
    (node("Constant", sparse_value=sparse_tensor()), "sparse tensor"),
])
def test_hostile_nodes_are_refused(refused, fault):
    assert any(fault in found for found in scan(model(refused)))


def test_external_data_in_initialisers_is_refused():
    assert scan(model(node(), initializers=[external_tensor()])) == ["keeps tensors in another file (external data)"]


def test_a_location_alone_is_refused_too():
    tensor = numpy_helper.from_array(np.zeros(1, np.float32), "w")
    tensor.data_location = TensorProto.EXTERNAL
    assert "external data" in scan(model(node(), initializers=[tensor]))[0]


def test_sparse_initialisers_are_refused():
    assert scan(model(node(), sparse=[sparse_tensor()])) == ["holds a sparse tensor"]


def test_functions_and_training_graphs_are_refused():
    message = model(node())
    message.functions.append(helper.make_function("d", "f", ["x"], ["y"], [node()], [helper.make_opsetid("", 20)]))
    message.training_info.add().algorithm.CopyFrom(graph(node()))
    found = scan(message)
    assert any("functions" in fault for fault in found)
    assert any("training" in fault for fault in found)


def test_every_fault_is_reported_once():
    found = scan(model(node("A", "evil"), node("A", "evil"), node("B", "evil")))
    assert found == [f"uses the operator evil::{name}, which is not allowed" for name in "AB"]


@pytest.mark.parametrize("data", [b"", b"\x00", b"\xff" * 20, b"\x3a\x7f", b"\x0b\x0c", b"not a model at all"])
def test_bytes_that_are_no_model_are_refused(data):
    assert scan_model(data)


def test_the_format_of_onnxruntime_is_refused():
    assert scan_model(b"\x08\x00\x00\x00ORTM" + b"\x00" * 40) == ["is in onnxruntime's own format"]


def test_every_truncation_of_a_model_is_refused_or_harmless():
    data = model(node("EPContext", "com.microsoft", note=b"x" * 50)).SerializeToString()
    graph_ends = data.index(b"x" * 50) + 50
    for length in range(graph_ends):
        assert scan_model(data[:length]), length


def test_random_bytes_never_raise():
    random = np.random.default_rng(0)
    sound = model(node(), initializers=[numpy_helper.from_array(np.ones(8), "w")]).SerializeToString()
    for _ in range(2000):
        spoilt = bytearray(sound)
        for position in random.integers(0, len(sound), 3):
            spoilt[position] = random.integers(256)
        scan_model(bytes(spoilt))


def test_an_overlong_number_does_not_hide_a_location():
    """Protobuf keeps the low 32 bits of an enum, so 2**32 + 1 means EXTERNAL."""
    tensor = b"\x70" + b"\x81\x80\x80\x80\x10"
    graph_bytes = b"\x2a" + bytes([len(tensor)]) + tensor
    assert "external data" in scan_model(b"\x3a" + bytes([len(graph_bytes)]) + graph_bytes)[0]


def test_a_bundle_refuses_such_a_graph(tiny_generator, tmp_path):
    folder = shutil.copytree(tiny_generator, tmp_path / "bundle")
    data = model(node("EPContext", "com.microsoft")).SerializeToString()
    digest = Bundle.load(folder).manifest.graphs["decoder"].sha256
    (folder / "decoder.onnx").write_bytes(data)
    manifest = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(manifest.replace(digest, hashlib.sha256(data).hexdigest()))
    with pytest.raises(BundleError, match="EPContext, which is not allowed"):
        open_graph(Bundle.load(folder), "decoder")


@pytest.mark.parametrize(("kind", "before", "after"), [
    ("microsoft", "(`com.microsoft`: ", ")"), ("control_flow", "hold control flow (", ")"),
    ("random", "draw random numbers (", ")")])
def test_the_specification_lists_the_operators_that_are_read(kind, before, after):
    text = " ".join((Path(__file__).parents[3] / "docs" / "bundle-format.md").read_text().split())
    listed = text.partition(before)[2].partition(after)[0].split(", ")
    assert sorted(listed) == sorted(read_operators(kind))
    assert len(listed) > 3
