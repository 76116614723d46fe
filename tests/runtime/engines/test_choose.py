"""Which provider `auto` takes, with the measurement in the test's hands."""

import importlib.util
import sys

import pytest

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.engines import choose
from cldm_runtime.engines.choose import Choice, choose_provider
from cldm_runtime.engines.open import open_graph
from cldm_runtime.errors import BundleError, ProviderError
from cldm_runtime.generation.generator import Generator
from cldm_runtime.segmentation.segmenter import Segmenter
from cldm_runtime.verification.replay import verify_bundle


@pytest.fixture
def bundle(tiny_generator):
    return Bundle.load(tiny_generator)


@pytest.fixture
def measured(bundle, monkeypatch):
    """Sets what a batch takes, (onnxruntime, openvino) in seconds; openvino itself need not be installed."""
    monkeypatch.setattr(choose, "open_graph", lambda bundle, role, provider="cpu", threads=None: open_graph(
        bundle, role, "cpu" if provider == "openvino" else provider, threads))

    def measured(own, rival):
        monkeypatch.setattr(choose, "_best_seconds", lambda engines, inputs, turns=3: [own, rival][:len(engines)])

    return measured


def test_a_name_is_taken_as_it_is(bundle):
    assert choose_provider(bundle, "tensorrt") == Choice("tensorrt", "tensorrt", "fp32", "")


@pytest.mark.parametrize(("own", "rival", "provider", "told"), [
    (0.064, 0.040, "openvino", "openvino, 1.60x as fast as onnxruntime on denoiser.onnx (40 against 64 ms an image)"),
    (0.064, 0.062, "cpu", "cpu, openvino is 1.03x as fast as onnxruntime on denoiser.onnx (62 against 64 ms an image)"),
])
def test_openvino_must_be_clearly_faster(bundle, measured, own, rival, provider, told):
    measured(own, rival)
    found = choose_provider(bundle, "auto")
    assert (found.requested, found.provider, found.reason) == ("auto", provider, f"provider auto: {told}")


def test_a_gpu_that_starts_is_taken(bundle, measured, monkeypatch):
    monkeypatch.setattr(choose, "_starts_cuda", lambda *_: True)
    assert choose_provider(bundle, "auto").provider == "cuda"


def test_openvino_that_is_wrong_is_not_taken(bundle, measured, monkeypatch):
    measured(1.0, 0.1)
    monkeypatch.setattr(choose, "_agrees", lambda *_: False)
    found = choose_provider(bundle, "auto")
    assert found.provider == "cpu" and "further from the reference of denoiser.onnx" in found.reason


def test_openvino_that_is_missing_or_refuses_a_graph_is_not_taken(bundle, monkeypatch):
    from cldm_runtime.engines import openvino

    openvino._core.cache_clear()
    monkeypatch.setitem(sys.modules, "openvino", None)
    found = choose_provider(bundle, "auto")
    assert found.provider == "cpu" and "openvino is not installed (pip install" in found.reason

    def refuse(*_):
        raise BundleError("no such operator")

    monkeypatch.setattr(openvino, "OpenVinoEngine", refuse)
    assert "does not take all graphs" in choose_provider(bundle, "auto").reason


def test_auto_compares_single_precision_alone(bundle):
    with pytest.raises(ProviderError, match="--provider openvino --precision bf16"):
        choose_provider(bundle, "auto", precision="bf16")


@pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="openvino is not installed")
def test_a_real_measurement_names_both_figures(bundle):
    found = choose_provider(bundle, "auto", threads=1)
    assert found.provider in ("cpu", "openvino") and "as fast as onnxruntime on denoiser.onnx (" in found.reason


def test_the_api_takes_auto(bundle, tiny_segmenter, measured):
    measured(1.0, 2.0)
    model, segmenter = Generator.load(bundle.path, "auto"), Segmenter.load(tiny_segmenter, "auto")
    assert (model.provider, model.choice.requested, segmenter.choice.provider) == ("cpu", "auto", "cpu")
    assert all(check.passed for check in verify_bundle(bundle, "auto"))
