"""How much processor time Linux leaves to the control group of this process, and to the groups that it lies in.

A container, a systemd unit with CPUQuota and a job of a cluster each run in such a group. Version 2 of the interface
has one tree of groups, version 1 one for each resource; both may be mounted, and a container may see its group as the
root of the tree.
"""

import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

_GROUPS, _MOUNTS = Path("/proc/self/cgroup"), Path("/proc/self/mountinfo")
_USUAL = [(path, "/") for path in ("/sys/fs/cgroup", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct")]


def quota_cores(groups: Path = _GROUPS, mounts: Path = _MOUNTS, usual: list[tuple[str, str]] = _USUAL) -> float:
    """Cores' worth of time, the least of all groups that the process lies in; infinite where there is no limit.

    usual: (folder, root) of trees that are looked at whether or not `mounts` names them.
    """
    quotas = [_quota(folder) for mount, root in dict.fromkeys([*_trees(mounts), *usual])
              for group in {"/", *_own_groups(groups)} for folder in _folders(Path(mount), root, group)]
    return min(quotas, default=math.inf)


def _own_groups(groups: Path) -> Iterator[str]:
    """The group in each tree that may limit processor time: lines such as 4:cpu,cpuacct:/docker/1f and 0::/user."""
    for line in _lines(groups):
        _, controllers, group = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
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


def _cores(quota: float, period: float) -> float:
    return quota / period if quota > 0 and period > 0 else math.inf


def _lines(path: Path) -> list[str]:
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text().splitlines()
    return []
