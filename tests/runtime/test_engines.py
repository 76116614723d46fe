"""Engines: named tensors through graphs, and providers that are what was asked for."""

import io
import warnings
from dataclasses import replace

import numpy as np
import pytest

from cldm_runtime.bundle import Bundle
from cldm_runtime.engines import PROVIDERS, open_engine
from cldm_runtime.errors import BundleError, InputError, ProviderError
from cldm_runtime.manifest import GraphSpec, TensorSpec

A, B, SUM = (TensorSpec(name, "float32", ("N", 2), "a number") for name in ("a", "b", "sum"))
ADDER = GraphSpec("adder.onnx", "0" * 64, "fp32", (A, B), (SUM,))


@pytest.fixture(scope="module")
def adder():
    """Bytes of a graph that adds a and b."""
    pytest.importorskip("onnx")
    import onnx_fixtures

    return onnx_fixtures.model([onnx_fixtures.make_node("Add", ["a", "b"], ["sum"])], ADDER.inputs, ADDER.outputs)


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
    lines = {"cuda": r"pip install 'cldm-runtime\[gpu\]'", "openvino": "pip install onnxruntime-openvino"}
    for provider, line in lines.items():
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
    engine = Bundle.load(tiny_generator).open("decoder", threads=1)
    random = np.random.default_rng(0)
    latent = random.standard_normal((3, 16, 32, 32), np.float32)
    texture = random.standard_normal((3, 1, 128, 128), np.float32)
    whole = engine.run({"latent": latent, "texture_noise": texture})["image"]
    single = engine.run({"latent": latent[1:2], "texture_noise": texture[1:2]})["image"]
    np.testing.assert_allclose(whole[1:2], single, atol=1e-6)


def test_torchscript_runs_the_same_tensors():
    torch = pytest.importorskip("torch")
    warnings.simplefilter("ignore", DeprecationWarning)  # of torch.jit as a whole
    buffer = io.BytesIO()

    class Adder(torch.nn.Module):
        def forward(self, a, b):
            return a + b

    example = torch.ones(1, 2)
    torch.jit.save(torch.jit.trace(Adder(), (example, example)), buffer)
    engine = open_engine(buffer.getvalue(), ADDER, "torchscript")
    assert engine.provider == "torchscript"
    np.testing.assert_array_equal(engine.run(ones(3))["sum"], np.full((3, 2), 3, np.float32))


def test_torchscript_bytes_that_do_not_load():
    pytest.importorskip("torch")
    with pytest.raises(BundleError, match="does not load"):
        open_engine(b"nonsense", ADDER, "torchscript")
