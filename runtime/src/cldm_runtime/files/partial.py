"""Unfinished files next to those that they will become, and which of them nobody is writing any more.

A name holds a random number, so that no two writers choose the same one, in any container and on any machine.
Its writer holds a lock on the file, which the system takes away when the process ends, however it ends. A lock of
another machine need not be seen here, so the name also says which kernel its writer runs on; the files of others are
judged by their age. Process numbers tell nothing: containers of one machine count them separately.
"""

import hashlib
import os
import re
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from glob import escape
from io import FileIO
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_ENDING = re.compile(r"\.([0-9a-f]{8})-[0-9a-f]{16}\.partial")
_ENDING_BYTES, _MOST_BYTES = 34, 255  # of a file's name
_ABANDONED_S = 7 * 24 * 3600.0  # after which a file of another machine is of nobody
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Partial:
    """A new, empty file that this process alone writes to. `release` it after it was published or removed."""

    path: Path
    _lock: FileIO

    def release(self) -> None:
        """Give the lock back."""
        self._lock.close()

    def remove(self) -> None:
        """Remove the file where it still has its name, and give the lock back."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
        self.release()


def new_partial(target: Path, rights: int) -> Partial:
    """An empty file in the target's folder, with those of the rights that the umask leaves. Raises OSError."""
    while True:
        path = target.with_name(f"{_stem(target)}.{_kernel()}-{secrets.token_hex(8)}.partial")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, rights)
        if fcntl is not None:
            with suppress(OSError):  # a file system without locks: then no other process can take one either
                fcntl.flock(descriptor, fcntl.LOCK_SH)  # shared, as HDF5 locks a file that it reads again
        if path.exists():
            return Partial(path, FileIO(descriptor))
        os.close(descriptor)  # somebody took it for one that was left behind, before it was locked


def remove_left_behind(folder: Path, target: Path | None = None) -> None:
    """Remove the partial files in a folder, or those of one target, whose writers have ended. Raises OSError."""
    for path in folder.glob("*.partial" if target is None else f"{escape(_stem(target))}.*.partial"):
        with _unused(path) as unused:
            if unused:
                path.unlink(missing_ok=True)


@contextmanager
def _unused(path: Path) -> Iterator[bool]:
    """Whether nobody writes to the file; as long as the block lasts, nobody begins to."""
    ending = _ENDING.search(path.name)
    if ending is None or ending[1] != _kernel():
        with suppress(OSError):
            yield time.time() - path.stat().st_mtime > _ABANDONED_S
            return
        yield False
        return
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:  # gone, or another user's
        yield False
        return
    try:
        yield _can_lock(descriptor)
    finally:
        os.close(descriptor)


def _can_lock(descriptor: int) -> bool:
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # its writer holds it, or there are no locks
        return False
    return True


@cache
def _kernel() -> str:
    """The running system, which containers share: 8 hexadecimal digits that change when the machine is started."""
    try:
        identity = _BOOT.read_bytes()
    except OSError:
        identity = socket.gethostname().encode()
    return hashlib.sha256(identity).hexdigest()[:8]


def _stem(target: Path) -> str:
    """The target's name, cut so that the whole name is none too long for a file."""
    most = _MOST_BYTES - _ENDING_BYTES
    return os.fsencode(target.name)[:most].decode(errors="ignore")
