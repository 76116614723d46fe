"""The attacks by parser. A maker gets a folder and writes one hostile input into it, beside the sound one that is
there, and returns what the parser is given."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

Maker = Callable[[Path], Path]
ATTACKS: dict[str, dict[str, Maker]] = {}
"""parser -> name of the attack -> its maker"""
HOLE = 2**40  # bytes that a file claims and no disk holds


def attack(parser: str) -> Callable[[Maker], Maker]:
    """Registers a maker under its own name."""
    def register(maker: Maker) -> Maker:
        ATTACKS.setdefault(parser, {})[maker.__name__] = maker
        return maker

    return register


def each(parser: str, **cases: Callable[[Path], Any]) -> None:
    """Registers makers that spoil the sound input where it is."""
    def maker_of(spoil: Callable[[Path], Any]) -> Maker:
        def maker(folder: Path) -> Path:
            spoil(folder)
            return folder

        return maker

    for name, spoil in cases.items():
        ATTACKS.setdefault(parser, {})[name] = maker_of(spoil)


def edit_json(file: Path, change: Callable[[Any], Any]) -> None:
    """Change a JSON file in place; `change` gets its value, and may return another text."""
    value = json.loads(file.read_text())
    text = change(value)
    file.write_text(text if isinstance(text, str) else json.dumps(value))


def hole(file: Path, size: int = HOLE) -> Path:
    """A file of that many bytes that takes no room."""
    with file.open("wb") as stream:
        stream.truncate(size)
    return file


def pipe(file: Path) -> Path:
    file.unlink(missing_ok=True)
    os.mkfifo(file)
    return file
