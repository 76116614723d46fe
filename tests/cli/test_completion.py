"""Completion: click's own scripts for three shells, and what a shell is then told."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cldm_runtime.cli.completion import PROGRAMS, SHELLS
from cldm_runtime.cli.main import cldm, run


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_gets_a_script_for_each_program(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cldm, ["completion", shell]) == 0
    said = capsys.readouterr().out
    assert all(f"{variable}={shell}_complete" in said for variable in PROGRAMS.values())


def test_another_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cldm, ["completion", "tcsh"]) == 2
    assert "'bash', 'zsh', 'fish'" in capsys.readouterr().err


def completed(words: str, **variables: str) -> list[str]:
    """What bash would be offered for the last of the words."""
    code = "import sys; from cldm_runtime.cli.main import main; sys.argv = ['cldm']; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env={
        **os.environ, "_CLDM_COMPLETE": "bash_complete", "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1), **variables})
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_commands_and_options_are_completed() -> None:
    assert completed("cldm eng") == ["engine"]
    assert completed("cldm verify --req") == ["--require-signature"]


def test_options_of_grids_are_completed_even_where_the_bundle_is_missing() -> None:
    assert completed("cldm grid --infarct-", CLDM_BUNDLE="/nowhere") == ["--infarct-size"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_takes_its_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(cldm, ["completion", "bash"])
    (tmp_path / "script").write_text(capsys.readouterr().out)
    done = subprocess.run(["bash", "-c", f"source {tmp_path / 'script'} && complete -p cldm cldm-gen cldm-train"],
                          capture_output=True, text=True, check=True)
    assert "_cldm_completion cldm" in done.stdout and "cldm-train" in done.stdout
