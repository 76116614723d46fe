"""A run: work on one file, cut into parts that are committed one by one, so it can be resumed and shared.

The finished parts and their plan lie in a folder next to the file. A run that was stopped or killed is resumed by doing
the missing parts. Workers communicate only through finished files in that folder. If two workers do the same part, the
second result replaces the first with identical bytes.
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
PART_SAMPLES = 64  # about; a few seconds of work
_PARTS = 16  # of a short run, which gives work to as many workers
_MERGED_AT_ONCE = 4  # few, so that no worker waits long while the parts of an earlier run are merged


class Part(NamedTuple):
    """A part of a run: its number, its file, and its samples."""

    number: int
    path: Path
    samples: range


class Merge(ABC):
    """Merges parts, in their order, while others are still being written."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts, self._ready, self._next = parts, set[int](), 0

    def add(self, committed: Iterable[Part]) -> None:
        """Mark parts as committed, and copy a few of those that are next in order."""
        self._ready.update(part.number for part in committed)
        for _ in range(_MERGED_AT_ONCE):
            self._copy_next()

    def finish(self) -> None:
        """Copy the remaining parts. All are committed."""
        while self._copy_next():
            pass

    @abstractmethod
    def copy(self, part: Part) -> None:
        """Append a part to the result."""

    def _copy_next(self) -> bool:
        if self._next not in self._ready:
            return False
        self.copy(self._parts[self._next])
        self._next += 1
        return True


class Run(ABC):
    """Work on the file `out`. `text` is the plan: everything that determines the content, and nothing else."""

    out: Path  # the file that is made, or extended
    suffix = ".h5"  # of a part's file

    @property
    @abstractmethod
    def stem(self) -> Path:
        """The path whose name begins the names of the run's other files, next to `out`."""

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
        """Free disk space that the run takes at most."""

    @property
    @abstractmethod
    def how_to_go_on(self) -> str:
        """A sentence for the user: how to resume the run after it was stopped."""

    @abstractmethod
    def is_finished(self) -> bool:
        """Whether `out` has the result. Raises InputError if it has the result of another plan."""

    @abstractmethod
    def for_workers(self, count: int) -> Self:
        """The run for one of `count` processes that share the machine."""

    @abstractmethod
    def absolute(self) -> Self:
        """The run with absolute paths, for a process in another current folder."""

    @abstractmethod
    def altered(self) -> CldmError:
        """The error to raise if a process computes another plan than the run was started with."""

    @abstractmethod
    def is_committed(self, part: Part) -> bool:
        """Whether the part's file exists, belongs to this plan and is unchanged. If not, the part is done again."""

    @abstractmethod
    def write_part(self, part: Part, done: Callable[[int], None]) -> None:
        """Do a part and commit it. done: called after each batch with its number of samples."""

    @abstractmethod
    def merging(self, parts: Sequence[Part]) -> AbstractContextManager[Merge]:
        """The merge of the parts. The result is complete when the block ends without an error."""

    @property
    @abstractmethod
    def samples(self) -> int:
        """Number of samples in all, computed without listing them."""

    @property
    def folder(self) -> Path:
        """The folder of the finished parts."""
        return self.stem.with_name(f"{self.stem.name}.parts")

    @property
    def parts(self) -> list[Part]:
        return [Part(number, self.folder / f"part-{number:05d}{self.suffix}", samples)
                for number, samples in enumerate(self.ranges)]

    @cached_property
    def sha256(self) -> str:
        """Digest of the plan: the run's identity."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def plan_file(self) -> Path:
        return self.folder / PLAN_FILE

    @property
    def kept(self) -> str:
        """A sentence for the user: how many samples are done, where they are, and how to resume."""
        count = sum(len(part.samples) for part in self.parts if part.path.exists())
        return f"{count} of {self.samples} samples are kept in {self.folder}. {self.how_to_go_on}"

    def refuse_other_plan(self) -> None:
        """Raises InputError if the folder has parts of another plan."""
        path = self.plan_file
        stored = path.read_text(encoding="utf-8", errors="replace") if path.exists() else self.text
        if stored != self.text:
            raise InputError(f"{self.folder}: holds an unfinished run of another plan: "
                             f"{differences(stored, self.text)}. Repeat its flags to resume it, or pass --overwrite to "
                             "start again.")


def cut(samples: int, batch: int, whole: int, at_once: int = PART_SAMPLES) -> list[range]:
    """The samples of each part. All parts but the last have the same number of whole batches and, unless `whole` is too
    large, a multiple of `whole` samples. at_once: samples that fit in a block of memory; a part has at most that many,
    or one batch."""
    most = min(PART_SAMPLES, at_once)
    unit = whole if whole <= most else batch
    size = unit * max(1, min(most, samples // _PARTS) // unit)
    return [range(start, min(start + size, samples)) for start in range(0, samples, size)]


def differences(stored: str, current: str) -> str:
    """The differences of the stored plan and the current one, both as JSON, in words."""
    before, now = read_plan(stored), read_plan(current)
    if not before:
        return "its plan cannot be read"
    keys = [key for key in sorted({*before, *now}) if before.get(key) != now.get(key)]
    return ", ".join(f"{key} was {before.get(key)}, now {now.get(key)}" for key in keys) or "another version wrote it"


def plan_under_way(folder: Path) -> dict[str, Any]:
    """The plan of an unfinished run, from its folder of parts; empty if none can be read."""
    with suppress(OSError, UnicodeDecodeError):
        return read_plan((folder / PLAN_FILE).read_text(encoding="utf-8"))
    return {}


def read_plan(text: str) -> dict[str, Any]:
    """A plan from its JSON; empty if the text is not a JSON object."""
    with suppress(ValueError):
        plan = json.loads(text)
        return plan if isinstance(plan, dict) else {}
    return {}
