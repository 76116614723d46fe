"""Files that appear whole or not at all: written under a temporary name in the same folder, then renamed.

A new file gets the rights that the umask leaves. A file that replaces another gets the rights of the old one and, where
this user may change it, its owner. A symbolic link stays, and the file it leads to is replaced. A device such as
/dev/null or /dev/stdout, a pipe or a socket is never replaced: text and JSON are written into it, and every other write
raises OSError.
"""

import errno
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ..errors import DatasetError, InputError
from .partial import Partial, new_partial


def write_text(path: Path, text: str) -> None:
    """Write a whole text file or none. If `path` is a pipe or a device, write into it. Raises InputError."""
    try:
        if is_special(path):
            with path.open("a", encoding="utf-8") as stream:  # /dev/stdout may lead to a file with contents
                stream.write(text)
        else:
            write_bytes(path, text.encode("utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}). Choose a folder that you may write "
                         "to and that has space.") from error


def write_bytes(path: Path, data: bytes) -> None:
    """Raises OSError."""
    with whole_stream(path) as stream:
        stream.write(data)


def write_json(path: Path, value: object, indent: int = 1) -> None:
    """Raises InputError if it cannot be written, and ValueError for NaN and infinity, which JSON does not have."""
    write_text(path, json.dumps(value, indent=indent, allow_nan=False) + "\n")


@contextmanager
def whole_stream(path: Path) -> Iterator[BinaryIO]:
    """A new binary stream, whose file becomes `path` when the block ends without an error. Raises OSError."""
    with whole_file(path) as partial, partial.open("wb") as stream:
        yield stream


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A name for the block to write to; that file becomes `path` when the block ends without an error, and is removed
    otherwise. Raises OSError."""
    partial = begin(path)
    try:
        yield partial.path
        publish(partial.path, path, overwrite=True)
    finally:
        partial.remove()


def is_special(path: Path) -> bool:
    """Whether `path` exists and is neither a regular file nor a folder, nor a link to one. True for everything in /dev
    and /proc, also where it leads to a regular file, as /dev/stdout may."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    folder = os.path.realpath(path.parent)
    return not stat.S_ISDIR(mode) and (not stat.S_ISREG(mode) or folder == "/dev" or folder.startswith("/proc/"))


def file_behind(path: Path) -> Path:
    """The file that a symbolic link leads to, which need not exist. Any other path is returned unchanged."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def begin(target: Path) -> Partial:
    """A new file that is to become `target`, which no other process writes to. One that will replace a file can be read
    by its owner alone until then.

    Raises OSError, also if the target exists and is not a regular file: better now than after hours of work.
    """
    refuse_special(target)
    behind = file_behind(target)
    return new_partial(behind, 0o600 if behind.exists() else 0o666)


def refuse_special(target: Path) -> None:
    """Raise OSError if the target exists and is not a regular file."""
    if is_special(target):
        raise OSError(errno.EINVAL, "it is a device, a pipe or a socket, and only a regular file can be replaced")


def publish(partial: Path, target: Path, *, overwrite: bool) -> None:
    """Rename a finished file to its final name, atomically and durably.

    Raises DatasetError if the name is taken and `overwrite` is False, and OSError if it cannot be renamed.
    """
    refuse_special(target)
    behind = file_behind(target)
    with partial.open("rb") as stream:
        os.fsync(stream.fileno())
    if overwrite:
        keep_rights(partial, behind)
        partial.replace(behind)
    else:
        _take_free_name(partial, behind)
    folder = os.open(behind.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def keep_rights(partial: Path, replaced: Path) -> None:
    """Give a new file or folder the owner, the rights and the extended attributes (which hold access lists) of the one
    that it replaces, as far as this user may. Nobody may read it who could not read the other."""
    try:
        old = replaced.stat()
    except FileNotFoundError:
        return
    for owner, group in ((-1, old.st_gid), (old.st_uid, -1)):
        with suppress(OSError):
            os.chown(partial, owner, group)
    partial.chmod(_rights_of(old, partial.stat().st_gid))  # after chown, which clears some of these bits
    with suppress(OSError, AttributeError):  # AttributeError: not on Linux
        for name in os.listxattr(replaced):
            os.setxattr(partial, name, os.getxattr(replaced, name))


def _rights_of(status: os.stat_result, group: int) -> int:
    """Rights that a file with these has in another group: those of everybody, where it is not the same one."""
    rights = stat.S_IMODE(status.st_mode)
    return rights if group == status.st_gid else rights & (~0o070 | (rights & 0o007) << 3)


def make_folder_for(target: Path, folder: Path, *, exist_ok: bool) -> None:
    """Make a folder for parts of a file. Where the file is there already, whoever may not read it may not look into the
    folder either. Raises OSError."""
    try:
        old = target.stat()
    except OSError:
        folder.mkdir(exist_ok=exist_ok)
        return
    is_new = not folder.exists()
    folder.mkdir(mode=0o700, exist_ok=exist_ok)
    if is_new:
        with suppress(OSError):
            os.chown(folder, -1, old.st_gid)
        rights = _rights_of(old, folder.stat().st_gid) & 0o777
        folder.chmod(0o700 | rights | (rights & 0o444) >> 2)


def _take_free_name(partial: Path, target: Path) -> None:
    try:
        os.link(partial, target)  # unlike a rename, a link fails if the file exists by now
    except FileExistsError as error:
        raise DatasetError(f"{target}: was made by another process meanwhile. Choose another name.") from error
    except OSError:  # a file system without hard links: check and rename in two steps
        if target.exists():
            raise
        partial.replace(target)
    else:
        partial.unlink()
