"""Patterns of file names, as `domains/layout.py` describes them, and the files of a folder that match."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..files.user_files import list_folder
from .volume_files import NIFTI_ENDINGS, OTHER_ENDINGS

ENDING = "ending"  # the part that stands for the ending of any file that can be read
_DEEPEST = 8  # folders below that of the dataset
_MOST_FILES = 1_000_000
_PIECE = re.compile(r"\{([a-z]+)\}|\[([^\[\]{}/*]+)\]|(\*)|([^\[\]{}*]+)")
_ANY_ENDING = "(?:" + "|".join(re.escape(ending) for ending in sorted((*NIFTI_ENDINGS, *OTHER_ENDINGS), key=len,
                                                                     reverse=True)) + ")"


@dataclass(frozen=True)
class FilePattern:
    """`text`, as the user wrote it; `parts`, the words in braces other than ENDING. `loose` takes any ending for
    ENDING, also of files that cannot be read."""

    text: str
    parts: tuple[str, ...]
    regex: re.Pattern[str]
    loose: re.Pattern[str]

    def values(self, path: str) -> dict[str, str] | None:
        """The text of each part in a path that ends as the pattern says; None for another path."""
        found = self.regex.fullmatch(path)
        return found and found.groupdict()

    def filled(self, values: dict[str, str]) -> str:
        """The pattern with the parts that are known."""
        return re.sub(r"\{([a-z]+)\}", lambda part: values.get(part[1], part[0]), self.text)


def file_pattern(text: str, where: str) -> FilePattern:
    """Raises InputError for a text that is no pattern, or names no part of a file's name."""
    pieces = list(_PIECE.finditer(text))
    parts = tuple(dict.fromkeys(piece[1] for piece in pieces if piece[1] and piece[1] != ENDING))
    if "".join(piece[0] for piece in pieces) != text or not parts or text.startswith("/") or "//" in text:
        raise InputError(f"{where}: found {text!r}, expected the end of a file's path with the case in braces, such as "
                         "images/{case}.nii.gz.")
    return FilePattern(text, parts, _compiled(pieces, _ANY_ENDING), _compiled(pieces, r"\.[^/]+"))


def _compiled(pieces: Sequence[re.Match[str]], ending: str) -> re.Pattern[str]:
    seen: set[str] = set()
    return re.compile("(?:.*/)?" + "".join(_expression(piece, seen, ending) for piece in pieces))


def _expression(piece: re.Match[str], seen: set[str], ending: str) -> str:
    word, optional, star, plain = piece.groups()
    if word == ENDING:
        return ending
    if word:
        expression = f"(?P={word})" if word in seen else f"(?P<{word}>[^/]+)"
        seen.add(word)
        return expression
    return f"(?:{re.escape(optional)})?" if optional else "[^/]*" if star else re.escape(plain)


def files_below(folder: Path) -> list[str]:
    """The paths of all files below a folder, relative to it, sorted. Raises InputError for too many of them."""
    paths = []
    for path in _walk(folder, _DEEPEST):
        paths.append(path.relative_to(folder).as_posix())
        if len(paths) > _MOST_FILES:
            raise InputError(f"{folder}: holds more than {_MOST_FILES} files. Name the folder of one dataset.")
    return sorted(paths)


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    for path in list_folder(folder):
        if not path.is_dir():
            yield path
        elif depth:
            yield from _walk(path, depth - 1)


def match_files(pattern: FilePattern, paths: Sequence[str]) -> dict[str, dict[str, str]]:
    """path -> the text of each part, of the paths that match."""
    found = ((path, pattern.values(path)) for path in paths)
    return {path: values for path, values in found if values is not None}


def unread_files(pattern: FilePattern, paths: Sequence[str]) -> dict[str, dict[str, str]]:
    """path -> the text of each part, of the paths that would match if their ending could be read."""
    if pattern.loose == pattern.regex:
        return {}
    found = ((path, pattern.loose.fullmatch(path)) for path in paths if not pattern.regex.fullmatch(path))
    return {path: match.groupdict() for path, match in found if match}


def unread_sentence(path: str) -> str:
    """What to do with such a file."""
    return (f"{path} has an ending that is not read. Save it with one of {', '.join(NIFTI_ENDINGS + OTHER_ENDINGS)}; "
            "not by way of JPEG, which changes values")
