"""Commands whose runs go into the audit log, where there is one."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ..bundle.bundle import Bundle
from ..store import open_dataset
from .run_log import note, record_run

_ARGUMENTS = f"{__name__}.arguments"


class AuditedCommand(click.Command):
    """A command whose run goes into the audit log once its arguments are parsed. No option may take a secret as its
    value, because the arguments are logged as given."""

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        context.meta[_ARGUMENTS] = list(arguments)
        return super().parse_args(context, arguments)

    def invoke(self, context: click.Context) -> Any:
        with record_run(context.command_path, context.meta[_ARGUMENTS]):
            return super().invoke(context)


def note_dataset(dataset: Path, bundles: Sequence[Bundle], output: Path) -> int:
    """Log a run over a dataset; returns the number of its samples. Raises DatasetError."""
    with open_dataset(dataset) as opened:
        note(*bundles, asked=len(opened), output=os.path.abspath(output))
        return len(opened)
