"""`cldm-train settings`, which writes docs/settings.md: every key, from comments and docstrings of the configuration.

A comment next to a field, or in the lines above it, is the key's meaning. It may begin with the unit in brackets:
`# [pixels] what the critic sees at once`.
"""

import ast
import dataclasses
import inspect
import json
import re
import textwrap
import types
import typing
from collections.abc import Iterator
from typing import Any

import click

from cldm_runtime.files.records import plain

from ..config import Config, OptimiserConfig
from ..tables import table

HEAD = """# Settings

Every key of a training configuration (TOML), which `cldm-train` reads; `cldm prepare` reads `[cohort]` and `[prepare]`
of it. A key without a default has to be given; all others may be left out. `cldm-train show --config FILE` prints the
values that a file leads to. `trainer/configs` holds files to copy; for your own scans,
[own-data.toml](../trainer/configs/own-data.toml).

`cldm-train settings > docs/settings.md` writes this page from the comments in the source.
"""
OF_OPTIMISERS = "Not a section of its own, but a part of others: `[diffusion.optimiser]`, for example."
COLUMNS = ("key", "default", "unit or type", "meaning")
NEEDED = "needed"
FIRST = ("run", "cohort", "prepare")
_UNITS = {"_mm": "mm", "_deg": "degrees", "_pixels": "pixels"}
_TYPES = {int: "whole number", float: "number", str: "text", bool: "true or false"}
_UNIT = re.compile(r"\[([^\]]+)\]\s*(.*)", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class SettingsKey:
    """One key of a section. default: as TOML; empty for a key that has to be given."""

    name: str
    default: str
    unit: str
    meaning: str


@click.command()
def settings() -> None:
    """Print every key of a configuration with default, unit and meaning, as Markdown."""
    click.echo(page(), nl=False)


def page() -> str:
    """The whole page."""
    types_of = typing.get_type_hints(Config)
    first: dict[type, str] = {}  # the section in which each record is described
    names = [field.name for field in dataclasses.fields(Config)]
    names.sort(key=lambda name: name not in FIRST)
    sections = []
    for name in names:
        described = first.setdefault(types_of[name], name)
        sections.append(_section(name, types_of[name]) if described == name else
                        f"## [{name}]\n\nThe same keys as [{described}](#{described}).\n")
    return "\n".join([HEAD, *sections, _section("optimiser", OptimiserConfig, OF_OPTIMISERS)])


def _section(name: str, kind: Any, about: str = "") -> str:
    """One section of a file: its heading, what it is, and its keys."""
    repeated = typing.get_origin(kind) is tuple
    record = typing.get_args(kind)[0] if repeated else kind
    heading = f"## [[{name}]]" if repeated else f"## [{name}]"
    rows = [(f"`{key.name}`", key.default, key.unit, _escaped(key.meaning)) for key in keys_of(record)]
    return "\n\n".join(filter(None, [heading, about or _docstring(record), table(COLUMNS, rows)])) + "\n"


def _escaped(text: str) -> str:
    """Text in a cell of Markdown."""
    return text.replace("<", "\\<").replace("|", "\\|")


def keys_of(record: type, prefix: str = "") -> Iterator[SettingsKey]:
    """The keys of a dataclass; those of a record in it carry its name, as in optimiser.steps."""
    types_of, comments = typing.get_type_hints(record), comments_of(record)
    for field in dataclasses.fields(record):
        kind, name = _without_none(types_of[field.name]), f"{prefix}{field.name}"
        inner = typing.get_args(kind)[-1] if typing.get_origin(kind) is dict else kind
        if inner is OptimiserConfig:
            yield SettingsKey(f"{name}.KEY", _changes(_value(field)), "", "every key of [optimiser](#optimiser)")
        elif dataclasses.is_dataclass(inner) and isinstance(inner, type):
            yield from keys_of(inner, f"{name}." if inner is kind else f"{name}.NAME.")
        else:
            unit, meaning = _unit_and_meaning(name, kind, comments.get(field.name, ""))
            yield SettingsKey(name, _as_toml(_value(field)), unit, meaning)


def _without_none(kind: Any) -> Any:
    """A record that may be left out, as the record."""
    records = [each for each in typing.get_args(kind) if dataclasses.is_dataclass(each)]
    return records[0] if typing.get_origin(kind) is types.UnionType and records else kind


def _changes(given: Any) -> str:
    """What a section's own optimiser has other than the optimiser's defaults."""
    if given is dataclasses.MISSING:
        return f"those of optimiser; `steps`, `batch_size`, `learning_rate` {NEEDED}"
    changed = {field.name: getattr(given, field.name) for field in dataclasses.fields(given)
               if getattr(given, field.name) != field.default}
    return "; ".join(f"`{name} = {json.dumps(value)}`" for name, value in changed.items())


def comments_of(record: type) -> dict[str, str]:
    """The comment of each field: next to it, else in the lines above it."""
    source = textwrap.dedent(inspect.getsource(record))
    lines = source.splitlines()
    (body,) = ast.parse(source).body
    assert isinstance(body, ast.ClassDef)
    comments = {}
    for node in body.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.end_lineno is not None:
            beside = lines[node.end_lineno - 1].encode()[node.end_col_offset:].decode()
            comments[node.target.id] = _text(beside) or _above(lines, node.lineno - 1)
    return comments


def _above(lines: list[str], field: int) -> str:
    """The comment in the lines directly above a line."""
    first = field
    while first and lines[first - 1].strip().startswith("#"):
        first -= 1
    return " ".join(map(_text, lines[first:field]))


def _text(comment: str) -> str:
    return comment.strip().removeprefix("#").strip()


def _docstring(record: type) -> str:
    """The docstring of a section, as one paragraph a blank line; empty for one without its own."""
    text = record.__doc__ or ""
    return "" if text.startswith(f"{record.__name__}(") else inspect.cleandoc(text)


def _unit_and_meaning(name: str, kind: Any, comment: str) -> tuple[str, str]:
    match = _UNIT.fullmatch(comment)
    if match is not None:
        return match[1], match[2]
    of_name = next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), "")
    return of_name or _type_name(kind), comment


def _type_name(kind: Any) -> str:
    """The type of a value of TOML, in words."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        return f"list of {_plural(_type_name(inner[0]))}"
    if origin is dict:
        return f"table of {_plural(_type_name(inner[1]))}"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type_name(each) for each in inner if each is not type(None))
    return _TYPES[kind]


def _plural(words: str) -> str:
    return words if words in ("text", "true or false") else f"{words}s"


def _value(field: dataclasses.Field[Any]) -> Any:
    """The default of a field; MISSING for one that has to be given."""
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default


def _as_toml(value: Any) -> str:
    if value is dataclasses.MISSING:
        return NEEDED
    if value is None or value in ("", {}):
        return "none"
    return f"`{json.dumps(plain(value))}`"
