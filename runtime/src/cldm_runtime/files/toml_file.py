"""TOML files that may extend each other, and their tables as frozen dataclasses."""

import dataclasses
import tomllib
import types
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from ..errors import InputError

EXTENDS = "extends"


def read_toml(path: Path, children: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The table of a file, laid over that of the file which its `extends` names, if it has one.

    `extends` is a path relative to the file; tables are merged key by key, everything else is replaced. `children` are
    the files that led here. Raises InputError for what cannot be read and for files that extend each other in a circle.
    """
    asked = f" {children[-1]} extends it." if children else " Presets lie in trainer/configs."
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).{asked}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a TOML file: {error}.") from error
    parent = table.pop(EXTENDS, None)
    if parent is None:
        return table
    if not isinstance(parent, str) or not parent:
        raise InputError(f"{path}: {EXTENDS}: found {parent!r}, expected the path of a TOML file relative to "
                         "this one.")
    target, seen = path.parent / parent, (*children, path)
    if target.resolve() in {file.resolve() for file in seen}:
        chain = " -> ".join(str(file) for file in (*seen, target))
        raise InputError(f"{path}: {EXTENDS}: the files extend each other in a circle: {chain}.")
    return merge(read_toml(target, seen), table)


def merge(parent: dict[str, Any], child: dict[str, Any]) -> dict[str, Any]:
    """A table with everything of both; where both have a key, tables are merged and any other value is the child's."""
    both = {key: merge(parent[key], child[key]) for key in parent.keys() & child.keys()
            if isinstance(parent[key], dict) and isinstance(child[key], dict)}
    return {**parent, **child, **both}


def build(kind: type, table: dict[str, Any], where: str, faults: list[str]) -> Any:
    """An instance of the dataclass `kind`, or None after adding to `faults`."""
    known = {f.name: f for f in fields(kind)}
    hints = get_type_hints(kind)
    before = len(faults)
    for key in sorted(set(table) - set(known)):
        faults.append(f"{where}{key}: unknown key. Known here: {', '.join(known)}.")
    values = {}
    for name, spec in known.items():
        if name in table:
            values[name] = _convert(hints[name], table[name], f"{where}{name}", faults)
        elif spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING:
            faults.append(f"{where}{name}: missing. Expected {_spell(hints[name])}.")
    return kind(**values) if len(faults) == before else None


def _convert(kind: Any, value: Any, where: str, faults: list[str]) -> Any:
    if is_dataclass(kind) and isinstance(kind, type):
        if isinstance(value, dict):
            return build(kind, value, f"{where}.", faults)
    elif get_origin(kind) is tuple:
        if isinstance(value, list):
            return tuple(_convert(get_args(kind)[0], item, f"{where}[{i}]", faults) for i, item in enumerate(value))
    elif get_origin(kind) is dict:
        if isinstance(value, dict):
            return {key: _convert(get_args(kind)[1], item, f"{where}.{key}", faults) for key, item in value.items()}
    elif kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif type(value) is kind:
        return value
    faults.append(f"{where}: found {value!r}, expected {_spell(kind)}.")
    return None


def _spell(kind: Any) -> str:
    if is_dataclass(kind):
        return "a table"
    if isinstance(kind, types.GenericAlias):
        container, item = ("a list", get_args(kind)[0]) if get_origin(kind) is tuple else ("a table", get_args(kind)[1])
        return f"{container} of {_spell(item)}"
    return {str: "a string", int: "an integer", float: "a number", bool: "true or false"}[kind]
