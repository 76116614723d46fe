"""A run shared out among machines: each does a shard of its parts, into one folder that all of them see.

Shard i of K is a run of neighbouring parts. What is committed to the folder `<out>.parts` is all that the machines know
of each other: a shard that is done twice, even at once, is done once, and whoever merges finds out what is missing.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ..errors import InputError

Item = TypeVar("Item")
_INDICES = ("SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX")  # of Slurm's array jobs and Kubernetes' Indexed Jobs


@dataclass(frozen=True)
class Shard:
    """Shard `number`, 0 .. count - 1, of `count`."""

    number: int
    count: int

    def of(self, items: Sequence[Item]) -> Sequence[Item]:
        """Its share of a list: neighbours, and the shards differ in length by one at most."""
        return items[len(items) * self.number // self.count:len(items) * (self.number + 1) // self.count]

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def parse_shard(text: str) -> Shard:
    """A shard from "I/K". Raises InputError."""
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if match is None or not 0 <= int(match[1]) < int(match[2]):
        raise InputError(f"--shard {text}: expected I/K with I from 0 to K - 1, for example 0/16.")
    return Shard(int(match[1]), int(match[2]))


def shard_of_this_task(count: int, environment: Mapping[str, str] = os.environ) -> Shard:
    """Of so many shards the one whose index Slurm or Kubernetes has set. Raises InputError where none is set, or one
    that is no shard."""
    for name in _INDICES:
        if name in environment:
            text = environment[name]
            if not text.isdecimal() or int(text) >= count:
                raise InputError(f"--shards {count}: {name} is {text}, expected 0 to {count - 1}. Number the array "
                                 f"from 0, for example --array=0-{count - 1}, or pass --shard I/{count}.")
            return Shard(int(text), count)
    raise InputError(f"--shards {count}: neither {' nor '.join(_INDICES)} is set, which say which shard to do. Run it "
                     f"in an array job, or pass --shard I/{count} with I from 0 to {count - 1}.")


def as_ranges(numbers: Sequence[int]) -> str:
    """Rising numbers as Slurm writes arrays: [0, 1, 2, 7] is "0-2,7"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
