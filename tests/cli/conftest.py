"""`cldm gen` in this process."""

from collections.abc import Callable

import pytest

from cldm_runtime.cli.gen import gen
from cldm_runtime.cli.main import run

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Arguments of `cldm gen` -> exit code, what it printed, what it said."""
    def call(*arguments: object) -> tuple[int, str, str]:
        code = run(gen, [str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call
