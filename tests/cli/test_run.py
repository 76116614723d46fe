"""`cldm run`: status from the file's name alone, merge and repair with the arguments of the run."""

import hashlib
import json
from pathlib import Path

import h5py
import pytest

from cldm_runtime.cli.main import cldm, run

ARGUMENTS = ["--n", "64", "--attributes", "grid.csv", "--batch-size", "2", "--workers", "1", "--out"]  # 4 parts


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_generator: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLDM_BUNDLE", str(tiny_generator))
    (tmp_path / "grid.csv").write_text("infarct_size,transmurality\n0.1,0.5\n0,\n")
    return tmp_path


def digest(name: str) -> str:
    return hashlib.sha256(Path(name).read_bytes()).hexdigest()


def test_status_and_merge_of_a_generation(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cldm, ["gen", *ARGUMENTS, "a.h5", "--shard", "1/4"]) == 0 and capsys.readouterr()
    assert run(cldm, ["run", "status", "a.h5", "--shards", "4"]) == 0
    assert capsys.readouterr().out == "a.h5.parts: 3 of 4 parts are missing: 0,2-3\nof 4 shards: --array=0,2-3\n"
    assert run(cldm, ["run", "merge", *ARGUMENTS, "a.h5"]) == 4
    for shard in ("0/4", "2/4", "3/4"):
        assert run(cldm, ["gen", *ARGUMENTS, "a.h5", "--shard", shard]) == 0
    capsys.readouterr()
    assert run(cldm, ["run", "status", "a.h5"]) == 0 and "all 4 parts are there" in capsys.readouterr().out
    assert run(cldm, ["run", "merge", *ARGUMENTS, "a.h5"]) == 0 and run(cldm, ["gen", *ARGUMENTS, "b.h5"]) == 0
    assert digest("a.h5") == digest("b.h5")
    assert run(cldm, ["run", "status", "a.h5"]) == 0 and "finished, 64 samples" in capsys.readouterr().out


def test_a_damaged_part_counts_as_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cldm, ["gen", *ARGUMENTS, "a.h5", "--shard", "0/2"]) == 0 and capsys.readouterr()
    with h5py.File("a.h5.parts/part-00001.h5", "r+") as file:
        file["masks"][3, 5, 5] ^= 1
    assert run(cldm, ["run", "status", "a.h5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"][0]["missing_parts"] == "1-3"


def test_status_and_merge_of_an_evaluation(tiny_segmenter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cldm, ["gen", "--n", "4", "--attributes", "grid.csv", "--out", "a.h5"]) == 0
    flags = ["a.h5", "--segmenter", str(tiny_segmenter), "--batch-size", "1", "--workers", "1"]
    assert run(cldm, ["evaluate", *flags, "--shard", "1/2"]) == 0 and capsys.readouterr()
    assert run(cldm, ["run", "status", "a.h5"]) == 0
    assert capsys.readouterr().out == "a.h5.tiny-segmenter.parts: 2 of 4 parts are missing: 0-1\n"
    assert run(cldm, ["evaluate", *flags, "--shard", "0/2"]) == run(cldm, ["run", "merge", "evaluate", *flags]) == 0
    assert Path("report.html").exists()


def test_repair(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cldm, ["gen", *ARGUMENTS, "a.h5"]) == 0
    before = digest("a.h5")
    with h5py.File("a.h5", "r+") as file:
        file["masks"][17, 3, 3] ^= 1
    assert run(cldm, ["run", "repair", *ARGUMENTS, "a.h5"]) == 0 and digest("a.h5") == before
    assert run(cldm, ["run", "repair", "evaluate", "a.h5"]) == run(cldm, ["run", "merge"]) == 2


def test_what_is_not_a_run_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cldm, ["run", "status", "absent.h5"]) == 4
    Path("a.h5.parts").mkdir()
    assert run(cldm, ["run", "status", "a.h5"]) == 2 and "with --status added" in capsys.readouterr().err
