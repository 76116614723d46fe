"""Numbers on the command line, read as everywhere: `files/numbers.py`."""

from collections.abc import Callable
from typing import Any

import click

from ..files.numbers import finite_number, whole_number


def _read(reader: Callable[[str], float], value: Any, parameter: click.Parameter | None, context: click.Context | None
          ) -> Any:
    """The number that a text states; what is no text is returned. Raises click.BadParameter."""
    try:
        return reader(value) if isinstance(value, str) else value
    except ValueError as error:
        raise click.BadParameter(f"{value!r} {error}.", context, parameter) from error


class WholeNumber(click.IntRange):
    """As click.IntRange; refuses 1_0 and digits of other scripts."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(_read(whole_number, value, param, ctx), param, ctx)


class NumberRange(click.FloatRange):
    """As click.FloatRange; refuses 1_0, digits of other scripts, nan, inf and 1e400."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(_read(finite_number, value, param, ctx), param, ctx)


class Number(click.types.FloatParamType):
    """As click.FLOAT, with the same refusals."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(_read(finite_number, value, param, ctx), param, ctx)
