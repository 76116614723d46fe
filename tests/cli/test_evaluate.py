"""cldm segment, measure, report and evaluate: what they write, say and refuse."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from cldm_runtime.cli.main import cldm, run
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.files.png import png_bytes
from cldm_runtime.store import DatasetSpec, create_dataset, open_dataset
from onnx_fixtures import GREYS

SIZE = 128


def heart(angle: float) -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2 + 0.5
    r, theta = np.hypot(y, x), np.degrees(np.arctan2(y, x)) % 360
    return np.where(r < 20, 1, np.where(r >= 30, 0, np.where(theta < angle, 3, 2))).astype(np.uint8)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    masks = np.stack([heart(angle) for angle in (0, 60, 120, 200)])
    with create_dataset(tmp_path / "samples.h5", DatasetSpec(get_domain("lge"), (SIZE, SIZE), (1.0, 1.0))) as writer:
        writer.append(images=GREYS[masks][:, None], masks=masks, subset=["a", "a", "b", "b"])
    return tmp_path / "samples.h5"


def call(*arguments: object) -> int:
    return run(cldm, [str(argument) for argument in arguments], name="cldm")


def test_evaluate_writes_and_names_three_files(dataset: Path, tiny_segmenter: Path,
                                               capsys: pytest.CaptureFixture[str]) -> None:
    out = dataset.parent / "out"
    assert call("evaluate", dataset, "--segmenter", tiny_segmenter, "--out", out) == 0
    assert capsys.readouterr().out.split() == [str(out / name) for name in ("report.html", "scores.csv", "scores.json")]
    assert all((out / name).stat().st_size > 0 for name in ("report.html", "scores.csv", "scores.json"))


def test_evaluate_again_replaces_the_report(dataset: Path, tiny_segmenter: Path) -> None:
    assert call("evaluate", dataset, "--segmenter", tiny_segmenter) == 0
    assert call("evaluate", dataset, "--segmenter", tiny_segmenter) == 0
    assert call("evaluate", dataset, "--segmenter", tiny_segmenter, "--no-mirror") == 4
    assert call("evaluate", dataset, "--segmenter", tiny_segmenter, "--no-mirror", "--overwrite") == 0


def test_predictions_return_by_name(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of two folders: the label maps themselves, and those without infarct."""
    pytest.importorskip("SimpleITK")
    for name, angles in (("perfect", (0, 60, 120, 200)), ("blind", (0, 0, 0, 0))):
        (dataset.parent / name).mkdir()
        for row, angle in enumerate(angles):
            (dataset.parent / name / f"sample0000{row}.png").write_bytes(png_bytes(heart(angle)))
    folders = ["--predictions", dataset.parent / "perfect", "--predictions", dataset.parent / "blind"]
    assert call("evaluate", dataset, *folders, "--json") == 0
    rows = {row["name"]: row["dice"]["infarct"]["value"] for row in json.loads(capsys.readouterr().out)["rows"]}
    assert rows["perfect"] == 1 and rows["blind"] == 0


@pytest.mark.parametrize(("words", "said"), [
    ((), "Pass --segmenter SEGMENTER, or --predictions FOLDER"),
    (("--predictions", "nowhere"), "nowhere: there is no such folder"),
    (("--predictions", "."), "sample00003: no file sample00003.nii.gz")])
