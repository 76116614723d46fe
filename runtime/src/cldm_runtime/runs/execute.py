"""Carries out a run (`run.py`): all of it, by worker processes, or one shard; and merges its parts."""

import os
import shutil
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Literal

from ..errors import CldmError, DatasetError, InputError, InterruptedRun, WorkerError
from ..files.atomic import make_folder_for, write_bytes, write_text
from ..files.partial import remove_left_behind
from .folder import layout_text
from .run import LAYOUT_FILE, Part, Progress, Run
from .shards import Shard, as_ranges
from .workers import most_workers, stoppable, write_parts_with

Existing = Literal["refuse", "resume", "overwrite"]


def carry_out(run: Run, progress: Progress | None = None, workers: int = 1) -> None:
    """Do the missing parts, merge all parts, and remove them. The folder has been prepared.

    workers: number of processes, at most one a part; 1: this process. Raises InterruptedRun on Ctrl-C and SIGTERM and
    WorkerError for a worker that was killed, both resumable, and the errors of the run.
    """
    parts = run.parts
    try:
        with stoppable():
            missing = [part for part in parts if not run.is_committed(part)]
            with run.merging(parts) as merge, closing(_written(run, parts, missing, workers, progress)) as written:
                merge.add(set(parts).difference(missing))
                for part in written:
                    merge.add([part])
                merge.finish()
    except KeyboardInterrupt as error:
        raise InterruptedRun(f"{run.out}: stopped; {run.kept}") from error
    except WorkerError as error:
        raise WorkerError(f"{run.out}: {error} {run.kept}") from error
    except CldmError:
        if not any(part.path.exists() for part in parts):
            shutil.rmtree(run.folder, ignore_errors=True)
        raise
    shutil.rmtree(run.folder, ignore_errors=True)


def do_shard(run: Run, shard: Shard, progress: Progress | None = None, workers: int = 1) -> int:
    """Do the missing parts of a shard, and return their number. Nothing is merged.

    Other processes, on other machines too, may do other shards or the same one meanwhile. Raises as `carry_out` does.
    """
    if run.is_finished():
        return 0
    check(run)
    prepare(run)
    mine = shard.of(run.parts)
    try:
        with stoppable():
            missing = [part for part in mine if not run.is_committed(part)]
            with closing(_written(run.for_workers(max(2, workers)), mine, missing, workers, progress)) as written:
                return sum(1 for _ in written)
    except KeyboardInterrupt as error:
        raise InterruptedRun(f"{run.out}, shard {shard}: stopped; {run.kept}") from error


def merge_parts(run: Run, progress: Progress | None = None) -> None:
    """Merge the parts of a run. If some are missing or damaged, changes nothing and raises DatasetError with their
    numbers."""
    if run.is_finished():
        return
    missing = missing_parts(run)
    if missing:
        raise DatasetError(f"{run.out}: {len(missing)} of {len(run.ranges)} parts are missing or damaged: "
                           f"{as_ranges([part.number for part in missing])}. Do the shards that --status names. "
                           f"{run.how_to_go_on}")
    check(run)
    prepare(run)
    carry_out(run, progress)


def missing_parts(run: Run) -> list[Part]:
    """The parts that are not committed, or are damaged. A finished run has none.

    Raises InputError for an unfinished run of another plan, DatasetError for a file that cannot be read.
    """
    if run.is_finished():
        return []
    run.refuse_other_plan()
    return [part for part in run.parts if not run.is_committed(part)]


def check(run: Run, existing: Existing = "resume") -> None:
    """Check the folder before anything is written. Raises InputError or DatasetError."""
    if existing == "refuse" and run.folder.exists():
        raise InputError(f"{run.folder}: holds an unfinished run. Pass --resume to go on, or --overwrite to start "
                         "again.")
    if existing == "resume":
        run.refuse_other_plan()
    parent = next(path for path in run.out.absolute().parents if path.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise DatasetError(f"{run.out}: {parent} is not a folder that you may write to. Choose another, or change its "
                           "rights.")
    reusable = _bytes_in(run.folder) if existing != "refuse" else 0
    free = shutil.disk_usage(parent).free + reusable
    if free < run.bytes_needed:
        raise DatasetError(f"{run.out}: {run.samples} samples need up to {_size(run.bytes_needed)} while running, but "
                           f"{parent} has {_size(free)} free. Free some space or choose another folder.")


def prepare(run: Run, existing: Existing = "resume") -> None:
    """Make the folder of parts and write the plan to it. Raises DatasetError, and InputError if the folder belongs to
    another plan."""
    folder = run.folder
    try:
        if existing == "overwrite" and folder.exists():
            shutil.rmtree(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        make_folder_for(run.out, folder, exist_ok=existing == "resume")
        remove_left_behind(folder)
        if not run.plan_file.exists():
            write_text(folder / LAYOUT_FILE, layout_text(run.samples, run.ranges, run.suffix))
            write_bytes(run.plan_file, run.text.encode("utf-8"))
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be written ({error.strerror}). Choose another folder.") from error
    run.refuse_other_plan()  # another process may have come first


def _written(run: Run, parts: Sequence[Part], missing: list[Part], workers: int, progress: Progress | None
             ) -> Generator[Part, None, None]:
    """Write the missing parts, and yield each when it is committed. `parts`: all of them, for the progress."""
    total = sum(len(part.samples) for part in parts)
    count = total - sum(len(part.samples) for part in missing)

    def done(samples: int) -> None:
        nonlocal count
        count += samples
        if progress:
            progress(count, total)

    processes = min(workers, len(missing), most_workers() or workers)
    run = run.for_workers(processes)
    return _written_here(run, missing, done) if processes < 2 else write_parts_with(processes, run, missing, done)


def _written_here(run: Run, parts: Iterable[Part], done: Callable[[int], None]) -> Generator[Part, None, None]:
    for part in parts:
        run.write_part(part, done)
        yield part


def _bytes_in(folder: Path) -> int:
    total = 0
    for path in folder.glob("*"):
        with suppress(FileNotFoundError):  # another process has just renamed it
            total += path.stat().st_size
    return total


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
