"""Progress on stderr, with the time left: a bar on a terminal, a line every 10 seconds in a log."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

import click

SECONDS_BETWEEN_LINES = 10.0


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

    yield write


def _duration(seconds: float) -> str:
    """12 s, 3 min, 5.2 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"
