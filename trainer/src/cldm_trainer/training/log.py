"""What can be watched while a stage is trained: a progress bar or log lines, CSV files, TensorBoard, pictures."""

import csv
import errno
import importlib.util
import io
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from cldm_runtime.files.atomic import whole_stream, write_bytes

_SECONDS_BETWEEN_LINES = 30.0


class Records:
    """Writes into <stage folder>. Rows of a previous attempt beyond `first_step` are dropped on opening.

    What cannot be written (a full disk, no right to write) ends no training: one warning for each file, and the
    following rows and pictures are tried again.
    """

    def __init__(self, folder: Path, first_step: int, steps: int, writes: bool = True) -> None:
        self.folder, self.first_step, self.steps, self.writes = folder, first_step, steps, writes
        silent = not (writes and sys.stderr.isatty())
        self._bar = tqdm(total=steps, initial=first_step, desc=folder.name, unit="step", disable=silent)
        self._started = self._spoken = time.monotonic()
        self._paused = 0.0
        self._board: Any = None
        self._hook = threading.excepthook
        self._warned: set[str] = set()
        if writes:
            for name in ("log.csv", "validation.csv"):
                with self._going_on(name):
                    _drop_rows(folder / name, first_step)
            if importlib.util.find_spec("tensorboard") is not None:
                from torch.utils.tensorboard import SummaryWriter  # optional, and slow to import
                self._hook, threading.excepthook = threading.excepthook, _without_board(threading.excepthook)
                with self._going_on("tensorboard"):
                    self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=first_step + 1)

    def __enter__(self) -> "Records":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
        if self._board is not None:
            with self._going_on("tensorboard"):
                self._board.close()
        threading.excepthook = self._hook

    @contextmanager
    def _going_on(self, name: str) -> Iterator[None]:
        """What cannot be written into the stage's folder is a warning, once."""
        try:
            yield
        except OSError as error:
            if name not in self._warned:
                tqdm.write(f"Warning: {self.folder / name} cannot be written ({error.strerror or error}). Training "
                           "goes on without it.", file=sys.stderr)
            self._warned.add(name)

    def count(self, step: int) -> None:
        self._bar.update(step - self._bar.n)

    def pause(self, seconds: float) -> None:
        """Time that was not spent on training steps."""
        self._paused += seconds

    def training(self, step: int, figures: Mapping[str, float]) -> None:
        seconds = time.monotonic() - self._started
        pace = (seconds - self._paused) / max(step - self.first_step, 1)
        self._write("log.csv", step, {"seconds": seconds, "seconds_per_step": pace, **figures}, "train")
        due = time.monotonic() - self._spoken > _SECONDS_BETWEEN_LINES or step == self.steps
        if self.writes and self._bar.disable and due:
            self._spoken = time.monotonic()
            left = pace * (self.steps - step) / 60.0
            print(f"{self.folder.name}: step {step}/{self.steps}, {_spell(figures)}, {pace:.2f} s/step, "
                  f"{left:.0f} min left", file=sys.stderr, flush=True)

    def validation(self, step: int, figures: Mapping[str, float]) -> None:
        self._write("validation.csv", step, figures, "val")
        tqdm.write(f"{self.folder.name}: step {step}, validation: {_spell(figures)}", file=sys.stderr)

    def picture(self, step: int, pixels: NDArray[np.uint8]) -> None:
        path = self.folder / "samples" / f"{step:07d}.png"
        with self._going_on("samples"):
            path.parent.mkdir(exist_ok=True)
            with whole_stream(path) as stream:
                Image.fromarray(pixels).save(stream, format="PNG")

    def _write(self, name: str, step: int, figures: Mapping[str, float], group: str) -> None:
        row = {"step": str(step)} | {key: f"{value:.6g}" for key, value in figures.items()}
        with self._going_on(name):
            _append_row(self.folder / name, row)
        if self._board is not None:
            with self._going_on("tensorboard"):
                for key, value in figures.items():
                    self._board.add_scalar(f"{group}/{key}", value, step)


def _without_board(hook: Callable[[threading.ExceptHookArgs], object]) -> Callable[[threading.ExceptHookArgs], None]:
    """A hook that leaves out what TensorBoard's own thread cannot write: that is raised again where a row is added, and
    is told there, in a line instead of a traceback."""
    def told(raised: threading.ExceptHookArgs) -> None:
        of_board = type(raised.thread).__module__.startswith("tensorboard.")
        if not (of_board and isinstance(raised.exc_value, OSError)):
            hook(raised)

    return told


def _append_row(path: Path, row: Mapping[str, str]) -> None:
    """Add a row whole, or leave the file as it is. Raises OSError."""
    with path.open("a+b", buffering=0) as stream:
        end = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        # A part that begins later (an adversarial loss) has no column: it is in TensorBoard.
        columns = next(csv.reader([stream.readline().decode()]), []) or list(row)
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, columns, extrasaction="ignore")
        if not end:
            writer.writeheader()
        writer.writerow(row)
        data = text.getvalue().encode()
        try:
            if stream.write(data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            stream.truncate(end)
            raise


def _drop_rows(path: Path, first_step: int) -> None:
    """Keep the rows up to a step, and no row that was cut off. Raises OSError, and leaves the file as it is then."""
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    whole = [line for line in lines if line.endswith("\n")]  # the last one may be cut off
    header, *rows = [*csv.reader(whole)] or [[]]
    kept = [row for row in rows if len(row) == len(header) and row[0].isdecimal() and int(row[0]) <= first_step]
    if header and len(kept) == len(lines) - 1:
        return
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, *kept] if header else [])
    write_bytes(path, text.getvalue().encode())


def _spell(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{key} {value:.4g}" for key, value in figures.items())


def montage(rows: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Rows of (N, H, W) or (N, H, W, 3) pictures -> one RGB picture, N columns."""
    coloured = [row if row.ndim == 4 else np.repeat(row[..., None], 3, axis=-1) for row in rows]
    return np.concatenate([np.concatenate(list(row), axis=1) for row in coloured], axis=0)


def planes(maps: NDArray[Any]) -> NDArray[Any]:
    """(N, *spatial) -> (N, H, W): the middle slice of a volume along its first axis, a slice as it is."""
    return maps if maps.ndim == 3 else maps[:, maps.shape[1] // 2]


def grey(images: NDArray[np.floating]) -> NDArray[np.uint8]:
    """(N, C, *spatial) in [0, 1] -> (N, H, W) bytes: the first channel, of a volume its middle slice."""
    return np.asarray(np.round(255.0 * np.clip(planes(images[:, 0]), 0.0, 1.0)), dtype=np.uint8)
