"""Work on a file that is cut into parts, each committed by itself: resumed when it was stopped, shared among machines.

While a run is under way its finished parts lie in a folder beside its file, with the plan that they are of. A run that
was stopped or killed is resumed by doing the parts that are missing. What is committed to that folder is all that
processes and machines know of each other: a part that is done twice, even at once, is done once.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self

from ..errors import CldmError, InputError

Progress = Callable[[int, int], None]  # (samples done, samples in all)
PLAN_FILE, LAYOUT_FILE = "plan.json", "parts.json"
PART_SAMPLES = 64  # about: some seconds of work
_PARTS = 16  # of a short run, so that as many workers have something to do
_MERGED_AT_ONCE = 4  # so that catching up with the parts of an earlier run keeps no worker waiting for long


class Part(NamedTuple):
    """A part of a run: its number, its file, and the samples that it holds."""

    number: int
    path: Path
    samples: range


class Merge(ABC):
    """Puts parts together, in their order, while others are still being written."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts, self._ready, self._next = parts, set[int](), 0

    def add(self, committed: Iterable[Part]) -> None:
        """Some parts are there. Copies a few of those whose turn it is."""
        self._ready.update(part.number for part in committed)
        for _ in range(_MERGED_AT_ONCE):
            self._copy_next()

    def finish(self) -> None:
        """All parts are there. Copies those that are left."""
        while self._copy_next():
            pass

    @abstractmethod
    def copy(self, part: Part) -> None:
        """Append a part to what is there."""

    def _copy_next(self) -> bool:
        if self._next not in self._ready:
            return False
        self.copy(self._parts[self._next])
        self._next += 1
        return True


class Run(ABC):
    """Work on the file `out`. `text` is the plan: everything that decides the content, and nothing else."""

    out: Path  # the file that is made, or completed
    suffix = ".h5"  # of a part's file

    @property
    @abstractmethod
    def stem(self) -> Path:
        """What the names of files beside `out` begin with that belong to the run."""

    @property
    @abstractmethod
    def text(self) -> str:
        """The plan as JSON."""

    @property
    @abstractmethod
    def ranges(self) -> Sequence[range]:
        """The samples of each part, in order."""

    @property
    @abstractmethod
    def on_gpu(self) -> bool:
        """Whether the work of one process takes a GPU; else it takes a core."""

    @property
    @abstractmethod
    def bytes_needed(self) -> int:
        """Free space that the run takes at most."""

    @property
    @abstractmethod
    def how_to_go_on(self) -> str:
        """What to do after it was stopped: a sentence."""

    @abstractmethod
    def is_finished(self) -> bool:
        """Whether `out` holds the result. Raises InputError where it holds that of another plan."""

    @abstractmethod
    def for_workers(self, count: int) -> Self:
        """The run as one of so many processes does it."""

    @abstractmethod
    def absolute(self) -> Self:
        """The run as a process in another current folder does it."""

    @abstractmethod
    def altered(self) -> CldmError:
        """What to raise where a process finds another plan than the run began with."""

    @abstractmethod
    def is_committed(self, part: Part) -> bool:
        """Whether the part's file is there, of this plan, and as it was written; else it is to be done again."""

    @abstractmethod
    def write_part(self, part: Part, done: Callable[[int], None]) -> None:
        """Do a part and commit it. done: called after every batch, with its number of samples."""

    @abstractmethod
    def merging(self, parts: Sequence[Part]) -> AbstractContextManager[Merge]:
        """What puts the parts together; the result is there when it is left without an error."""

    @property
    @abstractmethod
    def samples(self) -> int:
        """How many there are in all; known at once, also where they are far too many."""

    @property
    def folder(self) -> Path:
        """Where the finished parts lie."""
        return self.stem.with_name(f"{self.stem.name}.parts")

    @property
    def parts(self) -> list[Part]:
        return [Part(number, self.folder / f"part-{number:05d}{self.suffix}", samples)
                for number, samples in enumerate(self.ranges)]

    @cached_property
    def sha256(self) -> str:
        """Of the plan: the run's identity."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def plan_file(self) -> Path:
        return self.folder / PLAN_FILE

    @property
    def kept(self) -> str:
        count = sum(len(part.samples) for part in self.parts if part.path.exists())
        return f"{count} of {self.samples} samples are kept in {self.folder}. {self.how_to_go_on}"

    def refuse_other_plan(self) -> None:
        """Raises InputError where the folder holds parts of another plan."""
        path = self.plan_file
        stored = path.read_text(encoding="utf-8", errors="replace") if path.exists() else self.text
        if stored != self.text:
            raise InputError(f"{self.folder}: holds an unfinished run of another plan: "
                             f"{differences(stored, self.text)}. Repeat its flags to resume it, or pass --overwrite to "
                             "start anew.")


def cut(samples: int, batch: int, whole: int, at_once: int = PART_SAMPLES) -> list[range]:
    """The samples of each part: every part but the last holds the same number of whole batches and, where that is not
    too many, a multiple of `whole` samples. at_once: samples that a block of memory holds; a part of large ones has no
    more than that, or one batch."""
    most = min(PART_SAMPLES, at_once)
    unit = whole if whole <= most else batch
    size = unit * max(1, min(most, samples // _PARTS) // unit)
    return [range(start, min(start + size, samples)) for start in range(0, samples, size)]


def differences(stored: str, current: str) -> str:
    """Where a plan found on disk differs from the one here, both as JSON."""
    before, now = read_plan(stored), read_plan(current)
    if not before:
        return "its plan cannot be read"
    keys = [key for key in sorted({*before, *now}) if before.get(key) != now.get(key)]
    return ", ".join(f"{key} was {before.get(key)}, now {now.get(key)}" for key in keys) or "another version wrote it"


def plan_under_way(folder: Path) -> dict[str, Any]:
    """The plan of an unfinished run, by its folder of parts; empty where there is none that can be read."""
    with suppress(OSError, UnicodeDecodeError):
        return read_plan((folder / PLAN_FILE).read_text(encoding="utf-8"))
    return {}


def read_plan(text: str) -> dict[str, Any]:
    """A plan from its JSON; empty where it is none."""
    with suppress(ValueError):
        plan = json.loads(text)
        return plan if isinstance(plan, dict) else {}
    return {}
