"""What engines do to a bundle's images, with an engine that is off by a known grey."""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.engines.choose import Choice
from cldm_runtime.engines.open import open_graph
from cldm_runtime.errors import InputError
from cldm_runtime.generation import pipeline
from cldm_runtime.segmentation.segmenter import Segmenter
from cldm_runtime.verification import replay
from cldm_runtime.verification.compare import Yardstick

CPU, OFF = Choice("cpu", "cpu"), Choice("cuda", "cuda")


class Shifted:
    """An engine whose image is brighter."""

    provider = "cuda"

    def __init__(self, engine, shift):
        self.engine, self.shift = engine, np.float32(shift)

    def run(self, inputs):
        return {name: array + self.shift if name == "image" else array
                for name, array in self.engine.run(inputs).items()}


@pytest.fixture
def off_on_cuda(monkeypatch):
    """Opens a bundle. Provider cuda is then the CPU, but makes images brighter by `shift`."""
    def off(folder, shift):
        def opened(bundle, role, provider="cpu", threads=None, precision="fp32"):
            engine = open_graph(bundle, role, "cpu", threads)
            return Shifted(engine, shift) if provider == "cuda" else engine

        for module in (pipeline, replay):
            monkeypatch.setattr(module, "open_graph", opened)
        return Bundle.load(folder)

    return off


def test_the_cpu_agrees_with_itself(tiny_generator, tiny_segmenter):
    report = Yardstick(Bundle.load(tiny_generator), Segmenter.load(tiny_segmenter), samples=5).report(CPU)
    assert (report.provider, report.precision, report.failed, report.missing) == ("cpu", "fp32", (), "")
    assert (report.checks[-1].name, report.checks[-1].tolerance) == ("samples/image", 1e-5)
    assert (report.reference.samples, report.samples.samples, report.samples.max_abs) == (2, 5, 0.0)
    assert report.samples.flips.flipped == report.reference.flips.flipped == 0
    assert [drift.largest for drift in report.samples.drifts] == [0.0, 0.0, 0.0]


def test_an_engine_that_is_off_is_told_by_pixels_labels_and_attributes(tiny_generator, tiny_segmenter, off_on_cuda):
    """Brighter by 0.25, every label but infarct is read as another one: the greys are those of `onnx_fixtures`."""
    bundle = off_on_cuda(tiny_generator, 0.25)
    report = Yardstick(bundle, Segmenter.load(tiny_segmenter), samples=3).report(OFF)
    masks = bundle.reference()["loop/in/one_hot"].argmax(axis=1)
    assert report.reference.max_abs == pytest.approx(0.25, abs=1e-5)
    assert (report.reference.flips.pixels, report.reference.flips.flipped) == (masks.size, (masks != 3).sum())
    assert {"loop/image", "samples/image", "reference/infarct_size", "samples/infarct_size"} <= set(report.failed)
    assert not {"denoiser/prediction", "loop/latent"} & set(report.failed)


def test_a_difference_within_all_tolerances_passes(tiny_generator, tiny_segmenter, off_on_cuda):
    report = Yardstick(off_on_cuda(tiny_generator, 5e-6), Segmenter.load(tiny_segmenter), samples=3).report(OFF)
    assert report.failed == ()
    assert 4e-6 < report.samples.max_abs < 1e-5 and 100 < report.samples.psnr_db < 110  # 20 log10(1 / 5e-6) = 106


def test_without_a_segmenter_pixels_alone_are_compared(tiny_generator, off_on_cuda):
    report = Yardstick(off_on_cuda(tiny_generator, 0.25), samples=3).report(OFF)
    assert (report.samples.flips, report.samples.drifts) == (None, ())
    assert report.failed == ("decoder/image", "loop/image", "samples/image")


def test_images_that_are_no_numbers_fail_and_are_not_segmented(tiny_generator, tiny_segmenter, off_on_cuda):
    report = Yardstick(off_on_cuda(tiny_generator, np.nan), Segmenter.load(tiny_segmenter), samples=3).report(OFF)
    assert report.failed == ("decoder/image", "loop/image")
    assert (report.reference.flips, report.samples) == (None, None)


@pytest.mark.parametrize("kind", ["tiny_attributes", "tiny_both", "tiny_free"])
def test_samples_are_drawn_whatever_a_bundle_is_conditioned_by(kind, request):
    report = Yardstick(Bundle.load(request.getfixturevalue(kind)), samples=3).report(CPU)
    assert (report.samples.samples, report.samples.max_abs) == (3, 0.0)


