"""Runs on Ray and Slurm: the same bytes as on one machine, also where a worker is lost."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cldm_runtime import Generator
from cldm_runtime.errors import ProviderError
from cldm_runtime.generation.plan import Plan
from cldm_runtime.generation.run import Generation, parts_folder
from cldm_runtime.requests.grid import grid_from_mapping
from cldm_runtime.requests.sources import GridRequests
from cldm_runtime.runs import slurm
from cldm_runtime.runs.ray import run_on_ray


@pytest.fixture
def plan(tiny_generator: Path) -> Plan:
    """64 samples in 4 parts."""
    model = Generator.load(tiny_generator, threads=1)
    grid = grid_from_mapping({"infarct_size": [0.1, 0.2]}, model.domain)
    return Plan(model, GridRequests.spread(grid, 64, model.canvas), 64, 3, model.settings(batch_size=4))


def test_without_ray_the_pip_line_is_told(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ProviderError, match=r"pip install 'cldm-runtime\[ray\]'"):
        run_on_ray(Generation(plan, tmp_path / "a.h5"), 2)


def test_two_nodes_of_ray_one_of_which_is_lost(tiny_generator: Path, tiny_segmenter: Path, tmp_path: Path) -> None:
    """In a process of its own: Ray's threads outlive it. `ray_two_nodes.py` says what happens."""
    pytest.importorskip("ray", reason="ray is not installed: pip install 'cldm-runtime[ray]'")
    script = Path(__file__).with_name("ray_two_nodes.py")
    done = subprocess.run([sys.executable, str(script), str(tiny_generator), str(tiny_segmenter), str(tmp_path)],
                          capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "one node was removed" in done.stdout and "the bytes are the same" in done.stdout


def test_slurm_scripts_quote_what_they_are_given(tmp_path: Path) -> None:
    out = tmp_path / "a b.h5"
    array, merge = slurm.write_scripts(["python", "-m", "cldm_runtime", "gen", "--out", str(out)], out, 16, "0-3,7", 2)
    text = array.read_text()
    assert "#SBATCH --array=0-3,7\n" in text and "#SBATCH --cpus-per-task=2\n" in text
    assert text.endswith(f"exec python -m cldm_runtime gen --out '{out}' --shards 16\n")
    assert merge.read_text().endswith("--merge\n") and os.stat(array).st_mode & stat.S_IXUSR
    assert subprocess.run(["sh", "-n", str(array)], check=False).returncode == 0


def test_submitting_without_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProviderError, match="sbatch is not installed here"):
        slurm.submit(tmp_path / "a.sbatch", tmp_path / "b.sbatch")


def test_the_merge_waits_for_the_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for sbatch notes what it was given."""
    sbatch = tmp_path / "sbatch"
    sbatch.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\necho 42\n')
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert slurm.submit(Path("a.sbatch"), Path("b.sbatch")) == ("42", "42")
    assert (tmp_path / "calls").read_text() == ("--parsable a.sbatch\n--parsable --dependency=afterok:42 "
                                                  "--kill-on-invalid-dep=yes b.sbatch\n")


def test_the_scripts_of_a_command_do_the_run(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The array job as Slurm would run it, one task after the other, and the merge."""
    (tmp_path / "grid.csv").write_text("infarct_size\n0.1\n0.2\n")
    command = [sys.executable, "-m", "cldm_runtime", "gen", "--n", "64", "--attributes", "grid.csv", "--bundle",
               str(plan.generator.bundle.path), "--out", "a.h5", "--batch-size", "4", "--workers", "1", "--seed", "3"]
    subprocess.run([*command, "--engine", "slurm", "--shards", "2"], cwd=tmp_path, check=True, capture_output=True)
    for number in (1, 0):
        subprocess.run(["sh", "a.h5.sbatch"], cwd=tmp_path, check=True, capture_output=True,
                       env={**os.environ, "SLURM_ARRAY_TASK_ID": str(number)})
    subprocess.run(["sh", "a.h5.merge.sbatch"], cwd=tmp_path, check=True, capture_output=True)
    subprocess.run([*command[:-7], "b.h5", *command[-6:]], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    assert not parts_folder(tmp_path / "a.h5").exists()
