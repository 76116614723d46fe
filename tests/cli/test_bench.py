"""`cldm bench` on a tiny bundle; its contenders work in this process here."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from cldm_runtime.bench import bundle_bench, work
from cldm_runtime.bench.child import Contestant
from cldm_runtime.bench.remote import ContenderFailed, Remote
from cldm_runtime.bench.rows import COLUMNS, read_rows
from cldm_runtime.cli.main import cldm, run


class Here(Remote):
    """A contender in this process."""

    def __init__(self, threads: int, log: Path | None = None) -> None:
        self.started, self._contestant = 0.0, Contestant()

    def ask(self, request):
        answer = json.loads(json.dumps(self._contestant.answer(request)))
        if "error" in answer:
            raise ContenderFailed(answer["error"])
        return answer

    def product(self, size: int) -> float:
        return 100.0

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_bench, "Remote", Here)
    monkeypatch.setattr(work, "_FILE_IMAGES", 16)


def bench(bundle: Path, *options: str):
    arguments = ["bench", "--bundle", str(bundle), "--rounds", "1", "--threads", "1", "--batch-size", "2", *options]
    return CliRunner().invoke(cldm, arguments, catch_exceptions=False)


def test_rows_of_networks_and_of_the_whole_path(tiny_generator: Path, tmp_path: Path) -> None:
    outcome = bench(tiny_generator, "--steps", "1", "--steps", "3", "--json", "--out", str(tmp_path / "bench.jsonl"))
    rows = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert [row["kind"] for row in rows] == ["networks", "networks", "requests to memory", "requests to file"]
    assert [row["steps"] for row in rows] == [1, 3, 1, 1] and {row["batch_size"] for row in rows} == {2}
    assert all(set(COLUMNS) <= set(row) and row["error"] is None for row in rows)
    assert read_rows(tmp_path / "bench.jsonl") == rows


def test_a_table_for_people(tiny_guided: Path) -> None:
    outcome = bench(tiny_guided, "--sampler", "ddim")
    assert "timing: 7 of 7 (100 %)" in outcome.stderr
    assert outcome.exit_code == 0 and "| tiny-guided, ddim 4 | 4 | 2 | 2 |" in outcome.stdout


def test_a_provider_that_does_not_start_is_an_error(tiny_generator: Path, capsys) -> None:
    arguments = ["bench", "--bundle", str(tiny_generator), "--rounds", "1", "--threads", "1", "--provider", "tensorrt"]
    assert run(cldm, arguments) == 5
    assert "nothing could be timed" in capsys.readouterr().err
