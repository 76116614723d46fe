"""A stream that fails stops nothing."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from cldm_runtime.cli.main import run
from cldm_runtime.cli.streams import reason_of_loss, unfailing_streams

COMMAND = """
import sys, click
from cldm_runtime.cli.main import run
from cldm_runtime.errors import DatasetError
@click.command("{name}")
def command():
    click.echo("one"), print("two", file=sys.stderr, flush=True), sys.stdout.write("three")
    click.echo("four", err=True)
    open("done", "w").close()
    if {fails}: raise DatasetError("no")
sys.exit(run(command, []))
"""


def code_of(folder: Path, redirected: str, name: str = "gen", fails: bool = False) -> int:
    """Exit code of a command whose streams are redirected; it must come to its end."""
    (folder / "command.py").write_text(COMMAND.format(name=name, fails=fails))
    code = subprocess.call(["bash", "-c", f"exec \"{sys.executable}\" command.py {redirected}"], cwd=folder)
    (folder / "done").unlink()
    return code


@pytest.mark.parametrize("redirected", ["2>&-", ">&-", "2>/dev/full", ">/dev/full 2>&1", "> >(true) 2>&1",
                                        "<&- >&- 2>&-"])
def test_a_command_that_writes_a_file_ends_well(tmp_path: Path, redirected: str) -> None:
    assert code_of(tmp_path, redirected) == 0
    assert code_of(tmp_path, redirected, fails=True) == 4


def test_a_command_whose_result_is_printed_says_that_it_is_lost(tmp_path: Path) -> None:
    assert code_of(tmp_path, ">/dev/full 2>err", "inspect") == 1
    assert "No space left on device" in (tmp_path / "err").read_text()
    assert code_of(tmp_path, ">/dev/full 2>&1", "inspect", fails=True) == 4


def test_a_closed_stderr_is_no_place_for_files(tmp_path: Path) -> None:
    script = ("import os\nfrom cldm_runtime.cli.streams import unfailing_streams\nwith unfailing_streams():\n"
              "    with open('file', 'wb') as stream: os.write(2, b'noise')\n")
    subprocess.run(["bash", "-c", f"exec \"{sys.executable}\" -c \"$0\" 2>&-", script], cwd=tmp_path, check=True)
    assert (tmp_path / "file").read_bytes() == b""


def test_the_first_failure_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def flush(self) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(sys, "stdout", Full())
    with unfailing_streams():
        click.echo("anything")
        assert reason_of_loss(sys.stdout) == "No space left on device"
        assert reason_of_loss(sys.stderr) is None


def test_streams_are_given_back(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout
    assert run(click.Command("c", callback=lambda: click.echo("here")), []) == 0
    assert sys.stdout is before and capsys.readouterr().out == "here\n"


@pytest.mark.parametrize(("error", "code", "text"), [
    (OSError(errno.ENAMETOOLONG, "File name too long", "a.h5"), 2, "error: a.h5: File name too long. Choose a shorter"),
    (OSError(errno.EMFILE, "Too many open files"), 4, "error: Too many open files. Raise the limit of this shell"),
    (OSError(errno.ENOSPC, "No space left on device", "a"), 4, "error: a: No space left on device. Free some space"),
    (MemoryError("of 8 GiB"), 6, "error: out of memory (of 8 GiB). Close other programs"),
])
def test_errors_of_the_machine_are_messages(capsys: pytest.CaptureFixture[str], error: Exception, code: int, text: str
                                            ) -> None:
    def fail() -> None:
        raise error

    assert run(click.Command("c", callback=fail), []) == code
    assert capsys.readouterr().err.startswith(text)


def test_errors_that_may_be_defects_are_not_hidden() -> None:
    def fail() -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "a")

    with pytest.raises(FileNotFoundError):
        run(click.Command("c", callback=fail), [])
