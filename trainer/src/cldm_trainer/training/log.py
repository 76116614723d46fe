"""What can be watched while a stage is trained: a progress bar or log lines, CSV files, TensorBoard, pictures."""

import csv
import importlib.util
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from cldm_runtime.files.atomic import whole_stream

_SECONDS_BETWEEN_LINES = 30.0


class Records:
    """Writes into <stage folder>. Rows of a previous attempt beyond `first_step` are dropped on opening."""

    def __init__(self, folder: Path, first_step: int, steps: int, writes: bool = True) -> None:
        self.folder, self.first_step, self.steps, self.writes = folder, first_step, steps, writes
        silent = not (writes and sys.stderr.isatty())
        self._bar = tqdm(total=steps, initial=first_step, desc=folder.name, unit="step", disable=silent)
        self._started = self._spoken = time.monotonic()
        self._paused = 0.0
        self._board: Any = None
        if writes:
            for name in ("log.csv", "validation.csv"):
                _drop_rows(folder / name, first_step)
            if importlib.util.find_spec("tensorboard") is not None:
                from torch.utils.tensorboard import SummaryWriter  # optional, and slow to import
                self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=first_step + 1)

    def __enter__(self) -> "Records":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
        if self._board is not None:
            self._board.close()

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
        path.parent.mkdir(exist_ok=True)
        with whole_stream(path) as stream:
            Image.fromarray(pixels).save(stream, format="PNG")

    def _write(self, name: str, step: int, figures: Mapping[str, float], group: str) -> None:
        path = self.folder / name
        columns = ["step", *figures]
        if path.exists():
            with path.open(newline="", encoding="utf-8") as stream:
                columns = next(csv.reader(stream), columns)
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as stream:
            # A part that begins later (an adversarial loss) has no column: it is in TensorBoard.
            writer = csv.DictWriter(stream, columns, extrasaction="ignore")
            if new:
                writer.writeheader()
            writer.writerow({"step": step, **{key: f"{value:.6g}" for key, value in figures.items()}})
        if self._board is not None:
            for key, value in figures.items():
                self._board.add_scalar(f"{group}/{key}", value, step)


def _drop_rows(path: Path, first_step: int) -> None:
    if not path.exists():
        return
    with path.open(newline="", encoding="utf-8") as stream:
        header, *rows = csv.reader(stream)
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *(row for row in rows if int(row[0]) <= first_step)])


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
