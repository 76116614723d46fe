"""The fuzzer's first inputs on every parser: some twenty seconds, always the same inputs. `fuzz.py` runs more."""

from pathlib import Path

import pytest

pytest.importorskip("onnx")

from cldm_runtime.errors import InputError
from fuzz.fuzz import Worker, fuzz, shares
from fuzz.mutate import generator_of, mutation
from fuzz.targets import Target, make_targets

COUNTS = {"manifest": 1500, "grid": 1500, "npz": 2000, "npy": 1000, "onnx": 3000, "dataset": 200, "nifti": 700,
          "metaimage": 400, "nrrd": 400, "description": 500, "plan": 500}


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Target]:
    return make_targets(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize("parser", list(COUNTS))
def test_spoilt_inputs_are_read_or_refused(parser: str, targets: dict[str, Target], tmp_path: Path) -> None:
    if parser not in targets:
        pytest.skip("needs the trainer")
    outcome = fuzz(parser, targets[parser], COUNTS[parser], seed=0, out=tmp_path)
    assert not outcome.findings, [file.with_name(file.name + ".txt").read_text() for file in outcome.findings]
    assert outcome.read + outcome.refused == COUNTS[parser]
    assert min(outcome.read, outcome.refused) > COUNTS[parser] // 100  # it comes past the first check, and not always


def test_every_seed_is_sound(targets: dict[str, Target]) -> None:
    for target in targets.values():
        for seed in target.seeds:
            target.parse(seed)


def breaks(data: bytes) -> None:
    """A parser with three defects."""
    if data.startswith(b"1"):
        raise InputError("refused")
    if data.startswith(b"2"):
        raise KeyError("a defect")
    if data.startswith(b"3"):
        import os

        os.abort()
    while data.startswith(b"4"):
        pass


def test_defects_deaths_and_loops_are_found_and_kept(tmp_path: Path) -> None:
    target = Target([b"0", b"1", b"2", b"3", b"4"], breaks, 1.0)
    outcome = fuzz("broken", target, 60, seed=1, out=tmp_path)
    reports = "".join(file.with_name(file.name + ".txt").read_text() for file in outcome.findings)
    assert "KeyError" in reports and "status -6" in reports and "TooSlow" in reports
    assert outcome.read + outcome.refused + outcome.faulty == 60


def test_an_input_is_kept_as_it_was(tmp_path: Path) -> None:
    worker = Worker("x", Target([b"seed" * 10], print, 1.0), 3, tmp_path)
    worker.keep(17, "ValueError: why")
    kept = next(file for file in tmp_path.iterdir() if file.suffix != ".txt")
    assert kept.read_bytes() == mutation([b"seed" * 10], False, generator_of(3, "x", 17))


def test_every_input_of_a_run_is_given_to_a_parser() -> None:
    targets = {"a": Target([], print, 0.1), "b": Target([], print, 0.7)}
    assert shares(targets, 1001) == {"a": 126, "b": 875}
