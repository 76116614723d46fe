"""Commands in this process."""

from collections.abc import Callable
from pathlib import Path

import click
import pytest

from cldm_runtime.cli.gen import gen
from cldm_runtime.cli.main import run

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def called(capsys: pytest.CaptureFixture[str]) -> Callable[[click.Command], Cli]:
    """A command -> a function of its arguments that returns the exit code, what it printed, and what it said."""
    def of(command: click.Command) -> Cli:
        def call(*arguments: object) -> tuple[int, str, str]:
            code = run(command, [str(argument) for argument in arguments])
            printed = capsys.readouterr()
            return code, printed.out, printed.err

        return call

    return of


@pytest.fixture
def cli(called: Callable[[click.Command], Cli]) -> Cli:
    """`cldm gen`."""
    return called(gen)


@pytest.fixture(scope="module")
def encoding(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny bundle with an encoder: 4 of 100 steps, which are 99, 74, 49 and 24. Images show 2 % of their noise."""
    onnx_fixtures = pytest.importorskip("onnx_fixtures")
    return onnx_fixtures.make_generator(tmp_path_factory.mktemp("bundle") / "encoding", encoder=True)
