"""CLDM_AUDIT_LOG and cldm audit-log."""

import json
import shutil
from pathlib import Path
from typing import Any

import click
import pytest

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.cli.audited import AuditedCommand
from cldm_runtime.cli.main import COMMANDS, LazyGroup, cldm, run
from cldm_runtime.store import open_dataset


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLDM_AUDIT_LOG", str(tmp_path / "audit.jsonl"))
    (tmp_path / "grid.csv").write_text("infarct_size\n0.2\n")
    return tmp_path / "audit.jsonl"


def ends(log: Path) -> list[dict[str, Any]]:
    return [record for record in map(json.loads, log.read_text().splitlines()) if record["event"] == "end"]


def generate(bundle: Path, *more: str) -> int:
    return run(cldm, ["gen", "--n", "2", "--attributes", "grid.csv", "--bundle", str(bundle), "--seed", "5", "--out",
                      "a.h5", *more], "cldm")


def test_a_generation_says_which_bundle_seed_plan_and_output(log: Path, tiny_generator: Path) -> None:
    assert generate(tiny_generator) == 0
    (found,), bundle = ends(log), Bundle.load(tiny_generator)
    assert found["bundles"] == [{"name": "tiny-generator", "version": bundle.manifest.bundle_version,
                                 "manifest_sha256": bundle.manifest_sha256}]
    with open_dataset("a.h5") as dataset:
        assert found["plan_sha256"] == dataset.metadata["plan_sha256"]
    assert (found["command"], found["seed"], found["asked"], found["made"], found["exit_code"]) == (
        "cldm gen", 5, 2, 2, 0)
    assert found["output"] == str(log.parent / "a.h5") and found["arguments"][:2] == ["--n", "2"]


def test_a_failure_is_logged_with_its_message(log: Path, tiny_generator: Path) -> None:
    assert generate(tiny_generator) == 0 and generate(tiny_generator) == 2
    assert ends(log)[1]["exit_code"] == 2 and "already exists" in ends(log)[1]["error"] and not ends(log)[1]["made"]


def test_segment_evaluate_and_sign_are_logged(log: Path, tiny_generator: Path, tiny_segmenter: Path) -> None:
    pytest.importorskip("cryptography")
    generate(tiny_generator)
    assert run(cldm, ["segment", "a.h5", "--segmenter", str(tiny_segmenter)]) == 0
    assert run(cldm, ["evaluate", "a.h5", "--segmenter", str(tiny_segmenter), "--out", "out"]) == 0
    shutil.copytree(tiny_segmenter, "bundle")
    run(cldm, ["keygen", "private.pem", "public.pem", "--no-password"])
    assert run(cldm, ["sign", "bundle", "--key", "private.pem"]) == 0
    found = ends(log)[1:]
    assert [record["output"] for record in found] == [str(log.parent / name) for name in
                                                      ("a.h5", "out", "bundle/signature.json")]
    assert [(record["asked"], record["made"]) for record in found] == [(2, 2), (2, 2), (None, None)]
    assert {record["bundles"][0]["name"] for record in found} == {"tiny-segmenter"}


def test_help_and_misspelt_options_are_no_runs(log: Path) -> None:
    assert run(cldm, ["gen", "--help"]) == 0 and run(cldm, ["gen", "--nn", "1"]) == 2
    assert not log.exists()


def test_without_its_log_a_run_does_nothing(log: Path, tiny_generator: Path,
                                            capsys: pytest.CaptureFixture[str]) -> None:
    log.mkdir()
    assert generate(tiny_generator) == 2
    assert "Nothing was done" in capsys.readouterr().err and not Path("a.h5").exists()


def test_verify_says_that_the_log_is_whole_or_the_first_broken_line(log: Path, tiny_generator: Path,
                                                                     capsys: pytest.CaptureFixture[str]) -> None:
    generate(tiny_generator, "--dry-run")
    capsys.readouterr()
    assert run(cldm, ["audit-log", "verify", str(log)]) == 0
    assert "2 lines of 1 runs that ended, the chain is whole." in capsys.readouterr().out
    assert run(cldm, ["audit-log", "verify", str(log), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unfinished"] == []
    log.write_text(log.read_text().replace('"seed": 5', '"seed": 6').replace('"5"', '"6"'))
    assert run(cldm, ["audit-log", "verify", str(log)]) == 4
    assert "line 2 does not follow the line before it" in capsys.readouterr().err
    assert run(cldm, ["audit-log", "verify", "none"]) == 4


def test_arguments_that_are_logged_hold_no_secret() -> None:
    """No option of a logged command is a password or a token; files that hold one are named."""
    group, logged = LazyGroup(), []
    for name in COMMANDS:
        command = group.get_command(click.Context(group), name)
        if isinstance(command, AuditedCommand):
            logged.append(name)
            values = [option for option in command.params if isinstance(option, click.Option)
                      and not option.is_flag and not isinstance(option.type, click.Path)]
            assert not any(word in option.name for option in values for word in ("password", "token", "secret", "key"))
            assert not any(option.hide_input for option in values)
    assert logged == ["gen", "prepare", "convert", "segment", "evaluate", "sign"]
