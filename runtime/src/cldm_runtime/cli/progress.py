"""Progress on stderr: a bar on a terminal, a line every 10 seconds in a log."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

import click

SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def show_progress(label: str, total: int, stream: TextIO) -> Iterator[Callable[[int, int], None]]:
    """Yields a function of (done, total) to be called as often as one likes; it may correct the `total` given here."""
    if stream.isatty():
        with click.progressbar(length=total, label=label, file=stream, show_pos=True) as bar:
            def draw(done: int, total: int) -> None:
                bar.length = total  # not every caller knows it beforehand
                bar.update(done - bar.pos)

            yield draw
        return
    start = last = time.monotonic()

    def write(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES or done == total:
            last = now
            stream.write(f"{label}: {done} of {total} ({100 * done // total} %), {now - start:.0f} s\n")
            stream.flush()

    yield write
