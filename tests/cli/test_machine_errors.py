"""What the machine refuses is a message that advises options of the command alone."""

import errno

import click
import pytest

from cldm_runtime.cli.machine_errors import as_message
from cldm_runtime.cli.main import _options, cldm, run


@pytest.mark.parametrize(("options", "advice"), [
    (("--workers", "--batch-size"), "Pass fewer --workers or a smaller --batch-size, or use a machine"),
    (("--batch-size",), "Pass a smaller --batch-size, or use"), ((), "Close other programs, or use")])
def test_out_of_memory(options: tuple[str, ...], advice: str) -> None:
    message = as_message(MemoryError("3 GiB"), options)
    assert message is not None and message.exit_code == 6
    assert str(message).startswith(f"out of memory (3 GiB). {advice}")


@pytest.mark.parametrize(("options", "advice"), [(("--workers",), "Pass fewer --workers, or raise"), ((), "Raise")])
def test_too_many_open_files(options: tuple[str, ...], advice: str) -> None:
    message = as_message(OSError(errno.EMFILE, "Too many open files"), options)
    assert str(message) == f"Too many open files. {advice} the limit of this shell: ulimit -n."


@pytest.mark.parametrize(("arguments", "has"), [(["gen", "--n", "4"], True), (["measure", "a.h5"], False),
                                                (["run", "status", "x"], False), ([], False), (["no-such"], False)])
def test_the_options_are_those_of_the_command_that_ran(arguments: list[str], has: bool) -> None:
    assert ("--workers" in _options(cldm, arguments)) == has


def test_a_command_advises_what_it_has(capsys: pytest.CaptureFixture[str]) -> None:
    @click.command()
    @click.option("--batch-size")
    def greedy(batch_size: str | None) -> None:
        raise MemoryError("3 GiB")

    assert run(greedy, []) == 6
    assert capsys.readouterr().err.endswith("Pass a smaller --batch-size, or use a machine with more memory.\n")
