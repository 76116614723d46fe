"""Numbers of every command are read by one reader."""

from collections.abc import Iterator

import click
import pytest

from cldm_runtime.cli.main import cldm
from cldm_runtime.cli.options import parse_batch_size
from cldm_trainer.cli import cli


def parameters(command: click.Command) -> Iterator[tuple[str, click.Parameter]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from parameters(child)
    else:
        yield from ((str(command.name), parameter) for parameter in command.params)


NUMBERS = [(command, parameter) for command, parameter in [*parameters(cldm), *parameters(cli)]
           if isinstance(parameter.type, type(click.INT) | type(click.FLOAT))]


@pytest.mark.parametrize("text", ["1_0", "٣", "nan", "inf", "1e400"])
def test_no_command_reads_what_is_no_number(text: str) -> None:
    assert len(NUMBERS) > 20
    for command, parameter in NUMBERS:
        with pytest.raises(click.BadParameter, match="is not a"):
            pytest.fail(f"{command} {parameter.opts} reads {parameter.type.convert(text, parameter, None)}")


def test_numbers_are_read_and_ranges_kept() -> None:
    seed = next(parameter for command, parameter in NUMBERS if (command, parameter.opts) == ("gen", ["--seed"]))
    assert seed.type.convert(" 12 ", seed, None) == 12
    with pytest.raises(click.BadParameter, match="is not in the range"):
        seed.type.convert("-1", seed, None)


@pytest.mark.parametrize("text", ["1_0", "0", "automatic"])
def test_a_batch_size_is_a_number_or_auto(text: str) -> None:
    context = click.Context(cldm)
    with pytest.raises(click.BadParameter):
        parse_batch_size(context, cldm.params[0], text)
    assert parse_batch_size(context, cldm.params[0], "auto") == "auto"
