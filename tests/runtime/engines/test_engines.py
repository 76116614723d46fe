"""Engines: named tensors through graphs, and providers that are what was asked for."""

import importlib.util
import io
import os
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.bundle.manifest import GraphSpec, TensorSpec
from cldm_runtime.bundle.reference import Reference
from cldm_runtime.engines import processor
from cldm_runtime.engines.engine import PROVIDERS
from cldm_runtime.engines.open import open_engine, open_graph
from cldm_runtime.errors import BundleError, InputError, ProviderError

A, B, SUM = (TensorSpec(name, "float32", ("N", 2), "a number") for name in ("a", "b", "sum"))
ADDER = GraphSpec("adder.onnx", "0" * 64, "fp32", (A, B), (SUM,))


@pytest.fixture(scope="module")
def adder():
    """Bytes of a graph that adds a and b."""
    pytest.importorskip("onnx")
    import onnx_fixtures

    return onnx_fixtures.model([onnx_fixtures.make_node("Add", ["a", "b"], ["sum"])], ADDER.inputs, ADDER.outputs)


@pytest.fixture(scope="module")
def need_openvino():
    """Skips where openvino is not installed; imported through the engine, which leaves its telemetry out."""
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("openvino is not installed: pip install 'cldm-runtime[openvino]'")


def ones(batch=1):
    return {"a": np.ones((batch, 2), np.float32), "b": np.full((batch, 2), 2, np.float32)}


@pytest.mark.parametrize("batch", [1, 3])
def test_named_tensors_of_any_batch(adder, batch):
    result = open_engine(adder, ADDER).run(ones(batch))
    np.testing.assert_array_equal(result["sum"], np.full((batch, 2), 3, np.float32))


def test_outputs_belong_to_the_caller(adder):
    engine = open_engine(adder, ADDER)
    first = engine.run(ones())["sum"]
    first += 10
    assert engine.run(ones())["sum"].tolist() == [[3.0, 3.0]]
    assert first.tolist() == [[13.0, 13.0]]


def test_the_provider_is_the_one_asked_for(adder):
    assert open_engine(adder, ADDER, "cpu", threads=1).provider == "cpu"


def test_a_provider_that_is_missing_is_an_error_with_the_pip_line(adder, monkeypatch):
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    line = r"pip install 'cldm-runtime\[gpu\]'"
    for provider in ("cuda", "ort-tensorrt"):
        with pytest.raises(ProviderError, match=f"{provider} was requested, but onnxruntime offers: CPU.*{line}"):
            open_engine(adder, ADDER, provider)


def test_a_provider_that_does_not_start_never_falls_back_to_the_cpu(adder, monkeypatch):
    """onnxruntime lists a provider whose libraries are missing, logs an error and goes on with the CPU."""
    class Fallen:
        def __init__(self, *_, **__): ...

        def get_providers(self):
            return ["CPUExecutionProvider"]

    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr("onnxruntime.InferenceSession", Fallen)
    with pytest.raises(ProviderError, match="could only start: CPUExecutionProvider"):
        open_engine(adder, ADDER, "cuda")


def test_an_unknown_provider_names_the_known(adder):
    with pytest.raises(InputError, match=f"Known: {', '.join(PROVIDERS)}"):
        open_engine(adder, ADDER, "tpu")


@pytest.mark.parametrize(("inputs", "fault"), [
    ({"a": np.ones((1, 2), np.float32)}, "input b is missing"),
    ({**ones(), "c": np.ones(1)}, "input c is not described"),
    ({**ones(), "b": np.ones((1, 2))}, r"input b is float64 \[1, 2\], expected float32 \['N', 2\]"),
    ({**ones(), "b": np.ones((1, 3), np.float32)}, r"input b is float32 \[1, 3\]"),
    ({**ones(), "b": np.ones((4, 2), np.float32)}, r"batch sizes differ: \[1, 4\]"),
])
def test_tensors_that_do_not_fit_are_refused(adder, inputs, fault):
    with pytest.raises(BundleError, match=fault):
        open_engine(adder, ADDER).run(inputs)


@pytest.mark.parametrize(("graph", "fault"), [
    (replace(ADDER, inputs=(A,)), "input b is not described"),
    (replace(ADDER, outputs=(SUM, TensorSpec("extra", "float32", ("N",), ""))), "output extra is missing"),
    (replace(ADDER, inputs=(A, replace(B, shape=("N", 3)))), r"input b is tensor\(float\) \['N', 2\], described as"),
    (replace(ADDER, inputs=(A, replace(B, dtype="int64"))), "described as int64"),
])
def test_a_graph_must_be_as_described(adder, graph, fault):
    with pytest.raises(BundleError, match=fault):
        open_engine(adder, graph)


@pytest.mark.parametrize("data", [b"", b"nonsense", b"\x08\x08"])
def test_bytes_that_do_not_load(data):
    with pytest.raises(BundleError, match=r"adder\.onnx does not load"):
        open_engine(data, ADDER)


