"""What is computed again where a tenth of the workers is killed: at most the part that each of them was at.

    python tests/reliability/lost_work.py --runs 50 --workers 10

Processes do a shard each of one run, all at once. At random moments a tenth of them, at least one, is killed with
SIGKILL; their shards are done again, and all is merged. Every process logs a sample when its request is drawn, before
anything of it is computed, so that unfinished work counts as lost too. Ends with 1 where more than one part was begun
again for a worker that was killed, any for one that was not, or the bytes are not those of an uninterrupted run.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from campaigns import Campaign

from cldm_runtime import Generator, open_dataset
from cldm_runtime.generation.plan import Plan
from cldm_runtime.generation.run import generate_dataset, generate_shard, merge_shards, parts_folder
from cldm_runtime.requests.grid import grid_from_mapping
from cldm_runtime.requests.sources import GridRequests, SampleRequest
from cldm_runtime.runs.shards import Shard

_SAMPLES_A_WORKER = 64  # in two parts, of 10 workers


@dataclass(frozen=True)
class LoggedRequests(GridRequests):
    """folder: where each process has a file of the numbers of its samples."""

    folder: Path

    def request(self, seed: int, index: int) -> SampleRequest:
        with (self.folder / f"drawn-{os.getpid()}").open("ab") as log:
            log.write(b"%d\n" % index)
        return super().request(seed, index)


class Shared(Campaign):
    """A run that so many workers share."""

    def __init__(self, folder: Path, seed: int, workers: int) -> None:
        super().__init__(folder, seed)
        self.workers, self.samples = workers, workers * _SAMPLES_A_WORKER

    def plan(self) -> Plan:
        model = Generator.load(self.bundle, threads=1)
        grid = grid_from_mapping({"infarct_size": [0.1, 0.2, 0.3]}, model.domain)
        source = LoggedRequests(grid, grid.counts(self.samples), model.canvas, self.folder)
        return Plan(model, source, self.samples, 3, model.settings())

    def uninterrupted(self) -> tuple[str, list[range]]:
        """The digest of its file, and its parts."""
        assert self.attempt(lambda: generate_dataset(self.plan(), self.out) and None) == 0
        with open_dataset(self.out) as dataset:
            size = int(dataset.metadata["part_samples"])
        self.drawn()
        return self.digest(), [range(start, start + size) for start in range(0, self.samples, size)]

    def do_shards(self, numbers: Sequence[int], killed: Mapping[int, float]) -> list[int]:
        """Do shards at once; killed: after how many seconds. Those that did not come to their end."""
        begun, lost = time.perf_counter(), []

        def work(number: int) -> None:
            generate_shard(self.plan(), self.out, Shard(number, self.workers))

        children = {number: self.start(lambda number=number: work(number)) for number in numbers}
        for number, moment in sorted(killed.items(), key=lambda each: each[1]):
            time.sleep(max(0.0, begun + moment - time.perf_counter()))
            os.kill(children[number], signal.SIGKILL)  # harmless where it has ended: it is still to be waited for
        for number, child in children.items():
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            if status == -signal.SIGKILL and number in killed:
                lost.append(number)
            elif status:
                self.counts[f"wrong: exit {status}"] += 1
        return lost

    def drawn(self) -> Counter[int]:
        """How often each sample was begun since this was asked last."""
        found = Counter[int]()
        for log in self.folder.glob("drawn-*"):
            found.update(map(int, log.read_text().split()))
            log.unlink()
        return found

    def check_drawn(self, drawn: Counter[int], parts: Sequence[range], lost: Sequence[int]) -> None:
        if set(drawn) != set(range(self.samples)) or max(drawn.values()) > 2:
            self.counts["wrong: samples that were never begun, or three times"] += 1
        for number in range(self.workers):
            again = [part for part in Shard(number, self.workers).of(parts) if any(drawn[index] > 1 for index in part)]
            if len(again) > (number in lost):
                self.counts[f"wrong: {len(again)} parts begun again for one worker"] += 1


def lose(shared: Shared, runs: int) -> dict[str, float]:
    """So many runs in which workers are killed, and what was found."""
    expected, parts = shared.uninterrupted()
    everyone, killed, again = range(shared.workers), max(1, shared.workers // 10), list[int]()
    shared.clear()
    longest = shared.seconds(lambda: shared.do_shards(everyone, {}) and None, shared.clear)
    shared.drawn()
    for _ in range(runs):
        shared.clear()
        moments = {number: shared.random.uniform(0, longest) for number in shared.random.sample(everyone, killed)}
        lost = shared.do_shards(everyone, moments)
        shared.do_shards(lost, {})
        drawn = shared.drawn()
        shared.check_drawn(drawn, parts, lost)
        again.append(drawn.total() - shared.samples)
        shared.counts["killed at work"] += len(lost)
        if shared.attempt(lambda: merge_shards(shared.plan(), shared.out) and None) != 0:
            shared.counts["wrong: the merge failed"] += 1
        elif shared.digest() != expected or parts_folder(shared.out).exists():
            shared.counts["wrong: the content differs from an uninterrupted run"] += 1
    return {"workers": shared.workers, "samples": shared.samples, "samples of a part": len(parts[0]), "runs": runs,
            "killed": runs * killed, **shared.counts, "begun again": sum(again), "most in a run": max(again),
            "share of all": round(sum(again) / (runs * shared.samples), 4)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--workers", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        shared = Shared(Path(folder), given.seed, given.workers)
        print(json.dumps(lose(shared, given.runs)))
    return int(any(name.startswith("wrong") for name in shared.counts))


if __name__ == "__main__":
    sys.exit(main())
