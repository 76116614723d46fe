"""Help in sections: the options that most people need come first."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

REST = "Other"


class SectionedCommand(click.Command):
    """A command whose help lists its options in sections.

    sections: title -> names of parameters, in the order in which they are shown. Options in no section come last,
    under "Other".
    """

    def __init__(self, *arguments: Any, sections: Mapping[str, Sequence[str]], **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.sections = sections

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        records = {parameter.name: record for parameter in self.get_params(context)
                   if (record := parameter.get_help_record(context)) is not None}
        for title, names in self.sections.items():
            self._write(formatter, title, [records.pop(name) for name in names])
        self._write(formatter, REST, list(records.values()))

    @staticmethod
    def _write(formatter: click.HelpFormatter, title: str, records: list[tuple[str, str]]) -> None:
        if records:
            with formatter.section(title):
                formatter.write_dl(records)
