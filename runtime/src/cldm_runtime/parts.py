"""The parts of a run: dataset files of their own in a folder beside the output, each committed whole; and their merge.

Parts stay until the whole file has its name, so that a run can be stopped at any moment and resumed.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from .errors import DatasetError
from .generator import Batch
from .plan import Plan
from .requests import measured_attributes
from .store import DatasetWriter, check_samples, create_dataset, open_dataset

_DRAWS = "anatomy_draws"  # root attribute: the sum of /draws
_MERGED_AT_ONCE = 4  # so that catching up with the parts of an earlier run keeps no worker waiting for long


class Part(NamedTuple):
    """A part of a run: its number, its file, and the samples that it holds."""

    number: int
    path: Path
    samples: range


def parts_of(plan: Plan, folder: Path) -> list[Part]:
    return [Part(number, folder / f"part-{number:05d}.h5", samples) for number, samples in enumerate(plan.parts)]


def is_committed(plan: Plan, part: Part) -> bool:
    """Whether the part's file is there, of this plan, and every sample in it as it was written; a damaged one is to be
    computed again."""
    if not part.path.exists():
        return False
    try:
        with open_dataset(part.path) as found:
            index = found.sample_index
            return (found.metadata.get("plan_sha256") == plan.sha256 and index is not None
                    and np.array_equal(index, np.arange(part.samples.start, part.samples.stop))
                    and not check_samples(found, part.samples))
    except DatasetError:
        return False


def write_part(plan: Plan, part: Part, done: Callable[[int], None]) -> None:
    """Generate a part and commit it. done: called after every batch, with its number of samples."""
    with create_dataset(part.path, plan.file_spec({"plan_sha256": plan.sha256}), overwrite=True,
                        verify=part.samples) as writer:
        for batch in _write_batches(plan, part.samples, writer):
            done(len(batch.images))


def write_parts(plan: Plan, parts: Iterable[Part], done: Callable[[int], None]) -> Generator[Part, None, None]:
    """Write the parts one after the other in this process, and yield each when it is committed."""
    for part in parts:
        write_part(plan, part, done)
        yield part


def _write_batches(plan: Plan, samples: range, writer: DatasetWriter) -> Iterator[Batch]:
    generator = plan.generator
    for batch in generator.batches(plan.source, samples, plan.seed, plan.settings):
        columns: dict[str, NDArray[Any]] = {"images": batch.images, "grid_row": batch.grid_row,
                                            "sample_index": batch.sample_index}
        for name, values in (("condition", batch.condition), ("draws", batch.draws)):
            if values is not None:
                columns[name] = values
        if generator.manifest.conditions:
            columns["requested"] = batch.requested
        if batch.masks is not None:
            columns["masks"] = batch.masks
            columns["mask_attributes"], columns["mask_reasons"] = measured_attributes(
                batch.masks, list(batch.requested), generator.domain)
        writer.append(**columns)
        yield batch


class Merge:
    """Copies parts into one file, in their order, while others are still being written. A context manager: the file
    appears when it is left without an error."""

    def __init__(self, plan: Plan, parts: list[Part], merged: Path) -> None:
        self._parts, self._ready, self._next, self._draws = parts, set[int](), 0, 0
        self._writer = create_dataset(merged, plan.file_spec(plan.provenance()), overwrite=True)

    def add(self, committed: Iterable[Part]) -> None:
        """Some parts are there. Copies a few of those whose turn it is."""
        self._ready.update(part.number for part in committed)
        for _ in range(_MERGED_AT_ONCE):
            self._copy_next()

    def finish(self) -> None:
        """All parts are there. Copies those that are left."""
        while self._copy_next():
            pass
        self._writer.set_metadata({_DRAWS: self._draws} if self._draws else {})

    def _copy_next(self) -> bool:
        if self._next not in self._ready:
            return False
        with open_dataset(self._parts[self._next].path) as part:
            self._draws += 0 if part.draws is None else int(part.draws.sum())
            self._writer.append_dataset(part)
        self._next += 1
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._writer.__exit__(kind, error, trace)
