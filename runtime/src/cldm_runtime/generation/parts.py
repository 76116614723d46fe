"""The parts of a generated file, each a separate dataset file, and their merge."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..domains.domain import Domain
from ..domains.free_classes import Kept, without_unknown
from ..domains.places import measured_places
from ..errors import DatasetError
from ..requests.sources import measured_attributes
from ..runs.run import Merge, Part
from ..store import FILTER, DatasetWriter, check_samples, create_dataset, open_dataset
from .batch import Batch
from .filter_counts import SUMS, FilterCounts, sums_text
from .generator import Generator
from .plan import Plan
from .quality_filter import QualityFilter, filtered

_DRAWS = "anatomy_draws"  # root attribute: the sum of /draws


def is_committed(plan_sha256: str, part: Part) -> bool:
    """Whether the part's file exists, belongs to the plan with this digest, and holds every sample as it was written.
    A damaged part must be computed again."""
    if not part.path.exists():
        return False
    try:
        with open_dataset(part.path) as dataset:
            index = dataset.sample_index
            return (dataset.metadata.get("plan_sha256") == plan_sha256 and index is not None
                    and np.array_equal(index, np.arange(part.samples.start, part.samples.stop))
                    and not check_samples(dataset, part.samples))
    except DatasetError:
        return False


def write_part(plan: Plan, part: Part, done: Callable[[int], None]) -> None:
    """Generate a part and commit it. done: called after every batch, with its number of samples."""
    with create_dataset(part.path, plan.file_spec({"plan_sha256": plan.sha256}), overwrite=True,
                        verify=part.samples) as writer:
        for batch in _batches(plan, part.samples, writer):
            writer.append(**_columns(batch, plan.generator, plan.kept))
            done(len(batch.images))


def _batches(plan: Plan, samples: range, writer: DatasetWriter) -> Iterator[Batch]:
    """The batches of a part; with a quality filter one of all its samples, and what the filter saw in `writer`."""
    if plan.keep is None:
        yield from plan.generator.batches(plan.source, samples, plan.seed, plan.settings)
        return
    batch, sums = filtered(plan.generator, plan.source, plan.keep, samples, plan.seed, plan.settings)
    writer.set_metadata({SUMS: sums_text(sums)})
    yield batch


def _columns(batch: Batch, generator: Generator, kept: Kept | None) -> dict[str, NDArray[Any]]:
    columns: dict[str, NDArray[Any]] = {"images": batch.images, "grid_row": batch.grid_row,
                                        "sample_index": batch.sample_index}
    for name, values in (("condition", batch.condition), ("draws", batch.draws), ("tries", batch.tries),
                         ("image_requested", batch.imaging), ("pair", batch.pair), ("given_row", batch.given_row),
                         ("painted", batch.painted), ("place_requested", batch.place)):
        if values is not None:
            columns[name] = values
    if generator.manifest.conditions:
        columns["requested"] = batch.requested
    if batch.masks is not None:
        measured, reasons = measured_attributes(batch.masks, list(batch.requested), generator.domain,
                                                generator.manifest.image.spacing_mm)
        if kept is not None:
            measured, reasons = without_unknown(measured, reasons, kept, generator.domain)
        columns |= {"masks": batch.masks, "mask_attributes": measured, "mask_reasons": reasons,
                    **measured_places(generator.domain, batch.masks, measured, batch.place, kept)}
    return columns


class FileMerge(Merge):
    """Copies parts into one file, without the samples that a quality filter gave up."""

    def __init__(self, parts: Sequence[Part], writer: DatasetWriter, keep: QualityFilter | None,
                 domain: Domain) -> None:
        super().__init__(parts)
        self._writer, self._draws = writer, 0
        self._counts = None if keep is None else FilterCounts(keep, domain)

    def copy(self, part: Part) -> None:
        with open_dataset(part.path) as dataset:
            self._draws += 0 if dataset.draws is None else int(dataset.draws.sum())
            self._writer.append_dataset(dataset, None if self._counts is None else self._counts.add(dataset))

    def finish(self) -> None:
        super().finish()
        self._writer.set_metadata({_DRAWS: self._draws} if self._draws else {})
        if self._counts is not None:
            self._writer.set_metadata({FILTER: self._counts.record().text()})


@contextmanager
def merging(plan: Plan, parts: Sequence[Part], merged: Path) -> Iterator[FileMerge]:
    """Gives the merge into the file `merged`, which appears when the context ends without an error."""
    with create_dataset(merged, plan.file_spec(plan.provenance()), overwrite=True) as writer:
        yield FileMerge(parts, writer, plan.keep, plan.generator.domain)
