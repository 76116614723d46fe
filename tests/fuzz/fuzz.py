"""Feeds spoilt inputs to every parser: each must answer with a CldmError or with what it read, in a second of processor
time and 300 MiB. Whatever does otherwise is kept as a file and reported.

    python tests/fuzz/fuzz.py --count 1000000 --parser all
    python tests/fuzz/fuzz.py --parser manifest --engine atheris -- -runs=100000     (pip install atheris)

The inputs are a pure function of --seed, so a run can be repeated, and goes on where another ended with --start.
"""

import argparse
import faulthandler
import gc
import mmap
import os
import resource
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, FunctionType

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cldm_runtime.errors import CldmError
from fuzz.mutate import generator_of, mutation
from fuzz.targets import Target, make_targets

SECONDS, MEBIBYTES, NET = 1.0, 300, 2**30
SILENCE = 5.0  # seconds of processor time after which a worker that answers nothing is ended
SLEEP = 120.0  # seconds of the clock, for one that waits
_COUNTS = struct.Struct("qqqq")  # number of the input, and how many were read, refused, and found faulty


@dataclass(frozen=True)
class Outcome:
    """Of a run on one parser. faulty: inputs that broke it; findings: files with one of each kind of them."""

    parser: str
    read: int
    refused: int
    faulty: int
    seconds: float
    findings: tuple[Path, ...]

    def __str__(self) -> str:
        return (f"{self.parser:12s} {self.read + self.refused + self.faulty:8d} inputs, {self.read:7d} read, "
                f"{self.refused:8d} refused, {self.faulty:4d} faulty, {self.seconds:7.1f} s")


class TooSlow(Exception):
    """An input took more processor time than it may."""


class Worker:
    """Works through inputs in a fork of this process and tells its progress through shared memory."""

    def __init__(self, parser: str, target: Target, seed: int, out: Path) -> None:
        self.parser, self.target, self.seed, self.out = parser, target, seed, out
        self.shared = mmap.mmap(-1, _COUNTS.size)

    def input(self, number: int) -> bytes:
        return mutation(self.target.seeds, self.target.text, generator_of(self.seed, self.parser, number))

    def keep(self, number: int, why: str) -> None:
        """Keep an input and what it did; one of each kind, which is the error's type and the place."""
        lines = why.splitlines()
        places = [line.split('"')[1:3] for line in lines if line.startswith("  File")] or [["", ""]]
        words = f"{lines[-1].split(':')[0]} {Path(places[-1][0]).stem}{places[-1][1]}"
        file = self.out / f"{self.parser}-{''.join(sign if sign.isalnum() else '-' for sign in words)[:100]}"
        if not file.exists():
            self.out.mkdir(parents=True, exist_ok=True)
            file.write_bytes(self.input(number))
            file.with_name(file.name + ".txt").write_text(f"seed {self.seed}, input {number}\n{why}")

    def run(self, first: int, last: int) -> None:
        """In the fork."""
        signal.signal(signal.SIGVTALRM, _raise_too_slow)
        warnings.simplefilter("ignore")
        faulthandler.disable()  # the parent says how it ended
        gc.freeze()  # what is there stays
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + NET, used + NET))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        _, read, refused, faulty = _COUNTS.unpack(self.shared[:])
        for number in range(first, last):
            self.shared[:] = _COUNTS.pack(number, read, refused, faulty)
            try:
                if self.attempt(self.input(number)):
                    read += 1
                else:
                    refused += 1
            except BaseException:
                faulty += 1
                self.keep(number, traceback.format_exc())
            now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            if now - peak > MEBIBYTES * 1024:
                faulty, peak = faulty + 1, now
                self.keep(number, f"memory grew to {now} KiB")
        self.shared[:] = _COUNTS.pack(last, read, refused, faulty)

    def attempt(self, data: bytes) -> bool:
        """Whether the parser took the input; False where it refused it as it should."""
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
        try:
            self.target.parse(data)
            return True
        except CldmError:
            return False
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _raise_too_slow(number: int, frame: FrameType | None) -> None:
    raise TooSlow(f"more than {SECONDS:g} s of processor time")


