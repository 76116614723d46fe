"""The `cldm` group: commands are found lazily, and errors become one message and an exit code."""

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from cldm_runtime import errors
from cldm_runtime.cli.gen import gen
from cldm_runtime.cli.main import COMMANDS, cldm, run
from cldm_runtime.version import __version__


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_listed_command_exists_and_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cldm, [name, "--help"]) == 0 and "Usage:" in capsys.readouterr().out


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cldm, ["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(summary.split()[0] in printed for _, summary in COMMANDS.values())


@pytest.mark.parametrize(("typed", "meant"), [("evalute", "evaluate"), ("inspekt", "inspect"), ("gne", "gen")])
def test_a_mistyped_command_is_suggested(typed: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cldm, [typed]) == 2 and f"Did you mean {meant}?" in capsys.readouterr().err


def test_the_help_of_gen_shows_ten_options_first_and_each_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cldm, ["gen", "--help"]) == 0
    printed = capsys.readouterr().out
    titles = ["Most needed:", "Sampling:", "Machine:", "Runs on many machines:", "Other:", "Examples:"]
    places = [printed.index(title) for title in titles]
    first = printed[places[0]:places[1]]
    assert places == sorted(places) and len(re.findall(r"^  --", first, re.M)) == 10
    options = re.findall(r"^  (?:-h, )?(--[a-z-]+)", printed[:places[-1]], re.M)
    assert len(options) == len(set(options)) == len(gen.params) + 1  # and --help


def test_versions(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cldm, ["--version"], "cldm") == run(gen, ["--version"], "cldm-gen") == 0
    assert capsys.readouterr().out == f"cldm, version {__version__}\ncldm-gen, version {__version__}\n"


@pytest.mark.parametrize("command", [["gen", "--n", "1", "--attributes", "g.csv"], ["bench"]])
def test_without_the_default_bundle_the_error_says_where_bundles_come_from(
        command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CLDM_BUNDLE", raising=False)
    assert run(cldm, command) == 3
    message = capsys.readouterr().err
    assert all(part in message for part in ("exported/lge2: no such", "--bundle", "$CLDM_BUNDLE", "cldm-train export"))


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
