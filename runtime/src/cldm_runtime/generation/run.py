"""Runs of any length into one dataset file: a plan, parts that are committed one by one, and their merge.

During a run its finished parts lie in `<out>.parts`, each a separate dataset file. A run that was stopped or killed is
resumed by computing the missing parts. The same plan gives the same bytes for any number of stops and workers: samples
are computed in canonical batches, each network on one core of the CPU, and the parts are merged in a fixed order.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from ..engines.engine import CPU_PROVIDERS, PROVIDERS
from ..errors import BundleError, DatasetError, InputError, checked_count, checked_kind, checked_path
from ..files.atomic import file_behind, is_special, publish
from ..runs.execute import Existing, carry_out, check, do_shard, merge_parts, prepare
from ..runs.run import Merge, Part, Progress, Run, differences, plan_under_way, read_plan
from ..runs.shards import Shard
from ..store import open_dataset
from . import parts
from .filter_counts import NothingPassed
from .plan import Plan

__all__ = ["Existing", "Generation", "Plan", "Progress", "batch_size_under_way", "check_file", "check_output",
           "generate_dataset", "generate_shard", "is_finished", "merge_shards", "parts_folder", "provider_under_way"]

MERGED_FILE = "merged.h5"
_OTHER_FORMATS = (".nii", ".nii.gz", ".gz", ".zip", ".png", ".jpg", ".tif", ".tiff", ".dcm", ".mha", ".nrrd", ".npy",
                  ".npz", ".csv", ".json", ".pt")


@dataclass(frozen=True)
class Generation(Run):
    """A plan and the file `out` that it writes. overwrite: replace a file of that name at the end."""

    plan: Plan
    out: Path
    overwrite: bool = True

    def __reduce__(self) -> tuple[object, ...]:
        """Another process computes the plan's text and parts itself."""
        return Generation, (self.plan, self.out, self.overwrite)

    @property
    def stem(self) -> Path:
        return file_behind(self.out)

    @property
    def text(self) -> str:
        return self.plan.text

    @property
    def ranges(self) -> Sequence[range]:
        return self.plan.parts

    @property
    def samples(self) -> int:
        return self.plan.samples

    @property
    def on_gpu(self) -> bool:
        return self.plan.generator.provider not in CPU_PROVIDERS

    @property
    def bytes_needed(self) -> int:
        return self.plan.bytes_needed

    @property
    def how_to_go_on(self) -> str:
        return "Run the same command with --resume to go on."

    def is_finished(self) -> bool:
        return is_finished(self.plan, self.out, "resume")

    def for_workers(self, count: int) -> Self:
        return replace(self, plan=self.plan.on_one_thread())

    def absolute(self) -> Self:
        return replace(self, out=self.out.absolute())

    def altered(self) -> BundleError:
        return BundleError(f"bundle {self.plan.generator.bundle.path}: it, or what is asked of it, is not what the run "
                           "began with: it was changed, or this machine sees another folder. Run again.")

    def is_committed(self, part: Part) -> bool:
        return parts.is_committed(self.plan.sha256, part)

    def write_part(self, part: Part, done: Callable[[int], None]) -> None:
        parts.write_part(self.plan, part, done)

    @contextmanager
    def merging(self, committed: Sequence[Part]) -> Iterator[Merge]:
        merged = self.folder / MERGED_FILE
        try:
            with parts.merging(self.plan, committed, merged) as merge:
                yield merge
        except NothingPassed:
            shutil.rmtree(self.folder, ignore_errors=True)  # no other run could use these parts
            raise
        publish(merged, self.out, overwrite=self.overwrite)


