"""Progress on stderr, with the time left: a bar on a terminal, a line every 10 seconds in a log. Of work of unknown
length, a line that says what is being done."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

import click

SECONDS_BETWEEN_LINES = 10.0


class _LastShown:
    """When any progress was shown last, so that work within work is not told twice."""

    seconds = 0.0


_SHOWN = _LastShown()


class BusyLines:
    """While it is open, a line says what is being done and for how long, where nothing else was shown for a while. Call
    it with what is done next."""

    def __init__(self, what: str, seconds: float = SECONDS_BETWEEN_LINES, *, aloud: bool = False) -> None:
        """what: begins every line. aloud: what is done next is also printed at once."""
        self._what, self._seconds, self._aloud, self._now = what, seconds, aloud, "reading"
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._speak, daemon=True)

    def __call__(self, now: str) -> None:
        self._now = now
        if self._aloud:
            self._write(now)

    def __enter__(self) -> "BusyLines":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _speak(self) -> None:
        start = time.monotonic()
        while not self._done.wait(self._seconds):
            if time.monotonic() - _SHOWN.seconds >= self._seconds:
                self._write(f"{self._what}: {self._now.removesuffix(' ...')}, {time.monotonic() - start:.0f} s so far")

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError, AttributeError):  # a lost terminal does not stop the work
            click.echo(text, err=True)
        _SHOWN.seconds = time.monotonic()


@contextmanager
def show_progress(label: str, total: int, stream: TextIO, *, brief: bool = False
                  ) -> Iterator[Callable[[int, int], None]]:
    """Yields a function of (done, total) to be called as often as one likes; it may correct the `total` given here.

    brief: a log gets no line for what is done before the first one is due.
    """
    if stream.isatty():
        with click.progressbar(length=total, label=label, file=stream, show_pos=True) as bar:
            def draw(done: int, total: int) -> None:
                bar.length = total  # not every caller knows it beforehand
                bar.update(done - bar.pos)
                _SHOWN.seconds = time.monotonic()

            yield draw
        return
    start = last = time.monotonic()
    silent = brief

    def write(done: int, total: int) -> None:
        nonlocal last, silent
        now = time.monotonic()
        due = now - last >= SECONDS_BETWEEN_LINES
        if done and (due or (done == total and not silent)):
            last, silent = now, False
            left = "" if done == total else f", about {_duration((now - start) * (total - done) / done)} left"
            stream.write(f"{label}: {done} of {total} ({100 * done // total} %), {now - start:.0f} s{left}\n")
            stream.flush()
            _SHOWN.seconds = now

    yield write


def _duration(seconds: float) -> str:
    """12 s, 3 min, 5.2 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"
