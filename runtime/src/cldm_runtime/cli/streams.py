"""stdout and stderr that never fail: a terminal that was closed, a pipe that nobody reads, a full disk, or none at all.

What is printed says what is done; it must not stop it. The first failure of a stream is kept, and from then on what is
written to it is thrown away, here and by libraries and processes that write to the same descriptor.
"""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

_GONE = (errno.EPIPE, errno.EIO)  # whoever read it went away: not worth a word


class Unfailing:
    """A text or binary stream whose write and flush raise no OSError. failure: the first one that there was."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.failure: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @property
    def buffer(self) -> "Unfailing":
        """The binary stream below, to which click writes for terminals of some encodings."""
        return Unfailing(self._stream.buffer)

    def write(self, data: Any) -> int:
        try:
            self._stream.write(data)
        except (OSError, ValueError) as error:  # ValueError: it was closed
            self._give_up(error)
        return len(data)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self.failure = self.failure or error
        with suppress(OSError, ValueError, AttributeError), open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), self._stream.fileno())  # takes what the stream still holds, too


def reason_of_loss(stream: object) -> str | None:
    """Why what was written to a stream did not arrive: "" where its reader went away; None where all arrived."""
    failure = stream.failure if isinstance(stream, Unfailing) else None
    if failure is None:
        return None
    lost = isinstance(failure, OSError) and failure.errno not in _GONE
    return str(getattr(failure, "strerror", None) or failure) if lost else ""


@contextmanager
def unfailing_streams() -> Iterator[None]:
    """sys.stdout and sys.stderr fail no more; restored afterwards."""
    before = sys.stdout, sys.stderr
    for descriptor in (0, 1, 2):
        _fill(descriptor)
    sys.stdout, sys.stderr = _unfailing(before[0]), _unfailing(before[1])
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = before


def _fill(descriptor: int) -> None:
    """Open /dev/null where a standard stream is closed; else the next file that is opened takes its number, and what
    libraries print goes into that file."""
    try:
        os.fstat(descriptor)
    except OSError:
        with suppress(OSError):
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def _unfailing(stream: TextIO | None) -> Any:
    """`stream` is None where Python found the descriptor closed."""
    if stream is None:
        stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (closed with the process)
    return stream if isinstance(stream, Unfailing) else Unfailing(stream)
