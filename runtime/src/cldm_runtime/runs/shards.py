"""A run shared among machines: each does a shard of its parts, in one folder that all of them see.

Shard i of K is a sequence of neighbouring parts. Workers communicate only through finished files in the folder
`<out>.parts`. If two machines do the same shard, the second result replaces the first with identical bytes. The merge
finds missing parts.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ..errors import InputError

Item = TypeVar("Item")
_INDICES = ("SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX")  # set by Slurm's array jobs and Kubernetes' Indexed Jobs


@dataclass(frozen=True)
class Shard:
    """Shard `number`, 0 .. count - 1, of `count`."""

    number: int
    count: int

    def of(self, items: Sequence[Item]) -> Sequence[Item]:
        """The shard's part of a list: neighbouring items. Shards differ in length by one at most."""
        return items[len(items) * self.number // self.count:len(items) * (self.number + 1) // self.count]

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def parse_shard(text: str) -> Shard:
    """A shard from "I/K". Raises InputError."""
    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    if match is None or not 0 <= int(match[1]) < int(match[2]):
        raise InputError(f"--shard {text}: expected I/K with I from 0 to K - 1, for example 0/16.")
    return Shard(int(match[1]), int(match[2]))


def shard_of_this_task(count: int, environment: Mapping[str, str] = os.environ) -> Shard:
    """The shard, of `count`, whose index Slurm or Kubernetes has set. Raises InputError if no index is set, or if it is
    out of range."""
    for name in _INDICES:
        if name in environment:
            text = environment[name]
            if not re.fullmatch("[0-9]{1,9}", text) or int(text) >= count:
                raise InputError(f"--shards {count}: {name} is {text}, expected 0 to {count - 1}. Number the array "
                                 f"from 0, for example --array=0-{count - 1}, or pass --shard I/{count}.")
            return Shard(int(text), count)
    raise InputError(f"--shards {count}: neither {' nor '.join(_INDICES)} is set, which say which shard to do. Run it "
                     f"in an array job, or pass --shard I/{count} with I from 0 to {count - 1}.")


def as_ranges(numbers: Sequence[int]) -> str:
    """Increasing numbers in Slurm's notation for arrays: [0, 1, 2, 7] is "0-2,7"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
