"""Options that several commands share."""

from typing import Literal

import click

DEFAULT_BUNDLE = "exported/lge"


def parse_batch_size(context: click.Context, parameter: click.Parameter,
                     value: str | None) -> int | Literal["auto"] | None:
    """A number of images, or "auto". Raises click.BadParameter."""
    if value is None:
        return None
    if value == "auto":
        return "auto"
    size: int = click.IntRange(min=1)(value, parameter, context)
    return size
