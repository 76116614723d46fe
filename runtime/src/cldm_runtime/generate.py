"""Runs of any length into one dataset file: a plan, parts that are committed one by one, and their merge.

While a run is under way its finished parts lie in `<out>.parts`, each a dataset file of its own. A run that was stopped
or killed is resumed by doing the parts that are missing. The same plan gives the same bytes, however often it was
stopped and however many workers it had: samples are computed in canonical batches, each network on one core of the CPU,
and merging sees the same parts in the same order.
"""

import json
import os
import shutil
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Literal

from .engines import PROVIDERS
from .errors import CldmError, DatasetError, InputError, InterruptedRun, WorkerError
from .parts import Merge, Part, is_committed, parts_of, write_parts
from .plan import Plan, differences
from .shards import Shard, as_ranges
from .store import open_dataset, partial_name, publish, was_left_behind
from .workers import stoppable, write_parts_with

__all__ = ["Existing", "Plan", "Progress", "batch_size_under_way", "check_output", "generate_dataset",
           "generate_shard", "is_finished", "merge_shards", "missing_parts", "parts_folder", "prepare_parts",
           "provider_under_way"]

PLAN_FILE = "plan.json"
MERGED_FILE = "merged.h5"

Existing = Literal["refuse", "resume", "overwrite"]
Progress = Callable[[int, int], None]  # (samples done, samples in all)


def generate_dataset(plan: Plan, out: str | os.PathLike[str], existing: Existing = "refuse",
                     progress: Progress | None = None, workers: int = 1) -> Path:
    """Carry out the plan; the file `out` appears, whole, at the end.

    existing: what to do about a file or an unfinished run of that name. progress is called after every batch. workers:
    processes that write parts, at most one for each part; 1: this process. A script that asks for more must be guarded
    by `if __name__ == "__main__":`, for Python imports it in each of them.
    Raises InputError for a name that is taken, DatasetError for a folder that cannot be written or is full, WorkerError
    for a worker that was killed, and InterruptedRun on Ctrl-C and SIGTERM; after the last two "resume" goes on.
    """
    target = Path(out)
    folder = parts_folder(target)
    if is_finished(plan, target, existing):
        shutil.rmtree(folder, ignore_errors=True)
        return target
    check_output(plan, target, existing)
    prepare_parts(plan, target, existing)
    try:
        with stoppable():
            _generate(plan.on_one_thread(), folder, workers, progress)
            publish(folder / MERGED_FILE, target, overwrite=existing != "refuse")
    except KeyboardInterrupt as error:
        raise InterruptedRun(f"{target}: stopped; {_kept(plan, folder)}") from error
    except WorkerError as error:
        raise WorkerError(f"{target}: {error} {_kept(plan, folder)}") from error
    except CldmError:
        if not _committed(plan, folder):
            shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    return target


def generate_shard(plan: Plan, out: str | os.PathLike[str], shard: Shard, progress: Progress | None = None,
                   workers: int = 1) -> int:
    """Do the parts of a shard that are missing, into the folder of parts beside `out`, and return their number.

    Other processes, on other machines too, may do other shards or the same one meanwhile. What is there is kept, and
    nothing is merged: `merge_shards` does that, or `generate_dataset` with "resume". Raises what that raises.
    """
    target = Path(out)
    if is_finished(plan, target, "resume"):
        return 0
    check_output(plan, target, "resume")
    folder = parts_folder(target)
    prepare_parts(plan, target, "resume")
    mine = shard.of(parts_of(plan, folder))
    try:
        with stoppable():
            missing = [part for part in mine if not is_committed(plan, part)]
            with closing(_written(plan.on_one_thread(), mine, missing, workers, progress)) as written:
                return sum(1 for _ in written)
    except KeyboardInterrupt as error:
        raise InterruptedRun(f"{target}, shard {shard}: stopped; {_kept(plan, folder)}") from error


def merge_shards(plan: Plan, out: str | os.PathLike[str], progress: Progress | None = None) -> Path:
    """Put the parts of a run together. Raises DatasetError, and leaves all as it is, where some are missing or damaged;
    the message names them."""
    target = Path(out)
    if is_finished(plan, target, "resume"):
        return target
    missing = missing_parts(plan, target)
    if missing:
        raise DatasetError(f"{target}: {len(missing)} of {len(plan.parts)} parts are missing or damaged: "
                           f"{as_ranges([part.number for part in missing])}. Run the same command with --resume to do "
                           "them here, or the shards that --status names.")
    return generate_dataset(plan, target, "resume", progress)


def missing_parts(plan: Plan, target: Path) -> list[Part]:
    """The parts of a run that are not committed, or are damaged; none of a finished file.

    Raises InputError for a file or an unfinished run of another plan, DatasetError for a file that cannot be read.
    """
    if is_finished(plan, target, "resume"):
        return []
    folder = parts_folder(target)
    if (folder / PLAN_FILE).exists():
        _refuse_other_plan(plan, folder)
    return [part for part in parts_of(plan, folder) if not is_committed(plan, part)]


def _generate(plan: Plan, folder: Path, workers: int, progress: Progress | None) -> None:
    """Write the parts that are missing, and merge all of them."""
    parts = parts_of(plan, folder)
    missing = [part for part in parts if not is_committed(plan, part)]
    with (Merge(plan, parts, folder / MERGED_FILE) as merge,
          closing(_written(plan, parts, missing, workers, progress)) as written):
        merge.add(set(parts).difference(missing))
        for part in written:
            merge.add([part])
        merge.finish()


