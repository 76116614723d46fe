"""Plants one-line faults in the rooms that compute, one at a time, and prints those that no test finds.

    python tests/mutants/mutants.py                        # 40 faults in each room; ends with 1 below 90 % in a room
    python tests/mutants/mutants.py metrics --count 100
    python tests/mutants/mutants.py metrics --again        # only those that stayed unfound the last time

A fault in a room is looked for by the tests of that room alone, tests/runtime/ROOM. Which faults are taken depends on
their own lines only, so that a change elsewhere keeps the sample. equivalent.txt lists faults that change nothing that
can be seen, each with the reason. Every run works in a copy of the repository.
"""

import argparse
import ast
import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(Path(__file__).parent))

from faults import Fault, faults  # noqa: E402

ROOMS = ("diffusion", "domains", "metrics", "requests", "store", "report", "scans")
SOURCE, KNOWN = Path("runtime/src/cldm_runtime"), Path(__file__).with_name("equivalent.txt")
LEAST = 0.9


@dataclass(frozen=True)
class Mutant:
    """A fault in a file, which is given relative to the repository."""

    file: Path
    fault: Fault
    line: str

    @property
    def key(self) -> str:
        """What it is listed by: without the line's number, which other changes move."""
        return f"{self.file.relative_to(SOURCE)} | {self.line} | {self.fault.column}: {self.fault.change}"


def mutants(root: Path, room: str) -> list[Mutant]:
    """All faults of a room, in an order that is random but depends on nothing but each fault."""
    found = []
    for path in sorted((root / SOURCE / room).rglob("*.py")):
        source = path.read_text()
        lines = source.splitlines()
        found += [Mutant(path.relative_to(root), fault, lines[fault.line - 1].strip()) for fault in faults(source)]
    return sorted(found, key=lambda mutant: hashlib.sha256(mutant.key.encode()).digest())


def tests_of(root: Path, room: str, module: str) -> list[str]:
    """The room's test files, those that import the module first: they are likely to find a fault."""
    files = sorted((root / "tests" / "runtime" / room).rglob("test_*.py"))
    return [str(path.relative_to(root)) for path in sorted(files, key=lambda path: module not in imported(path))]


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def make_copy(folder: Path) -> Path:
    """The repository with its own runtime and tests; what no test changes is linked."""
    for entry in ROOT.iterdir():
        if entry.name in ("runtime", "tests"):
            shutil.copytree(entry, folder / entry.name, ignore=shutil.ignore_patterns("__pycache__", ".hypothesis"))
        elif entry.name not in (".git", "out"):
            (folder / entry.name).symlink_to(entry)
    return folder


def start(folder: Path, tests: list[str]) -> int:
    """The tests in a fork of this process, which has imported what takes long. Returns the process id. What is said
    goes to `said.txt` in the folder."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.setsid()
        said = os.open(folder / "said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(said, 1)
        os.dup2(said, 2)
        os.chdir(folder)
        os.environ["PYTHONPATH"] = str(folder / "runtime" / "src")
        sys.path[:] = [str(folder / "runtime" / "src"), *(path for path in sys.path if "/src" not in path)]
        sys.path_importer_cache.clear()
        import pytest

        code = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-m", "not long", *tests]))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class Bench:
    """A copy of the repository in which one mutant is tried at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.mutant, self.child, self.until = make_copy(folder), None, 0, 0.0
        self.sound, self.stamp = "", 1_000_000_000

    def begin(self, mutant: Mutant, tests: list[str], seconds: float) -> None:
        self.sound = (self.folder / mutant.file).read_text()
        self.write(mutant.file, mutant.fault.plant(self.sound))
        self.mutant, self.until = mutant, time.monotonic() + seconds
        self.child = start(self.folder, tests)

    def write(self, file: Path, text: str) -> None:
        """A compiled file is known by its source's time and size: times go up by whole seconds."""
        self.stamp += 2
        (self.folder / file).write_text(text)
        os.utime(self.folder / file, (self.stamp, self.stamp))

    def end(self) -> bool | None:
        """Whether a test failed; None while they run. A run that takes too long counts as found."""
        if time.monotonic() > self.until:
            os.killpg(self.child, signal.SIGKILL)
        process, status = os.waitpid(self.child, os.WNOHANG)
        if not process:
            return None
        self.write(self.mutant.file, self.sound)
        return status != 0


def try_all(chosen: list[Mutant], room: str, benches: list[Bench], seconds: float) -> Iterator[Mutant]:
    """Those that no test found within so many seconds each."""
    waiting, busy = list(chosen), []
    while waiting or busy:
        for bench in [bench for bench in benches if bench not in busy and waiting]:
            mutant = waiting.pop()
            module = ".".join(mutant.file.relative_to("runtime/src").with_suffix("").parts)
            bench.begin(mutant, tests_of(bench.folder, room, module), seconds)
            busy.append(bench)
        for bench in list(busy):
            found = bench.end()
            if found is not None:
                busy.remove(bench)
                if not found:
                    yield bench.mutant
        time.sleep(0.05)


def check_unchanged(room: str, bench: Bench) -> float:
    """Seconds of the room's tests. Without a fault nothing may fail: otherwise every fault would seem to be found."""
    begun = time.monotonic()
    _, status = os.waitpid(start(bench.folder, tests_of(bench.folder, room, "")), 0)
    if status:
        sys.exit(f"the tests of {room} fail without a fault:\n{(bench.folder / 'said.txt').read_text()}")
    return time.monotonic() - begun


def measure(room: str, count: int, again: bool, benches: list[Bench]) -> tuple[int, list[Mutant]]:
    """How many faults were planted, and those that stayed unfound."""
    record = ROOT / "out" / "mutants" / f"{room}.json"
    known = {line.rsplit(" | ", 1)[0] for line in KNOWN.read_text().splitlines()}
    every = [mutant for mutant in mutants(benches[0].folder, room) if mutant.key not in known]
    before = set(json.loads(record.read_text())) if again else set()
    chosen = [mutant for mutant in every if mutant.key in before] if again else every[:count]
    seconds = check_unchanged(room, benches[0])
    survivors = []
    for mutant in try_all(chosen, room, benches, 30 + 5 * seconds):
        survivors.append(mutant)
        print(f"{mutant.file}:{mutant.fault.line}: {mutant.fault.change}", flush=True)
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps([mutant.key for mutant in survivors], indent=1))
    print(f"{room}: {len(chosen) - len(survivors)} of {len(chosen)} found", flush=True)
    return len(chosen), survivors


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rooms", nargs="*", default=ROOMS, metavar="ROOM")
    parser.add_argument("--count", type=int, default=40, help="faults in each room")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--again", action="store_true", help="only those that stayed unfound the last time")
    options = parser.parse_args()
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # a fork has none of the threads that a library would wait for
    import h5py  # noqa: F401 (here and not in each fork)
    import onnx  # noqa: F401
    import pytest  # noqa: F401
    import scipy.ndimage
    import scipy.stats  # noqa: F401

    short = False
    with tempfile.TemporaryDirectory() as folder:
        benches = []
        for number in range(options.jobs):
            (Path(folder) / str(number)).mkdir()
            benches.append(Bench(Path(folder) / str(number)))
        for room in options.rooms:
            count, survivors = measure(room, options.count, options.again, benches)
            short |= count - len(survivors) < LEAST * count
    return int(short)


if __name__ == "__main__":
    sys.exit(main())
