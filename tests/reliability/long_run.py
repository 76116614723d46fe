"""Memory, file handles and speed of a long run, sampled while it works, and their plot.

    python tests/reliability/long_run.py --samples 20000 --out out/long-run --picture docs/figures/long-run.png

Generates that many images with the committed bundles, then segments and measures them, each in a process of its own
with its workers. Ends with 1 where the last tenth of a stage needs more than `_GROWTH` of what the second tenth needs.
For Linux.
"""

import argparse
import json
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cldm_runtime import Generator, Segmenter
from cldm_runtime.engines.processor import available_cores
from cldm_runtime.evaluation.run import evaluate_dataset
from cldm_runtime.generation.plan import Plan
from cldm_runtime.generation.run import generate_dataset
from cldm_runtime.requests.grid import read_grid
from cldm_runtime.requests.sources import GridRequests
from cldm_runtime.runs.run import Progress

ROOT = Path(__file__).parents[2]
_GROWTH = {"memory_mib": 1.1, "handles": 1.1, "core_seconds_per_1000": 1.15}  # last tenth over second tenth, at most
_EVERY_S = 1.0
Work = Callable[[Path, int, Progress], None]


class Reading(NamedTuple):
    seconds: float
    samples: int
    memory_mib: float  # of the process and its workers: proportional set size, which counts shared pages once
    handles: int  # open file descriptors of all of them
    core_seconds: float  # that their processors were at work: other programs on the machine hardly change that


def generating(out: Path, samples: int, progress: Progress) -> None:
    model = Generator.load(ROOT / "exported/lge", threads=1)
    grid = read_grid(ROOT / "examples/grid.csv", model.domain)
    plan = Plan(model, GridRequests.spread(grid, samples, model.canvas), samples, 0, model.settings())
    generate_dataset(plan, out, "overwrite", progress, available_cores())


def evaluating(out: Path, samples: int, progress: Progress) -> None:
    evaluate_dataset(out, Segmenter.load(ROOT / "exported/lge-segmenter", threads=1), overwrite=True,
                     stage=lambda name: nullcontext(progress), workers=available_cores())


STAGES: dict[str, Work] = {"generating": generating, "evaluating": evaluating}


def watch(stage: str, out: Path, samples: int) -> list[Reading]:
    """Do a stage in a process, and read its figures meanwhile."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(stage, out, samples, theirs))
    process.start()
    theirs.close()
    begun, done, readings = time.monotonic(), [0], list[Reading]()
    threading.Thread(target=_listen, args=(ours, done), daemon=True).start()
    while process.is_alive():
        time.sleep(_EVERY_S)
        memory, handles, worked = _held(process.pid or 0)
        if done[0] and memory:
            readings.append(Reading(time.monotonic() - begun, done[0], memory, handles, worked))
    if process.exitcode != 0:
        raise SystemExit(f"{stage}: exit code {process.exitcode}")
    busy = int(np.argmax([reading.core_seconds for reading in readings])) + 1  # until the first worker has ended
    return readings[:busy]


def _child(stage: str, out: Path, samples: int, pipe: Connection) -> None:
    STAGES[stage](out, samples, lambda done, total: pipe.send(done))


def _listen(pipe: Connection, done: list[int]) -> None:
    try:
        while True:
            done[0] = pipe.recv()
    except EOFError:
        pass


def _held(process: int) -> tuple[float, int, float]:
    """Memory in MiB, open files and processor seconds of a process and all its descendants; of one that has just ended,
    none."""
    try:
        folder = Path(f"/proc/{process}")
        lines = (folder / "smaps_rollup").read_text().splitlines()
        memory = next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
        handles = len(list((folder / "fd").iterdir()))
        ticks = (folder / "stat").read_text().rpartition(")")[2].split()[11:13]  # of users, of the system
        worked = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
        children = [int(number) for task in (folder / "task").iterdir() for number in
                    (task / "children").read_text().split()]
    except (OSError, StopIteration):
        return 0.0, 0, 0.0
    held = [(memory, handles, worked), *map(_held, children)]
    return sum(each[0] for each in held), sum(each[1] for each in held), sum(each[2] for each in held)


def tenths(readings: Sequence[Reading]) -> dict[str, list[float]]:
    """The median of each figure in the second tenth of the samples, and in the last."""
    samples = np.array([reading.samples for reading in readings])
    last = samples[-1]
    found = dict[str, list[float]]()
    for low, high in ((0.1, 0.2), (0.9, 1.0)):
        inside = [reading for reading in readings if low * last <= reading.samples <= high * last]
        first, final = inside[0], inside[-1]
        worked = (final.core_seconds - first.core_seconds) / max(final.samples - first.samples, 1)
        for name, value in (("memory_mib", np.median([reading.memory_mib for reading in inside])),
                            ("handles", np.median([reading.handles for reading in inside])),
                            ("core_seconds_per_1000", 1000 * worked)):
            found.setdefault(name, []).append(round(float(value), 2))
    return found


def draw(path: Path, stages: dict[str, list[Reading]]) -> None:
    """A row of panels for each stage: memory, handles and speed over samples."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(len(stages), 3, figsize=(11, 2.8 * len(stages)), squeeze=False)
    for row, (stage, readings) in zip(axes, stages.items(), strict=True):
        samples = np.array([reading.samples for reading in readings])
        worked = np.array([reading.core_seconds for reading in readings])
        marks = np.linspace(samples[0], samples[-1], 41)
        rate = np.diff(np.interp(marks, samples, worked)) / np.diff(marks) * 1000
        for axis, where, values, title in (
                (row[0], samples, [reading.memory_mib for reading in readings], "memory, MiB"),
                (row[1], samples, [reading.handles for reading in readings], "open files"),
                (row[2], (marks[1:] + marks[:-1]) / 2, rate, "core seconds for 1000")):
            axis.plot(where, values, linewidth=1.2)
            axis.set_ylim(0, 1.15 * max(values))
            axis.set_title(f"{stage}: {title}", fontsize=10)
            axis.set_xlabel("samples", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--out", type=Path, default=Path("out/long-run"))
    parser.add_argument("--stage", choices=STAGES, action="append", help="default: all, in their order")
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    flat = True
    for stage in given.stage or STAGES:
        readings = watch(stage, given.out / "samples.h5", given.samples)
        (given.out / f"{stage}.json").write_text(json.dumps(readings))
        found = tenths(readings)
        flat &= all(last <= _GROWTH[name] * first for name, (first, last) in found.items())
        print(json.dumps({"stage": stage, "samples": readings[-1].samples, "seconds": round(readings[-1].seconds),
                          "second and last tenth": found}))
    if given.picture:
        kept = {stage: given.out / f"{stage}.json" for stage in STAGES}
        draw(given.picture, {stage: [Reading(*each) for each in json.loads(path.read_text())]
                             for stage, path in kept.items() if path.exists()})
    return int(not flat)


if __name__ == "__main__":
    sys.exit(main())