def generate_dataset(plan: Plan, out: str | os.PathLike[str], existing: Existing = "refuse",
                     progress: Progress | None = None, workers: int = 1) -> Path:
    """Carry out the plan; the file `out` appears, whole, at the end.

    existing: what to do about a file or an unfinished run of that name. progress is called after every batch. workers:
    processes that write parts, at most one for each part; 1: this process. A script that asks for more must be guarded
    by `if __name__ == "__main__":`, for Python imports it in each of them.
    Raises InputError for a name that is taken, DatasetError for a folder that cannot be written or is full, WorkerError
    for a worker that was killed, and InterruptedRun on Ctrl-C and SIGTERM; after the last two "resume" goes on.
    """
    checked_kind(plan, Plan, "generate_dataset: plan")
    target, workers = checked_path(out, "generate_dataset: out"), checked_count("workers", workers)
    run = Generation(plan, target, overwrite=existing != "refuse")
    if is_finished(plan, target, existing):
        shutil.rmtree(run.folder, ignore_errors=True)
        return target
    check_output(plan, target, existing)
    prepare(run, existing)
    carry_out(run, progress, workers)
    return target


def generate_shard(plan: Plan, out: str | os.PathLike[str], shard: Shard, progress: Progress | None = None,
                   workers: int = 1) -> int:
    """Write the missing parts of a shard to the folder of parts next to `out`, and return their number.

    Other processes, on other machines too, may write other shards or the same one at the same time. Finished parts are
    kept, and nothing is merged: `merge_shards` does that, or `generate_dataset` with "resume". Raises what
    `generate_dataset` raises.
    """
    target = Path(out)
    check_file(target, "resume")
    return do_shard(Generation(plan, target), shard, progress, workers)


def merge_shards(plan: Plan, out: str | os.PathLike[str], progress: Progress | None = None) -> Path:
    """Merge the parts of a run. If some are missing or damaged, raises DatasetError that names them, and changes
    nothing."""
    merge_parts(Generation(plan, Path(out)), progress)
    return Path(out)


def parts_folder(target: Path) -> Path:
    """Where the finished parts of an unfinished run lie: next to the file, or next to the target of a link."""
    behind = file_behind(target)
    return behind.with_name(f"{behind.name}.parts")


def provider_under_way(target: Path) -> str | None:
    """The provider of the unfinished run of that name, else of the finished file; None if neither can be read."""
    provider = _plan_under_way(target).get("provider")
    return provider if provider in PROVIDERS else None


def batch_size_under_way(target: Path) -> int | None:
    """The batch size of the unfinished run of that name, else of the finished file; None if neither can be read."""
    size = _plan_under_way(target).get("batch_size")
    return size if isinstance(size, int) and size > 0 else None


def _plan_under_way(target: Path) -> dict[str, Any]:
    if content := plan_under_way(parts_folder(target)):
        return content
    with suppress(DatasetError), open_dataset(target) as dataset:
        return read_plan(str(dataset.metadata.get("plan")))
    return {}


def is_finished(plan: Plan, target: Path, existing: Existing) -> bool:
    """Whether "resume" finds the finished file. Raises InputError if the file has another plan."""
    if existing != "resume" or not target.exists():
        return False
    with open_dataset(target) as dataset:
        file_plan = dataset.metadata.get("plan", "{}")
    if file_plan != plan.text:
        raise InputError(f"{target}: exists and is of another plan: {differences(str(file_plan), plan.text)}. "
                         "Choose another --out, or pass --overwrite.")
    return True


def check_output(plan: Plan, target: Path, existing: Existing) -> None:
    """Check the output before anything is written. Raises InputError or DatasetError."""
    check_file(target, existing)
    check(Generation(plan, target), existing)


def check_file(target: Path, existing: Existing) -> None:
    """Raises InputError if the name is taken, or is not that of a regular file."""
    if target.is_dir():
        raise InputError(f"{target}: is a folder. Give the name of a file, for example {target / 'samples.h5'}.")
    if target.name.lower().endswith(_OTHER_FORMATS):
        raise InputError(f"{target}: images are written as one HDF5 file, not in that format. Give a name that ends in "
                         ".h5; read it with cldm_runtime.open_dataset and save images and masks from there.")
    if is_special(target):
        raise InputError(f"{target}: is a device, a pipe or a socket. Give the name of a file, for example samples.h5.")
    if existing == "refuse" and target.exists():
        raise InputError(f"{target}: already exists. Choose another --out, or pass --overwrite.")