def test_a_batch_gives_what_its_samples_give(tiny_generator):
    engine = open_graph(Bundle.load(tiny_generator), "decoder", threads=1)
    random = np.random.default_rng(0)
    latent = random.standard_normal((3, 16, 32, 32), np.float32)
    texture = random.standard_normal((3, 1, 128, 128), np.float32)
    whole = engine.run({"latent": latent, "texture_noise": texture})["image"]
    single = engine.run({"latent": latent[1:2], "texture_noise": texture[1:2]})["image"]
    np.testing.assert_allclose(whole[1:2], single, atol=1e-6)


@pytest.fixture(scope="module")
def traced():
    """Bytes of a TorchScript archive: the product of a and a matrix of ones, and b."""
    torch = pytest.importorskip("torch")
    warnings.simplefilter("ignore", DeprecationWarning)  # of torch.jit as a whole
    buffer = io.BytesIO()

    class Adder(torch.nn.Module):
        def forward(self, a, b):
            return a @ torch.ones(2, 2) + b

    example = torch.ones(1, 2)
    torch.jit.save(torch.jit.trace(Adder(), (example, example)), buffer)
    return buffer.getvalue()


def test_torchscript_runs_the_same_tensors(traced):
    engine = open_engine(traced, ADDER, "torchscript")
    assert engine.provider == "torchscript"
    np.testing.assert_array_equal(engine.run(ones(3))["sum"], np.full((3, 2), 4, np.float32))


def test_torchscript_in_bf16_multiplies_with_8_bits_of_mantissa_and_gives_float32(traced):
    inputs = {"a": np.full((1, 2), 1 + 2**-10, np.float32), "b": np.zeros((1, 2), np.float32)}
    exact, rounded = (open_engine(traced, ADDER, "torchscript", precision=precision).run(inputs)["sum"]
                      for precision in ("fp32", "bf16"))
    np.testing.assert_array_equal(exact, np.full((1, 2), 2 * (1 + 2**-10), np.float32))
    np.testing.assert_array_equal(rounded, np.full((1, 2), 2, np.float32))


def test_a_cuda_device_that_is_missing_is_never_replaced_by_the_cpu(traced):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(ProviderError, match=r"torchscript-cuda was requested, but torch .* finds no CUDA device"):
        open_engine(traced, ADDER, "torchscript-cuda")


@pytest.mark.parametrize(("provider", "precision"), [("cpu", "bf16"), ("openvino", "fp16"), ("torchscript", "tf32")])
def test_a_precision_that_a_provider_lacks_names_one_that_has_it(adder, provider, precision):
    with pytest.raises(ProviderError, match=f"provider {provider} offers: .*Pass --provider "):
        open_engine(adder, ADDER, provider, precision=precision)


def test_torchscript_bytes_that_do_not_load():
    pytest.importorskip("torch")
    with pytest.raises(BundleError, match="does not load"):
        open_engine(b"nonsense", ADDER, "torchscript")


@pytest.fixture(scope="module")
def twice(need_openvino):
    """Bytes and description of a graph that doubles a, in int8 by static quantisation in steps of 0.5, and has an input
    that nothing reads."""
    pytest.importorskip("onnx")
    import onnx_fixtures as f

    graph = replace(ADDER, inputs=(A, replace(B, name="unread")), outputs=(replace(SUM, name="twice"),))
    nodes = [f.make_node("QuantizeLinear", ["a", "step", "zero"], ["q"]),
             f.make_node("DequantizeLinear", ["q", "step", "zero"], ["rounded"]),
             f.make_node("DequantizeLinear", ["weights", "step", "zero"], ["w"]),
             f.make_node("MatMul", ["rounded", "w"], ["twice"])]
    constants = {"step": np.float32(0.5), "zero": np.int8(0), "weights": 4 * np.eye(2, dtype=np.int8)}
    return f.model(nodes, graph.inputs, graph.outputs, constants), graph


@pytest.mark.parametrize("batch", [1, 3])
def test_openvino_adds_as_onnxruntime_does(adder, need_openvino, batch):
    engine = open_engine(adder, ADDER, "openvino", threads=1)
    assert engine.provider == "openvino"
    np.testing.assert_array_equal(engine.run(ones(batch))["sum"], open_engine(adder, ADDER).run(ones(batch))["sum"])


def test_openvino_keeps_few_compilations_and_gives_outputs_away(adder, need_openvino):
    engine = open_engine(adder, ADDER, "openvino", threads=1)
    first = engine.run(ones())["sum"]
    for batch in (2, 3, 4, 5, 6, 1):
        assert engine.run(ones(batch))["sum"].tolist() == [[3.0, 3.0]] * batch
    first += 10
    assert len(engine._requests) == 4 and engine.run(ones())["sum"].tolist() == [[3.0, 3.0]]


def test_openvino_reads_static_int8_and_leaves_out_what_nothing_reads(twice):
    inputs = {"a": np.array([[1.0, 2.1]], np.float32), "unread": np.zeros((1, 2), np.float32)}
    assert open_engine(*twice, "openvino", threads=1).run(inputs)["twice"].tolist() == [[2.0, 4.0]]
    assert open_engine(*twice, threads=1).run(inputs)["twice"].tolist() == [[2.0, 4.0]]


