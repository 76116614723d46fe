"""Files that appear whole or not at all: written under a temporary name in the same folder, then renamed.

A new file gets the rights that the umask leaves. A file that replaces another gets the rights of the old one and, where
this user may change it, its owner. A symbolic link stays, and the file it leads to is replaced. A device such as
/dev/null or /dev/stdout, a pipe or a socket is never replaced: text and JSON are written into it, and every other write
raises OSError.
"""

import errno
import json
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ..errors import DatasetError, InputError


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
    partial = partial_name(path)
    try:
        yield partial
        publish(partial, path, overwrite=True)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


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


def partial_name(target: Path) -> Path:
    """A temporary name in the target's folder that no other process uses, on this host or another.

    Raises OSError if the target exists and is not a regular file: better now than after hours of work.
    """
    if is_special(target):
        raise OSError(errno.EINVAL, "it is a device, a pipe or a socket, and only a regular file can be replaced")
    behind = file_behind(target)
    return behind.with_name(f"{behind.name}.{socket.gethostname()}-{os.getpid()}.partial")


def was_left_behind(partial: Path) -> bool:
    """Whether the process that wrote a `partial_name` on this host has ended. False for a file from another host."""
    host, _, process = partial.name.removesuffix(".partial").rpartition("-")
    if not process.isdecimal() or not host.endswith(f".{socket.gethostname()}"):
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return int(process) == os.getpid()


def publish(partial: Path, target: Path, *, overwrite: bool) -> None:
    """Rename a finished file to its final name, atomically and durably.

    Raises DatasetError if the name is taken and `overwrite` is False, and OSError if it cannot be renamed.
    """
    partial_name(target)  # raises OSError if the target is not a regular file
    behind = file_behind(target)
    with partial.open("rb") as stream:
        os.fsync(stream.fileno())
    if overwrite:
        _keep_rights(partial, behind)
        partial.replace(behind)
    else:
        _take_free_name(partial, behind)
    folder = os.open(behind.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _keep_rights(partial: Path, replaced: Path) -> None:
    """Give the new file the owner and the rights of the one that it replaces, as far as this user may."""
    try:
        old = replaced.stat()
    except FileNotFoundError:
        return
    for owner, group in ((-1, old.st_gid), (old.st_uid, -1)):
        with suppress(OSError):
            os.chown(partial, owner, group)
    partial.chmod(stat.S_IMODE(old.st_mode))  # last: chown clears some of these bits


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