def test_samples_are_counted_while_they_are_generated(tiny_free):
    seen = {}

    @contextmanager
    def stage(label):
        yield lambda done, total: seen.setdefault(label, []).append((done, total))

    Yardstick(Bundle.load(tiny_free), samples=6, stage=stage).report(CPU)
    assert seen == {"samples of free on cpu": [(4, 6), (6, 6)] * 2}  # those compared, and the expected ones


def test_samples_may_be_held_against_those_of_another_bundle(tiny_generator, tiny_guided):
    guided, plain = Bundle.load(tiny_guided), Bundle.load(tiny_generator)
    assert Yardstick(guided, samples=2).report(CPU).failed == ()
    assert Yardstick(guided, samples=2, against=plain).report(CPU).failed == ("samples/image",)


def test_a_segmenter_has_the_flips_of_its_reference(tiny_segmenter):
    bundle = Bundle.load(tiny_segmenter)
    arrays = bundle.reference()
    logits = arrays["segmenter/out/logits"].copy()
    changed = (int(logits[0, :, 3, 3].argmax()) + 1) % 5
    logits[0, changed, 3, 3] += 1000

    class Altered(Bundle):
        def reference(self):
            return {**arrays, "segmenter/out/logits": logits}

    flips = Yardstick(Altered(bundle.path, bundle.manifest, bundle.manifest_text)).report(CPU).flips
    assert (flips.pixels, flips.flipped) == (2 * 128 * 128, 1)


@pytest.mark.parametrize(
    "key, kind", [("segmenter/out/logits", "tiny_segmenter"), ("loop/out/image", "tiny_generator")])
def test_a_reference_of_another_shape_fails_and_nothing_else_is_said(key, kind, tiny_segmenter, request):
    bundle = Bundle.load(request.getfixturevalue(kind))
    arrays = bundle.reference()

    class Cut(Bundle):
        def reference(self):
            return {**arrays, key: arrays[key][:1]}

    cut = Cut(bundle.path, bundle.manifest, bundle.manifest_text)
    report = Yardstick(cut, Segmenter.load(tiny_segmenter) if kind == "tiny_generator" else None).report(CPU)
    assert report.failed == (key.replace("/out", ""),)
    assert (report.flips or (report.reference and report.reference.flips)) is None


def test_an_anatomy_has_flips_too(tiny_anatomy):
    assert Yardstick(Bundle.load(tiny_anatomy)).report(CPU).flips.flipped == 0


def test_reports_tell_what_is_missing_and_take_lower_precisions_where_fp32_runs(tiny_generator, monkeypatch):
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr("cldm_runtime.verification.compare.OFFERED",
                        {"cpu": ("fp32", "bf16"), "cuda": ("fp32", "tf32"), "torchscript": ("fp32",)})
    cpu, half, cuda, torchscript = Yardstick(Bundle.load(tiny_generator)).reports()
    assert (cpu.provider, cpu.precision, cpu.missing, cpu.failed) == ("cpu", "fp32", "", ())
    assert half.precision == "bf16" and "provider cpu offers: fp32" in half.missing
    assert "CPUExecutionProvider" in cuda.missing and "TorchScript" in torchscript.missing


def test_int8_graphs_are_named_so(tiny_generator):
    bundle = Bundle.load(tiny_generator)
    graphs = {role: replace(graph, precision="int8") for role, graph in bundle.manifest.graphs.items()}
    rounded = Bundle(bundle.path, replace(bundle.manifest, graphs=graphs), bundle.manifest_text)
    assert Yardstick(rounded)._arithmetic(CPU) == "int8"
    assert Yardstick(rounded)._arithmetic(Choice("openvino", "openvino", "bf16")) == "int8 and bf16"


def test_what_does_not_fit_the_bundle_is_refused(tiny_generator, tiny_attributes, tiny_segmenter):
    generator, segmenter = Bundle.load(tiny_generator), Bundle.load(tiny_segmenter)
    with pytest.raises(InputError, match="is a segmenter; a segmenter and samples are for generators"):
        Yardstick(segmenter, samples=2)
    with pytest.raises(InputError, match="Add --samples N"):
        Yardstick(generator, against=generator)
    with pytest.raises(InputError, match=r"from attributes, those of .* from masks"):
        Yardstick(generator, samples=2, against=Bundle.load(tiny_attributes))