def test_predictions_that_are_not_there(dataset: Path, words: tuple[str, ...], said: str,
                                        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(dataset.parent)
    assert call("evaluate", dataset, *words) == 2
    assert said in capsys.readouterr().err


def test_json_is_the_summary(dataset: Path, tiny_segmenter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("evaluate", dataset, "--segmenter", tiny_segmenter, "--subset", "b", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["counts"]["samples"] == 2 and summary["run"]["subset"] == "b"
    assert [region["dice"]["mean"] for region in summary["regions"]] == [1, 1, 1]


def test_the_steps_one_by_one(dataset: Path, tiny_segmenter: Path) -> None:
    assert call("segment", dataset, "--segmenter", tiny_segmenter) == 0
    assert call("measure", dataset) == 0
    assert call("report", dataset) == 0
    with open_dataset(dataset) as opened:
        assert opened.segmentation("tiny-segmenter").scores is not None
    assert (dataset.parent / "report.html").exists()


@pytest.mark.parametrize("flags", [("attributes", "--attributes"), ("free",)])
def test_generated_without_masks_and_evaluated(flags: tuple[str, ...], _bundles: Path, tiny_segmenter: Path,
                                               tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, grid = tmp_path / "samples.h5", tmp_path / "grid.csv"
    grid.write_text("infarct_size\n0\n0.2\n0.4\n")
    given = [*flags[1:], grid] if flags[1:] else []
    assert call("gen", "--n", 6, "--bundle", _bundles / flags[0], "--out", out, *given) == 0
    capsys.readouterr()
    assert call("evaluate", out, "--segmenter", tiny_segmenter, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["regions"] == [] and summary["counts"]["samples"] == 6
    assert (summary["detection"] or {"n_without": None})["n_without"] == (2 if given else None)
    assert call("measure", out) == call("report", out) == 0


@pytest.mark.parametrize(("arguments", "code", "message"), [
    (("segment", "DATASET", "--segmenter", "missing"), 3, "no such folder"),
    (("segment", "missing.h5", "--segmenter", "SEGMENTER"), 4, "no such file"),
    (("segment", "DATASET", "--segmenter", "GENERATOR"), 3, "expected a segmenter"),
    (("segment", "DATASET", "--segmenter", "SEGMENTER", "--provider", "tensorrt"), 5, "was requested"),
    (("segment", "DATASET", "--segmenter", "SEGMENTER", "--provider", "abacus"), 2, "abacus"),
    (("segment", "DATASET", "--segmenter", "SEGMENTER", "--batch-size", "0"), 2, "batch-size"),
    (("measure", "DATASET", "--segmentation", "other"), 4, "has no segmentation"),
    (("report", "DATASET"), 2, "Run cldm segment first"),
    (("evaluate", "DATASET", "--segmenter", "SEGMENTER", "--subset", "z"), 2, "Found: a, b"),
])
def test_bad_input_gets_one_message_and_its_code(
        arguments: tuple[str, ...], code: int, message: str, dataset: Path, tiny_segmenter: Path, tiny_generator: Path,
        capsys: pytest.CaptureFixture[str]) -> None:
    names = {"DATASET": dataset, "SEGMENTER": tiny_segmenter, "GENERATOR": tiny_generator}
    assert call(*(names.get(argument, argument) for argument in arguments)) == code
    told = capsys.readouterr().err
    assert message in told and "Traceback" not in told


def test_an_altered_bundle_leaves_the_dataset_alone(dataset: Path, tiny_segmenter: Path, tmp_path: Path,
                                                    capsys: pytest.CaptureFixture[str]) -> None:
    altered = tmp_path / "altered"
    shutil.copytree(tiny_segmenter, altered)
    with (altered / "segmenter.onnx").open("ab") as stream:
        stream.write(b"x")
    before = dataset.read_bytes()
    assert call("evaluate", dataset, "--segmenter", altered) == 3
    assert "altered or truncated" in capsys.readouterr().err
    assert dataset.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["altered", "samples.h5"]


def test_shards_of_an_evaluation_and_their_merge(dataset: Path, tiny_segmenter: Path, monkeypatch: pytest.MonkeyPatch,
                                                 capsys: pytest.CaptureFixture[str]) -> None:
    """4 samples in batches of 1 are 4 parts."""
    whole = shutil.copy(dataset, dataset.with_name("whole.h5"))
    flags = ("--segmenter", tiny_segmenter, "--batch-size", 1, "--workers", 1)
    assert call("evaluate", whole, *flags) == 0
    assert call("evaluate", dataset, *flags, "--shard", "1/2") == 0
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
    assert call("evaluate", dataset, *flags, "--merge") == 4 and "2 of 4 parts are missing" in capsys.readouterr().err
    assert call("evaluate", dataset, *flags, "--status", "--shards", 2) == 0
    assert "missing: 0-1\nof 2 shards: --array=0\n" in capsys.readouterr().out
    assert call("evaluate", dataset, *flags, "--shards", 2) == 0
    assert call("evaluate", dataset, *flags, "--merge") == 0
    assert dataset.read_bytes() == Path(whole).read_bytes() and (dataset.parent / "report.html").exists()
    assert not list(dataset.parent.glob("*.parts"))


def test_the_slurm_scripts_of_an_evaluation(dataset: Path, tiny_segmenter: Path,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    out = dataset.parent / "slurm"  # named as the engine
    arguments = ["evaluate", str(dataset), "--segmenter", str(tiny_segmenter), "--out", str(out), "--engine", "slurm",
                 "--shards=2", "--workers", "3"]
    monkeypatch.setattr("sys.argv", ["cldm", *arguments])
    assert call(*arguments) == 0
    text = (dataset.parent / "samples.h5.tiny-segmenter.sbatch").read_text()
    assert f"evaluate {dataset} --segmenter {tiny_segmenter} --out {out} --workers 3 --shards 2\n" in text
    assert f"#SBATCH --chdir={Path.cwd()}\n" in text and "--cpus-per-task=3" in text
    assert (dataset.parent / "samples.h5.tiny-segmenter.merge.sbatch").read_text().endswith("--merge\n")
