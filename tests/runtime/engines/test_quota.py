"""Limits on processor time: both versions of control groups, groups within groups, and what a container sees."""

import math
from pathlib import Path

import pytest

from cldm_runtime.engines.quota import memory_limit_bytes, quota_cores

V1, V2 = "4:cpu,cpuacct:/job/task\n1:pids:/other\n", "0::/job/task\n"


def cores(folder: Path, groups: str, mounts: str = "", **files: str) -> float:
    """With these files, / written as __, in the tree at <folder>/cg, and these lines of /proc/self."""
    for name, text in files.items():
        path = folder / "cg" / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / path.name.replace("cpu_", "cpu.", 1)).write_text(text)
    (folder / "groups").write_text(groups)
    (folder / "mounts").write_text(mounts.replace("CG", str(folder / "cg")))
    return quota_cores(folder / "groups", folder / "mounts", [] if mounts else [(str(folder / "cg"), "/")])


@pytest.mark.parametrize(("text", "expected"), [("150000 100000", 1.5), ("max 100000", math.inf), ("", math.inf),
                                                ("5 0", math.inf), ("1 2 3", math.inf)])
def test_version_2(tmp_path: Path, text: str, expected: float) -> None:
    assert cores(tmp_path, V2, job__task__cpu_max=text) == expected


@pytest.mark.parametrize(("quota", "expected"), [("250000", 2.5), ("-1", math.inf)])
def test_version_1(tmp_path: Path, quota: str, expected: float) -> None:
    assert cores(tmp_path, V1, job__task__cpu_cfs_quota_us=quota, job__task__cpu_cfs_period_us="100000") == expected


def test_the_least_of_the_groups_around_counts(tmp_path: Path) -> None:
    assert cores(tmp_path, V2, cpu_max="800000 100000", job__cpu_max="200000 100000",
                 job__task__cpu_max="400000 100000") == 2


def test_the_groups_of_others_do_not_count(tmp_path: Path) -> None:
    assert cores(tmp_path, V2, other__cpu_max="100000 100000") == math.inf


def test_a_container_sees_its_group_as_the_root(tmp_path: Path) -> None:
    mounts = "31 23 0:28 /job CG rw - cgroup2 cgroup rw\n"
    assert cores(tmp_path, V2, mounts, task__cpu_max="50000 100000") == 0.5
    assert cores(tmp_path, "0::/../other\n", mounts, cpu_max="300000 100000") == 3


def test_without_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert quota_cores(tmp_path / "none", tmp_path / "none", [(str(tmp_path), "/")]) == math.inf


@pytest.mark.parametrize(("name", "text", "expected"), [
    ("memory.max", "1073741824", 2**30), ("memory.max", "max", math.inf), ("memory.limit_in_bytes", "2048", 2048),
    ("memory.limit_in_bytes", "9223372036854771712", math.inf)])
def test_the_least_memory_of_the_groups_around_counts(tmp_path: Path, name: str, text: str, expected: float) -> None:
    (tmp_path / "cg" / "job" / "task").mkdir(parents=True)
    (tmp_path / "cg" / "job" / name).write_text(text)
    (tmp_path / "groups").write_text("0::/job/task\n")
    (tmp_path / "mounts").write_text("")
    assert memory_limit_bytes(tmp_path / "groups", tmp_path / "mounts", [(str(tmp_path / "cg"), "/")]) == expected
