"""Lines on stderr while an export is busy, on a terminal and off it."""

import contextlib
import threading
import time

import click

SECONDS_BETWEEN_LINES = 10.0


class BusyLines:
    """While it is open, a line every ten seconds says what is being done and for how long. Call it with what is done
    next."""

    def __init__(self, what: str, seconds: float = SECONDS_BETWEEN_LINES) -> None:
        self._what, self._seconds, self._now = what, seconds, "reading"
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._speak, daemon=True)

    def __call__(self, now: str) -> None:
        self._now = now

    def __enter__(self) -> "BusyLines":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _speak(self) -> None:
        start = time.monotonic()
        while not self._done.wait(self._seconds):
            with contextlib.suppress(OSError, ValueError, AttributeError):  # a lost terminal does not stop the work
                click.echo(f"{self._what}: {self._now}, {time.monotonic() - start:.0f} s so far", err=True)
