"""Engines on an NVIDIA GPU against the CPU. Each skips where its engine cannot be had, with the reason."""

import io
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.bench.work import example_requests
from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.bundle.manifest import GraphSpec, TensorSpec
from cldm_runtime.engines.engine import CPU_PROVIDERS, PROVIDERS
from cldm_runtime.engines.open import open_engine, open_graph
from cldm_runtime.engines.torchscript import TorchScriptEngine
from cldm_runtime.errors import BundleError, ProviderError
from cldm_runtime.generation.generator import Generator
from cldm_runtime.verification.replay import verify_bundle

BUNDLE = Path(__file__).parents[3] / "exported" / "lge"
X, Y = (TensorSpec(name, "float32", ("N", 4), "a number") for name in "xy")
GRAPH = GraphSpec("product.onnx", "0" * 64, "fp32", (X,), (Y,))


@pytest.fixture(params=[name for name in PROVIDERS if name not in CPU_PROVIDERS])
def provider(request: pytest.FixtureRequest) -> str:
    try:
        open_graph(Bundle.load(BUNDLE), "decoder", request.param)
    except (ProviderError, BundleError) as error:
        pytest.skip(str(error))
    return str(request.param)


def test_the_reference_is_met(provider: str) -> None:
    assert [check.name for check in verify_bundle(Bundle.load(BUNDLE), provider) if not check.passed] == []


def test_batches_that_overlap_are_those_that_do_not(provider: str) -> None:
    generator = Generator.load(BUNDLE, provider)
    settings, source = replace(generator.sampling, batch_size=4), example_requests(generator.bundle, 12)
    apart = [generator.batch([source.request(0, index) for index in range(start, start + 4)], 0, settings)
             for start in (0, 4, 8)]
    for found, expected in zip(generator.batches(source, range(12), 0, settings), apart, strict=True):
        np.testing.assert_array_equal(found.images, expected.images)


def test_the_same_plan_gives_the_same_bits(provider: str) -> None:
    first, second = (Generator.load(BUNDLE, provider).sample({"infarct_size": [0.1, 0.2]}, seed=1)[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.fixture(scope="module")
def traced() -> bytes:
    """Bytes of a TorchScript archive that multiplies by a matrix."""
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip(f"torch {torch.__version__} finds no CUDA device")
    warnings.simplefilter("ignore", DeprecationWarning)  # of torch.jit as a whole
    linear, buffer = torch.nn.Linear(4, 4), io.BytesIO()
    with torch.no_grad():
        linear.weight.copy_(torch.arange(16.0).reshape(4, 4) / 16)
        linear.bias.fill_(1 / 1024)
        torch.jit.save(torch.jit.trace(linear, torch.ones(2, 4)), buffer)
    return buffer.getvalue()


def test_torchscript_on_cuda_with_and_without_graphs(traced: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    here = open_engine(traced, GRAPH, "torchscript")
    captured = TorchScriptEngine(traced, GRAPH, "torchscript-cuda")
    monkeypatch.setenv("CLDM_CUDA_GRAPHS", "0")
    plain = TorchScriptEngine(traced, GRAPH, "torchscript-cuda")
    for batch in (1, 3, 1):
        inputs = {"x": np.arange(4.0 * batch, dtype=np.float32).reshape(batch, 4)}
        for engine in (captured, plain):
            np.testing.assert_allclose(engine.run(inputs)["y"], here.run(inputs)["y"], rtol=1e-6)


def test_outputs_of_a_captured_graph_outlive_the_next_call(traced: bytes) -> None:
    engine = TorchScriptEngine(traced, GRAPH, "torchscript-cuda")
    ones, twos = (engine.device.put(np.full((1, 4), number, np.float32)) for number in (1.0, 2.0))
    first = engine.launch({"x": ones})["y"]
    before = engine.device.fetch(first)().copy()
    engine.launch({"x": twos})
    np.testing.assert_array_equal(engine.device.fetch(first)(), before)


@pytest.mark.parametrize(("precision", "tolerance"), [("tf32", 2e-3), ("bf16", 2e-2), ("fp16", 2e-3)])
def test_lower_precisions_are_as_far_off_as_they_should_be(traced: bytes, precision: str, tolerance: float) -> None:
    inputs = {"x": np.array([[0.1, 0.2, 0.3, 0.7]], np.float32)}
    found, exact = (TorchScriptEngine(traced, GRAPH, "torchscript-cuda", precision=name).run(inputs)["y"]
                    for name in (precision, "fp32"))
    assert found.dtype == np.float32 and np.abs(found - exact).max() < tolerance
