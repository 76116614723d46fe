"""Numbers on the command line, read as everywhere: `files/numbers.py`."""

from collections.abc import Callable
from typing import Any, ClassVar

import click

from ..files.numbers import finite_number, whole_number


class _Strict(click.ParamType):
    read: ClassVar[Callable[[str], float]]

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str):
            try:
                value = type(self).read(value)
            except ValueError as error:
                self.fail(f"{value!r} {error}.", param, ctx)
        return super().convert(value, param, ctx)


class WholeNumber(_Strict, click.IntRange):
    """As click.IntRange; refuses 1_0 and digits of other scripts."""

    read = staticmethod(whole_number)


class NumberRange(_Strict, click.FloatRange):
    """As click.FloatRange; refuses 1_0, digits of other scripts, nan, inf and 1e400."""

    read = staticmethod(finite_number)


class Number(_Strict, type(click.FLOAT)):  # type: ignore[misc]
    """As click.FLOAT, with the same refusals."""

    read = staticmethod(finite_number)
