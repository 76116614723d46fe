"""bench/gpu.sh where there is no GPU: its plan, and all of its steps with provider cpu in the place of one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cldm_runtime.bench import gpu
from cldm_runtime.bench.gpu_speed import stage_seconds
from cldm_runtime.generation.generator import Generator

ROOT = Path(__file__).parents[3]


def test_a_dry_run_names_what_is_missing_and_writes_nothing(tiny_generator: Path, tmp_path: Path) -> None:
    done = subprocess.run([str(ROOT / "bench" / "gpu.sh"), "--dry-run", "--bundle", str(tiny_generator), "--out",
                           str(tmp_path / "out"), "--provider", "cpu", "--provider", "torchscript-cuda"],
                          capture_output=True, text=True, check=True,
                          env={**os.environ, "PYTHON": sys.executable})
    assert "measured here: cpu fp32" in done.stdout and "100000 images" in done.stdout
    assert "not measured here: torchscript-cuda fp16: bundle" in done.stdout
    assert not (tmp_path / "out").exists()


def test_all_steps(tiny_generator: Path, tiny_segmenter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                   capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(gpu, "_TESTS", "nowhere.py")
    monkeypatch.setattr(gpu, "_SAMPLES", 2)
    monkeypatch.setattr(gpu, "product_gflops", lambda: 1000.0)
    monkeypatch.setattr(gpu, "default_workers", lambda provider: 1)
    arguments = ["--bundle", tiny_generator, "--segmenter", tiny_segmenter, "--attributes", ROOT / "examples/grid.csv",
                 "--out", tmp_path, "--provider", "cpu", "--batch-size", 2, "--images", 20, "--seconds", 0]
    assert gpu.main([str(argument) for argument in arguments]) == 0, capsys.readouterr().out
    (row,) = [json.loads(line) for line in (tmp_path / "throughput.jsonl").read_text().splitlines()]
    assert row["name"] == "cpu fp32, batch 2" and row["images_per_second"] > 0 and row["error"] is None
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["images"] == 20 and run["seconds"] > 0 and not (tmp_path / "images.h5").exists()
    assert "| cpu" in (tmp_path / "parity.md").read_text()


def test_a_step_that_fails_is_told_and_leaves_the_others_alone(tiny_generator: Path, tmp_path: Path,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "_TESTS", "nowhere.py")
    monkeypatch.setattr(gpu, "product_gflops", lambda: 1000.0)
    arguments = ["--bundle", tiny_generator, "--segmenter", tmp_path / "none", "--out", tmp_path, "--provider", "cuda"]
    assert gpu.main([str(argument) for argument in arguments]) == 1
    assert "failed: " in (tmp_path / "parity.md").read_text() and "failed: " in (tmp_path / "run.md").read_text()


def test_the_stages_of_a_run_are_all_of_it(tiny_generator: Path) -> None:
    stages = stage_seconds(Generator.load(tiny_generator), 2)
    assert list(stages) == ["drawing label maps", "conditions", "noise", "networks", "copies", "measuring label maps",
                            "writing"]
