"""Texts and folders that users made with other programs: one way to read them, for every reader.

Windows editors begin a text with a byte order mark and end its lines with CR LF; macOS, Windows and our own writers
leave hidden files in folders. Neither is part of what the user means.
"""

import json
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

from ..errors import InputError

LARGEST_JSON = 8 * 2**20  # bytes
_UTF16 = (b"\xff\xfe", b"\xfe\xff")  # byte order marks
_LEFT_BY_SYSTEMS = ("thumbs.db", "desktop.ini", "icon\r", "__macosx")


def decode_text(data: bytes, path: Path) -> str:
    """UTF-8 with or without a byte order mark, lines as they end. Raises InputError for another encoding."""
    if data.startswith(_UTF16):
        raise InputError(f"{path}: the text is UTF-16, expected UTF-8. Save it as UTF-8 (in Notepad: "
                         "Save as, Encoding).")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8. Save the file as UTF-8.") from error


def read_text(path: Path, largest: int = LARGEST_JSON) -> str:
    """The text of a file, with lines that end in one line feed.

    Raises InputError for another encoding than UTF-8 and for more than `largest` bytes, OSError where the file cannot
    be read.
    """
    with path.open("rb") as stream:
        data = stream.read(largest + 1)
    if len(data) > largest:
        raise InputError(f"{path}: is larger than {largest >> 20} MiB.")
    return decode_text(data, path).replace("\r\n", "\n").replace("\r", "\n")


def read_json(path: Path, largest: int = LARGEST_JSON) -> object:
    """The content of a JSON file. Raises InputError naming file and line."""
    if not path.is_file():
        raise InputError(f"{path}: there is no such file.")
    try:
        return json.loads(read_text(path, largest), object_pairs_hook=unique_keys)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}, line {error.lineno}: this is not JSON ({error.msg}).") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: this is not JSON in UTF-8 ({error}).") from error


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. Raises ValueError for a key that occurs several times, of which Python would take the last."""
    value = dict(pairs)
    if len(value) < len(pairs):
        repeated = sorted(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        raise ValueError(f"repeated keys {repeated}, expected each once")
    return value


def composed(name: str) -> str:
    """A name with its accents composed: macOS writes é as two characters into names of files, editors as one."""
    return unicodedata.normalize("NFC", name)


def list_folder(folder: Path, ending: str = "") -> list[Path]:
    """The files of a folder whose names end with `ending`, sorted; none where there is no such folder.

    Hidden files (`._*` of macOS, `.partial-*` of our writers) and what systems leave in folders are passed over. Raises
    InputError for a folder that cannot be read.
    """
    if not folder.is_dir():
        return []
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        raise InputError(f"{folder}: the folder cannot be read ({error.strerror}). Give yourself the right to read it."
                         ) from error
    return sorted(path for path in entries
                  if path.name.endswith(ending) and not path.name.startswith(".")
                  and path.name.lower() not in _LEFT_BY_SYSTEMS)