@pytest.mark.parametrize(("graph", "fault"), [
    (replace(ADDER, inputs=(A,)), "input b is not described"),
    (replace(ADDER, outputs=(SUM, TensorSpec("extra", "float32", ("N",), ""))), "output extra is missing"),
    (replace(ADDER, inputs=(A, replace(B, shape=("N", 3)))), r"input b is float32 \['N', 2\], described as"),
])
def test_openvino_checks_the_description(adder, need_openvino, graph, fault):
    with pytest.raises(BundleError, match=fault):
        open_engine(adder, graph, "openvino")


@pytest.mark.parametrize("data", [b"", b"nonsense", b"\x08\x08", b"<?xml version='1.0'?><net name='a' version='11'/>"])
def test_bytes_that_openvino_does_not_load(need_openvino, data):
    with pytest.raises(BundleError, match=r"adder\.onnx does not load on openvino"):
        open_engine(data, ADDER, "openvino")


def test_openvino_that_is_missing_is_an_error_with_the_pip_line(adder, monkeypatch):
    from cldm_runtime.engines import openvino

    openvino._core.cache_clear()
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ProviderError, match=r"not installed.*pip install 'cldm-runtime\[openvino\]'"):
        open_engine(adder, ADDER, "openvino")


def test_a_precision_that_the_provider_lacks(adder):
    with pytest.raises(ProviderError, match=r"precision bf16 .* provider cpu offers: fp32\. Pass --provider openvino"):
        open_engine(adder, ADDER, "cpu", precision="bf16")
    with pytest.raises(InputError, match="Known: fp32, tf32, bf16, fp16"):
        open_engine(adder, ADDER, "openvino", precision="fp8")


@pytest.mark.parametrize(("cpuinfo", "lacks"), [
    ("model name: old\nflags\t\t: fpu avx2 avx512f\n", True), ("flags : fpu avx512_vnni\n", False),
    ("flags: avx2 avx_vnni\n", False), ("processor: 0\nFeatures: asimddp\n", False), (None, False)])
def test_int8_on_a_processor_that_would_overflow(adder, tmp_path, monkeypatch, cpuinfo, lacks):
    path = tmp_path / "cpuinfo"
    if cpuinfo is not None:
        path.write_text(cpuinfo)
    assert processor.lacks_vnni(path) == lacks
    monkeypatch.setattr("cldm_runtime.engines.open.lacks_vnni", lambda: lacks)
    graph = replace(ADDER, precision="int8")
    if lacks:
        with pytest.raises(ProviderError, match=r"computes in int8.*Take a bundle that computes in fp32"):
            open_engine(adder, graph)
    else:
        open_engine(adder, graph)


def test_a_precision_that_the_machine_lacks(adder, need_openvino, monkeypatch):
    from cldm_runtime.engines import openvino

    class Old:
        def get_property(self, *_):
            return ["FP32", "INT8"]

    monkeypatch.setattr(openvino, "_core", Old)
    with pytest.raises(ProviderError, match=r"this CPU offers: fp32\. Pass --precision fp32"):
        open_engine(adder, ADDER, "openvino", precision="bf16")


def test_single_precision_is_single_also_where_the_cpu_has_bf16(need_openvino):
    """1 + 2^-12 is lost in bf16, which has 8 bits of mantissa; a product of matrices, since those are what it takes."""
    pytest.importorskip("onnx")
    import onnx_fixtures as f

    wide, sums = replace(A, shape=("N", 64)), replace(SUM, shape=("N", 64))
    graph = replace(ADDER, inputs=(wide,), outputs=(sums,))
    data = f.model([f.make_node("MatMul", ["a", "eye"], ["sum"])], graph.inputs, graph.outputs,
                   {"eye": np.eye(64, dtype=np.float32)})
    given = np.full((64, 64), 1 + 2**-12, np.float32)
    assert np.array_equal(open_engine(data, graph, "openvino", threads=1).run({"a": given})["sum"], given)
    try:
        halved = open_engine(data, graph, "openvino", threads=1, precision="bf16")
    except ProviderError:
        return  # a CPU without it
    assert np.array_equal(halved.run({"a": given})["sum"], np.ones((64, 64), np.float32))


def test_openvino_comes_without_its_telemetry(need_openvino, tmp_path):
    """Imported plainly, it leaves an identifier in the home folder and sends an event."""
    code = ("import sys; from cldm_runtime.engines.openvino import _core; _core();"
            "print('openvino' in sys.modules, 'openvino_telemetry' in sys.modules)")
    environment = {**os.environ, "HOME": str(tmp_path)}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout == "True False\n" and not list(tmp_path.iterdir())


def test_openvino_reproduces_a_committed_bundle(need_openvino):
    bundle = Bundle.load(Path(__file__).parents[3] / "exported/lge")
    reference = Reference.from_arrays(bundle.reference())
    for role, case in reference.graphs.items():
        found = open_graph(bundle, role, "openvino", threads=1).run(case.inputs)
        for name, expected in case.outputs.items():
            assert np.abs(found[name] - expected).max() <= bundle.manifest.reference.tolerances[f"{role}/{name}"]
