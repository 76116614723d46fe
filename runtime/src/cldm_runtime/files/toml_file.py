"""TOML files that may extend each other."""

import tomllib
from pathlib import Path
from typing import Any

from ..errors import InputError
from .user_files import read_text

EXTENDS = "extends"


def read_toml(path: Path, children: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The table of a file. If the file has the key `extends`, its table is merged into that of the file named there.

    `extends` is a path relative to the file. Tables are merged key by key, everything else is replaced. `children` are
    the files whose `extends` led here. Raises InputError for a file that cannot be read, or that extends itself.
    """
    origin = f" {children[-1]} extends it." if children else " Presets lie in trainer/configs."
    try:
        table = tomllib.loads(read_text(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).{origin}") from error
    except tomllib.TOMLDecodeError as error:
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
    """A table with the keys of both. If both have a key, tables are merged; any other value is the child's."""
    both = {key: merge(parent[key], child[key]) for key in parent.keys() & child.keys()
            if isinstance(parent[key], dict) and isinstance(child[key], dict)}
    return {**parent, **child, **both}
