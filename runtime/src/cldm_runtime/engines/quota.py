"""How much processor time and memory Linux leaves to the control group of this process and the groups it lies in.

A container, a systemd unit with CPUQuota and a job of a cluster each run in such a group. Version 2 of the interface
has one tree of groups, version 1 one for each resource; both may be mounted, and a container may see its group as the
root of the tree.
"""

import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

_GROUPS, _MOUNTS = Path("/proc/self/cgroup"), Path("/proc/self/mountinfo")
_USUAL = [(path, "/") for path in ("/sys/fs/cgroup", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct",
                                   "/sys/fs/cgroup/memory")]
_NO_LIMIT = 2**60  # bytes: version 1 states a number near 2**63 where there is none


def quota_cores(groups: Path = _GROUPS, mounts: Path = _MOUNTS, usual: list[tuple[str, str]] = _USUAL) -> float:
    """Cores' worth of time, the least of all groups that the process lies in; infinite where there is no limit.

    usual: (folder, root) of trees that are looked at whether or not `mounts` names them.
    """
    return min(map(_quota, _all_folders(groups, mounts, usual, "cpu")), default=math.inf)


def memory_limit_bytes(groups: Path = _GROUPS, mounts: Path = _MOUNTS,
                       usual: list[tuple[str, str]] = _USUAL) -> float:
    """The most memory that all processes of the group may take together; infinite where there is no limit."""
    return min(map(_memory, _all_folders(groups, mounts, usual, "memory")), default=math.inf)


def _all_folders(groups: Path, mounts: Path, usual: list[tuple[str, str]], controller: str) -> Iterator[Path]:
    for mount, root in dict.fromkeys([*_trees(mounts), *usual]):
        for group in {"/", *_own_groups(groups, controller)}:
            yield from _folders(Path(mount), root, group)


def _own_groups(groups: Path, controller: str) -> Iterator[str]:
    """The group in each tree that may limit cpu or memory: lines such as 4:cpu,cpuacct:/docker/1f and 0::/user."""
    for line in _lines(groups):
        _, controllers, group = line.split(":", 2)
        if not controllers or controller in controllers.split(","):
            yield group


def _trees(mounts: Path) -> Iterator[tuple[str, str]]:
    """(folder, group that is seen there) of each mounted tree."""
    for line in _lines(mounts):
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()[:1]
        if kind in (["cgroup"], ["cgroup2"]):
            yield fields[4], fields[3]


def _folders(mount: Path, root: str, group: str) -> Iterator[Path]:
    """Folders of a group and of those around it, as far as they are seen below the mount."""
    path = PurePosixPath(group)
    inside = path.relative_to(root) if path.is_relative_to(root) else PurePosixPath(".")
    if ".." not in inside.parts:  # of a process that was moved out of the tree that it sees
        yield from (mount / part for part in (inside, *inside.parents))


def _quota(folder: Path) -> float:
    """Of one group: cpu.max of version 2, "max" or a negative number meaning none; two files of version 1."""
    with suppress(OSError, ValueError):
        quota, period = (folder / "cpu.max").read_text().split()
        return _cores(float(quota), float(period)) if quota != "max" else math.inf
    with suppress(OSError, ValueError):
        quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return _cores(float(quota), float(period))
    return math.inf


def _memory(folder: Path) -> float:
    """Of one group: memory.max of version 2, memory.limit_in_bytes of version 1."""
    for name in ("memory.max", "memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            limit = float((folder / name).read_text())
            return limit if limit < _NO_LIMIT else math.inf
    return math.inf


def _cores(quota: float, period: float) -> float:
    return quota / period if quota > 0 and period > 0 else math.inf


def _lines(path: Path) -> list[str]:
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text().splitlines()
    return []
