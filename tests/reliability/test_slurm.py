"""Runs with --engine slurm on a Slurm of this module's own: array jobs, tasks that are lost, and merges."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

NODE = Path(__file__).with_name("slurm_node.py")
CANNOT_BE = 3  # how that script ends where Slurm is not installed
SHARDS = ("--shards", "4")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """In which commands of Slurm's reach a node of four CPUs."""
    command = [sys.executable, str(NODE), str(tmp_path_factory.mktemp("slurm"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as node:
        configuration = node.stdout.readline().strip()
        if not configuration:
            reason = node.communicate()[1].strip()
            pytest.skip(reason) if node.returncode == CANNOT_BE else pytest.fail(reason)
        yield {**os.environ, "SLURM_CONF": configuration}
        assert node.communicate()[1] == "" and node.returncode == 0


class Cluster:
    """Commands in a folder which the node sees too."""

    def __init__(self, environment: dict[str, str], bundle: Path, folder: Path) -> None:
        self.environment, self.bundle, self.folder, self.out = environment, bundle, folder, folder / "a.h5"
        (folder / "grid.csv").write_text("infarct_size\n0.1\n0.2\n")

    def told(self, *command: str) -> str:
        return subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True,
                              check=True).stdout

    def cldm(self, *arguments: str) -> str:
        return self.told(sys.executable, "-m", "cldm_runtime", *arguments, "--workers", "1")

    def gen(self, samples: int, out: str = "a.h5") -> tuple[str, ...]:
        return ("gen", "--n", str(samples), "--attributes", "grid.csv", "--bundle", str(self.bundle), "--batch-size",
                "4", "--seed", "3", "--out", out)

    def one_process(self, samples: int) -> bytes:
        self.cldm(*self.gen(samples, "one.h5"))
        return (self.folder / "one.h5").read_bytes()

    def submit(self, *command: str) -> tuple[str, str]:
        """The numbers of the array job and the merge."""
        first, second = re.findall(r"\d+", self.cldm(*command, "--engine", "slurm", *SHARDS, "--submit"))
        return first, second

    def missing(self, samples: int) -> str:
        """The shards that --status tells of, as sbatch takes them."""
        return re.findall(r"--array=(\S+)", self.cldm(*self.gen(samples), "--status", *SHARDS))[0]

    def wait_for_the_end_of(self, job: str) -> None:
        wait(lambda: not self.told("squeue", "--noheader", "--jobs", job))

    def kill(self, task: str) -> None:
        """kill -9 of the process itself: scancel --signal=KILL is preceded by SIGTERM."""
        job = self.told("squeue", "--noheader", "--format=%A", "--jobs", task).strip()
        pids = [line.split() for line in self.told("scontrol", "listpids", job).splitlines()]
        os.kill(next(int(pid) for pid, _, step, place, _ in pids if (step, place) == ("batch", "0")), signal.SIGKILL)

    def requeue(self, task: str) -> None:
        """As Slurm does itself where a node is lost."""
        self.told("scontrol", "requeue", task)

    def parts(self) -> list[int]:
        """Those that are committed."""
        return [int(path.stem[-5:]) for path in self.out.with_name("a.h5.parts").glob("part-?????.h5")]

    def tasks(self, job: str) -> list[int]:
        """Those that began, by their logs."""
        return sorted(int(path.stem.rpartition("_")[2]) for path in self.folder.glob(f"a.h5.{job}_*.log"))

    def done_by(self, task: str) -> int:
        """Parts that a task did itself, of those of its shard."""
        return int(re.findall(r"(\d+) of them done now", (self.folder / f"a.h5.{task}.log").read_text())[0])


@pytest.fixture
def cluster(environment: dict[str, str], tiny_generator: Path, tmp_path: Path) -> Cluster:
    return Cluster(environment, tiny_generator, tmp_path)


def wait(ready: Callable[[], object]) -> None:
    end = time.monotonic() + 120
    while not ready():
        assert time.monotonic() < end, "Slurm is not done"
        time.sleep(0.05)


def test_array_jobs_and_their_merges_give_the_bytes_of_one_process(cluster: Cluster, tiny_segmenter: Path) -> None:
    array, merge = cluster.submit(*cluster.gen(64))
    cluster.wait_for_the_end_of(merge)
    assert cluster.tasks(array) == [0, 1, 2, 3] and cluster.out.read_bytes() == cluster.one_process(64)
    _, merge = cluster.submit("evaluate", "a.h5", "--segmenter", str(tiny_segmenter))
    cluster.wait_for_the_end_of(merge)
    cluster.cldm("evaluate", "one.h5", "--segmenter", str(tiny_segmenter))
    assert cluster.out.read_bytes() == (cluster.folder / "one.h5").read_bytes()
    assert not list(cluster.folder.glob("*.parts"))


def test_a_task_that_was_cancelled_is_told_and_done_by_submitting_again(cluster: Cluster) -> None:
    """The partition is closed until the task is cancelled, so that it has not begun."""
    cluster.told("scontrol", "update", "PartitionName=all", "State=DOWN")
    array, _ = cluster.submit(*cluster.gen(64))
    cluster.told("scancel", f"{array}_2")
    cluster.told("scontrol", "update", "PartitionName=all", "State=UP")
    cluster.wait_for_the_end_of(array)
    assert cluster.missing(64) == "2" and cluster.tasks(array) == [0, 1, 3] and not cluster.out.exists()
    array, merge = cluster.submit(*cluster.gen(64))
    cluster.wait_for_the_end_of(merge)
    assert cluster.tasks(array) == [2] and cluster.out.read_bytes() == cluster.one_process(64)


def test_a_task_that_was_killed_is_missing_and_one_that_was_requeued_is_not(cluster: Cluster) -> None:
    """Both in the midst of their four parts; those that were there are kept."""
    array, _ = cluster.submit(*cluster.gen(1024))
    losses = {4: lambda: cluster.kill(f"{array}_1"), 8: lambda: cluster.requeue(f"{array}_2")}
    while losses:
        wait(lambda: set(cluster.parts()) & set(losses))
        for number in set(cluster.parts()) & set(losses):
            losses.pop(number)()
    cluster.wait_for_the_end_of(array)
    assert cluster.missing(1024) == "1" and 1 <= cluster.done_by(f"{array}_2") <= 3
    kept = len(set(cluster.parts()) & set(range(4, 8)))
    array, merge = cluster.submit(*cluster.gen(1024))
    cluster.wait_for_the_end_of(merge)
    assert 1 <= kept == 4 - cluster.done_by(f"{array}_1") and cluster.tasks(array) == [1]
    assert cluster.out.read_bytes() == cluster.one_process(1024)