def _written(plan: Plan, parts: Sequence[Part], missing: list[Part], workers: int,
             progress: Progress | None) -> Generator[Part, None, None]:
    """Write the missing ones of some parts, and yield each when it is committed."""
    total = sum(len(part.samples) for part in parts)
    count = total - sum(len(part.samples) for part in missing)

    def done(samples: int) -> None:
        nonlocal count
        count += samples
        if progress:
            progress(count, total)

    processes = min(workers, len(missing))
    return write_parts(plan, missing, done) if processes < 2 else write_parts_with(processes, plan, missing, done)


def parts_folder(target: Path) -> Path:
    """Where the finished parts of an unfinished run lie."""
    return target.with_name(target.name + ".parts")


def provider_under_way(target: Path) -> str | None:
    """The provider of the unfinished run of that name, else of the finished file; None where neither can be read."""
    try:
        found = (parts_folder(target) / PLAN_FILE).read_text()
    except (OSError, UnicodeDecodeError):
        try:
            with open_dataset(target) as dataset:
                found = str(dataset.metadata.get("plan"))
        except DatasetError:
            return None
    try:
        plan = json.loads(found)
    except ValueError:
        return None
    provider = plan.get("provider") if isinstance(plan, dict) else None
    return provider if provider in PROVIDERS else None


def is_finished(plan: Plan, target: Path, existing: Existing) -> bool:
    """Whether resuming finds the file already there. Raises InputError if it is that of another plan."""
    if existing != "resume" or not target.exists():
        return False
    with open_dataset(target) as dataset:
        found = dataset.metadata.get("plan", "{}")
    if found != plan.text:
        raise InputError(f"{target}: exists and is of another plan: {differences(str(found), plan)}. "
                         "Choose another --out, or pass --overwrite.")
    return True


def batch_size_under_way(target: Path) -> int | None:
    """The batch size of the finished or unfinished run of that name; None where there is none to resume."""
    found = "{}"
    if target.is_file():
        with open_dataset(target) as dataset:
            found = str(dataset.metadata.get("plan", "{}"))
    elif (parts_folder(target) / PLAN_FILE).exists():
        found = (parts_folder(target) / PLAN_FILE).read_text()
    with suppress(ValueError, AttributeError):
        size = json.loads(found).get("batch_size")
        return size if isinstance(size, int) and size > 0 else None
    return None


def check_output(plan: Plan, target: Path, existing: Existing) -> None:
    """Everything that can be said about the output before anything is written. Raises InputError or DatasetError."""
    folder = parts_folder(target)
    if target.is_dir():
        raise InputError(f"{target}: is a folder. Give the name of a file, for example {target / 'samples.h5'}.")
    if existing == "refuse" and target.exists():
        raise InputError(f"{target}: already exists. Choose another --out, or pass --overwrite.")
    if existing == "refuse" and folder.exists():
        raise InputError(f"{folder}: holds an unfinished run. Pass --resume to go on, or --overwrite to start anew.")
    if existing == "resume" and (folder / PLAN_FILE).exists():
        _refuse_other_plan(plan, folder)
    _check_space(plan, target, existing)


def _refuse_other_plan(plan: Plan, folder: Path) -> None:
    found = (folder / PLAN_FILE).read_text()
    if found != plan.text:
        raise InputError(f"{folder}: holds an unfinished run of another plan: {differences(found, plan)}. Repeat its "
                         "flags to resume it, or pass --overwrite to start anew.")


def _check_space(plan: Plan, target: Path, existing: Existing) -> None:
    parent = next(path for path in target.absolute().parents if path.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise DatasetError(f"{target}: {parent} is not a folder that can be written. Choose another --out.")
    held = sum(path.stat().st_size for path in parts_folder(target).glob("*")) if existing != "refuse" else 0
    free = shutil.disk_usage(parent).free + held
    if free < plan.bytes_needed:
        raise DatasetError(f"{target}: {plan.samples} samples need up to {_size(plan.bytes_needed)} while running, but "
                           f"{parent} has {_size(free)} free. Free some space or choose another --out.")


def prepare_parts(plan: Plan, target: Path, existing: Existing) -> None:
    """Make the folder of parts, with the plan in it. Raises DatasetError, or InputError for that of another plan."""
    folder = parts_folder(target)
    try:
        if existing == "overwrite" and folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=existing == "resume")
        for leftover in folder.glob("*.partial"):
            if was_left_behind(leftover):
                leftover.unlink(missing_ok=True)
        if not (folder / PLAN_FILE).exists():
            unfinished = partial_name(folder / PLAN_FILE)
            unfinished.write_text(plan.text)
            unfinished.replace(folder / PLAN_FILE)
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be written ({error.strerror}). Choose another --out.") from error
    _refuse_other_plan(plan, folder)  # another process may have come first


def _committed(plan: Plan, folder: Path) -> int:
    return sum(len(part.samples) for part in parts_of(plan, folder) if part.path.exists())


def _kept(plan: Plan, folder: Path) -> str:
    return (f"{_committed(plan, folder)} of {plan.samples} samples are kept in {folder}. Run the same command with "
            "--resume to go on.")


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