def fuzz(parser: str, target: Target, count: int, seed: int, out: Path, start: int = 0) -> Outcome:
    """Inputs `start` to `start + count` of a parser; a worker that dies is replaced by one that goes on after it."""
    worker, began, last = Worker(parser, target, seed, out), time.monotonic(), start + count
    worker.shared[:] = _COUNTS.pack(start, 0, 0, 0)
    first = start
    while first < last:
        status = _run_in_fork(worker, first, last)
        number, read, refused, faulty = _COUNTS.unpack(worker.shared[:])
        if status == 0:
            break
        worker.keep(number, f"the process ended with status {status}")
        worker.shared[:] = _COUNTS.pack(number, read, refused, faulty + 1)
        first = number + 1
    _, read, refused, faulty = _COUNTS.unpack(worker.shared[:])
    findings = tuple(sorted(file for file in out.glob(f"{parser}-*") if file.suffix != ".txt"))
    return Outcome(parser, read, refused, faulty, time.monotonic() - began, findings)


def _run_in_fork(worker: Worker, first: int, last: int) -> int:
    """Exit status of the fork, negative for a signal; it is killed where it makes no progress."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        status = 1
        with suppress(BaseException):
            worker.run(first, last)
            status = 0
        os._exit(status)
    seen, since, used = -1, time.monotonic(), 0.0
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        number = _COUNTS.unpack(worker.shared[:])[0]
        if number != seen:
            seen, since, used = number, time.monotonic(), _processor_seconds(child)
        elif _processor_seconds(child) - used > SILENCE or time.monotonic() - since > SLEEP:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.02)


def _processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def with_atheris(target: Target, options: list[str]) -> None:
    """libFuzzer's engine, guided by coverage; it ends the process."""
    import atheris

    def one_input(data: bytes) -> None:
        with suppress(CldmError):
            target.parse(data)

    corpus = Path(tempfile.mkdtemp(prefix="corpus"))
    for number, seed in enumerate(target.seeds):
        (corpus / str(number)).write_bytes(seed)
    ours = [module for name, module in sys.modules.items() if name.startswith(("cldm_runtime", "cldm_trainer"))]
    for function in {value for module in ours for value in vars(module).values() if isinstance(value, FunctionType)}:
        atheris.instrument_func(function)
    atheris.Setup([sys.argv[0], *options, str(corpus)], one_input)
    atheris.Fuzz()


def shares(targets: Mapping[str, Target], count: int) -> dict[str, int]:
    """How many of `count` inputs each parser gets; the rest goes to the first."""
    total = sum(target.share for target in targets.values())
    counts = {name: int(count * target.share / total) for name, target in targets.items()}
    first = next(iter(counts))
    return {**counts, first: counts[first] + count - sum(counts.values())}


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--count", type=int, default=100_000, help="inputs in all")
    options.add_argument("--parser", default="all", help="one parser, or all")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--start", type=int, default=0, help="number of the first input")
    options.add_argument("--out", type=Path, default=Path("out/fuzz"), help="folder of findings")
    options.add_argument("--engine", choices=("python", "atheris"), default="python")
    options.add_argument("engine_options", nargs="*", help="of atheris, after --")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
        targets = make_targets(Path(folder))
        if given.parser != "all" and given.parser not in targets:
            options.error(f"--parser {given.parser}: expected all or one of {', '.join(targets)}")
        if given.engine == "atheris":
            with_atheris(targets[given.parser], given.engine_options)
        counts = shares(targets, given.count) if given.parser == "all" else {given.parser: given.count}
        outcomes = []
        for name, count in counts.items():
            outcomes.append(fuzz(name, targets[name], count, given.seed, given.out, given.start))
            print(outcomes[-1], flush=True)
    findings = [file for outcome in outcomes for file in outcome.findings]
    total = sum(outcome.read + outcome.refused + outcome.faulty for outcome in outcomes)
    print(f"{total} inputs, {len(findings)} kinds of faults", *findings, sep="\n")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
