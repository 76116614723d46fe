"""The `cldm` group: commands are found lazily, and errors become one message and an exit code."""

import subprocess
import sys

import click
import pytest

from cldm_runtime import errors
from cldm_runtime.cli.main import COMMANDS, cldm, run


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_listed_command_exists_and_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cldm, [name, "--help"]) == 0 and "Usage:" in capsys.readouterr().out


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cldm, ["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(summary.split()[0] in printed for _, summary in COMMANDS.values())


def test_an_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cldm, ["train"]) == 2 and "No such command 'train'" in capsys.readouterr().err


@pytest.mark.parametrize(("error", "code"), [
    (errors.InputError, 2), (errors.BundleError, 3), (errors.DatasetError, 4), (errors.ProviderError, 5),
    (errors.InterruptedRun, 130), (KeyboardInterrupt, 130),
])
def test_each_family_of_errors_has_its_exit_code(error: type[BaseException], code: int,
                                                 capsys: pytest.CaptureFixture[str]) -> None:
    @click.command()
    def fail() -> None:
        raise error("what to do")

    assert run(fail, []) == code
    assert capsys.readouterr().err.strip().startswith("error:")


def test_help_loads_neither_numpy_nor_onnxruntime() -> None:
    script = ("import sys; from cldm_runtime.cli.main import run, cldm; run(cldm, ['--help']);"
              "sys.exit('numpy' in sys.modules or 'onnxruntime' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=False).returncode == 0
