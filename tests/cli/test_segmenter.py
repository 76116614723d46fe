"""Segmenters of every form on the command line."""

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from cldm_runtime import evaluate_dataset
from cldm_runtime.cli import segmenter_forms
from cldm_runtime.cli.main import cldm, run
from cldm_runtime.store import open_dataset
from segmenter_fixtures import describe, describe_program, read_greys, write_hearts

FUNCTION = "import numpy as np\nfrom onnx_fixtures import GREYS\n\ndef segment(images, spacing_mm):\n    return {}\n"
GOOD, BAD = "np.abs(images[..., None] - GREYS).argmin(axis=-1)", "np.zeros(images.shape, int)"


def call(*arguments: object) -> int:
    return run(cldm, [str(argument) for argument in arguments], name="cldm")


@pytest.fixture
def hearts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name, text in (("mine", GOOD), ("blind", BAD)):
        (tmp_path / f"{name}_module.py").write_text(FUNCTION.format(text))
    return write_hearts(tmp_path / "hearts.h5")


@pytest.mark.parametrize("command", [("segment", "DATASET", "--segmenter", "BUNDLE"),
                                     ("segmenter", "check", "BUNDLE", "DATASET"),
                                     ("evaluate", "DATASET", "--segmenter", "BUNDLE")])
def test_every_command_opens_bundles_that_draw_label_maps(
        command: tuple[str, ...], hearts: Path, tiny_segmenter: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(segmenter_forms, "draws_labels_of_images", lambda bundle: True)
    places = {"DATASET": hearts, "BUNDLE": tiny_segmenter}
    assert call(*(places.get(word, word) for word in command)) == 3
    assert "draws no label maps of given images" in capsys.readouterr().err  # said by the ensemble, which was asked


def dice(out: Path) -> list[float]:
    return [region["dice"]["mean"] for region in json.loads((out / "scores.json").read_text())["regions"]]


def test_every_form_is_evaluated(hearts: Path) -> None:
    folder = hearts.parent
    for source in (describe(folder), "mine_module:segment", describe_program(folder)):
        assert call("evaluate", hearts, "--segmenter", source, "--out", folder / "out") == 0
        assert dice(folder / "out") == [1, 1, 1]
    with open_dataset(hearts) as dataset:
        assert list(dataset.segmentations) == ["greys", "mine_module-segment", "program"]


def test_a_network_in_two_processes_gives_the_same_file(hearts: Path) -> None:
    description, other = describe(hearts.parent), write_hearts(hearts.parent / "other.h5")
    for path, workers in ((hearts, 1), (other, 2)):
        assert call("evaluate", path, "--segmenter", description, "--workers", workers, "--batch-size", 1) == 0
    assert hearts.read_bytes() == other.read_bytes()


def test_a_network_is_used_again_and_a_function_is_called_again(hearts: Path, capsys: pytest.CaptureFixture[str]
                                                               ) -> None:
    calls: list[int] = []

    def counting(images, spacing_mm):
        calls.append(len(images))
        return read_greys(images, spacing_mm)

    for _ in range(2):
        assert evaluate_dataset(hearts, counting) == "counting"
    assert sum(calls) == 8
    for words in ("segmenting and measuring", "measuring"):
        assert call("evaluate", hearts, "--segmenter", describe(hearts.parent)) == 0
        assert f"{words}: " in capsys.readouterr().err


def test_several_are_compared(hearts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = hearts.parent / "out"
    assert call("evaluate", hearts, "--segmenter", describe(hearts.parent), "--segmenter", "blind_module:segment",
                "--out", out) == 0
    said = capsys.readouterr().out
    assert said.startswith("greys is better than blind_module-segment, Dice of infarct: 1.000 against 0.000")
    assert said.split()[-3:] == [str(out / f"comparison.{ending}") for ending in ("html", "csv", "json")]
    assert dice(out / "greys") == [1, 1, 1] and dice(out / "blind_module-segment") == [0, 0, 0]
    assert call("report", hearts, "--segmentation", "greys", "--segmentation", "blind_module-segment", "--json") == 0
    assert json.loads(capsys.readouterr().out) == json.loads((out / "comparison.json").read_text())


def test_regions_that_a_network_lacks_are_said_at_once(hearts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = ('0 = "background"\n1 = "lv_cavity"\n2 = "healthy_myocardium"\n3 = "healthy_myocardium"\n'
              '4 = "healthy_myocardium"\n')
    assert call("evaluate", hearts, "--segmenter", describe(hearts.parent, labels=labels)) == 0
    assert "note: greys has no label for infarct, which it never finds" in capsys.readouterr().err
    assert dice(hearts.parent) == [1, 1, 0]
    assert "has no label for infarct, which it never finds" in (hearts.parent / "report.html").read_text()


@pytest.mark.parametrize(("arguments", "message"), [
    (("--segmenter", "greys.toml", "--segmenter", "greys.toml"), "names greys, greys, expected different ones"),
    (("--segmenter", "greys.toml", "--segmenter", "mine_module:segment", "--shard", "0/2"), "share the run of one"),
    (("--segmenter", "greys.onnx"), "Describe it in a .toml file"),
    (("--segmenter", "no_module:segment"), "cannot be imported"),
])
def test_what_is_refused_before_anything_is_done(arguments: tuple[str, ...], message: str, hearts: Path,
                                                 capsys: pytest.CaptureFixture[str]) -> None:
    describe(hearts.parent)
    before = hearts.read_bytes()
    assert call("evaluate", hearts, *arguments) == 2
    assert message in capsys.readouterr().err and hearts.read_bytes() == before


def test_check_draws_and_prints_and_changes_nothing(hearts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = hearts.read_bytes()
    assert call("segmenter", "check", describe(hearts.parent), hearts, "--out", hearts.parent / "look.png") == 0
    said = capsys.readouterr().out
    assert "greys (the network that" in said and "on 4 images" in said and "infarct 1.00" in said
    assert (hearts.parent / "look.png").read_bytes()[:4] == b"\x89PNG" and hearts.read_bytes() == before
