"""TensorRT engines at the end of an export, with the runtime's builder replaced: there is no GPU here."""

from pathlib import Path

import pytest

from cldm_runtime.errors import ProviderError
from cldm_trainer.export import engines

WITHOUT = ("provider tensorrt was requested, but tensorrt is not installed. Run: pip install 'cldm-runtime[tensorrt]', "
           "or pass --provider cuda.")


def test_without_tensorrt_a_line_says_why_and_how_to_build_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "missing", lambda: WITHOUT)
    monkeypatch.setattr(engines, "build_engines", lambda *_: pytest.fail("there is nothing to build with"))
    assert engines.build_or_skip([Path("a"), Path("b")], 16, print) == (
        "TensorRT: no engines were built here, because tensorrt is not installed. On the machine that is to run them: "
        "cldm engine build a && cldm engine build b")


def test_with_tensorrt_every_bundle_gets_engines_of_two_sizes(
        monkeypatch: pytest.MonkeyPatch, tiny_generator: Path, tiny_segmenter: Path) -> None:
    asked = []

    def build(bundle, batches, say):
        asked.append((bundle.manifest.kind, list(batches)))
        say("building")
        return [Path("/cache") / f"{bundle.manifest.name}-{batch}.engine" for batch in batches]

    monkeypatch.setattr(engines, "missing", lambda: None)
    monkeypatch.setattr(engines, "build_engines", build)
    said: list[str] = []
    line = engines.build_or_skip([tiny_generator, tiny_segmenter], 16, said.append)
    assert line == "TensorRT: 4 engines of this machine lie in /cache." and said == ["building"] * 2
    assert asked == [("generator", [1, 16]), ("segmenter", [1, 16])]


def test_a_failed_build_does_not_fail_the_export(monkeypatch: pytest.MonkeyPatch, tiny_generator: Path) -> None:
    def build(*_):
        raise ProviderError("graph decoder.onnx: TensorRT 11.0 could not build an engine on a GPU. Pass --provider "
                            "cuda.")

    monkeypatch.setattr(engines, "missing", lambda: None)
    monkeypatch.setattr(engines, "build_engines", build)
    line = engines.build_or_skip([tiny_generator], 16, print)
    assert "because graph decoder.onnx: TensorRT 11.0 could not build an engine on a GPU. On the machine" in line
