"""Runs a segmenter over a dataset file and measures its label maps, in parts that are resumed and shared like those of
a generated file (`runs/run.py`).

    evaluate_dataset("samples.h5", Segmenter.load("exported/lge-segmenter"))   # segment if needed, then measure

The result goes into the dataset file, under /segmentations/<name>; the file is replaced when the result is complete.
"""

import json
import math
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import BundleError, DatasetError, checked_count, checked_path
from ..files.atomic import whole_file
from ..files.derived import Derivation
from ..files.npz import npz_bytes, read_npz
from ..metrics.overlap import DEFINITION
from ..runs.execute import Existing, carry_out, check, prepare
from ..runs.run import Merge, Part, Progress, Run, cut
from ..segmentation.segmenter import BATCH_SIZE
from ..store import (
    DERIVED_FROM,
    FREE_FROM,
    LABEL_MAPS,
    MASK_ATTRIBUTES_FROM,
    MASKS,
    MEASUREMENTS,
    MeasurementsDigest,
    RowsDigest,
    are_attributes_stale,
    edit_dataset,
    open_dataset,
    read_content,
    row_checksums,
    samples_digest,
)
from ..version import __version__
from .imaging import file_wants_images, must_measure_again
from .places import lacks_places
from .scoring import score_names, score_units
from .segmenters.interface import AnySegmenter, drawn_names, segmented_columns
from .segmenters.own_function import SegmentImages, as_segmenter
from .steps import (
    described_source,
    is_by_this_segmenter,
    is_segmented,
    measure_dataset,
    measured_labels,
    measured_masks,
    refuse_other_segmentation,
)

Stage = Callable[[str], AbstractContextManager[Progress]]
_MASK_BYTES = 0.25  # of a pixel of a compressed label map, at most
_ROW_BYTES = 512  # attributes and scores
_BESIDE = "beside "  # in a part, before the names of columns that are of /masks
_OF_MASKS = [f"attributes/{name}" for name in ("mask", "mask_reasons", "place", "place_reasons")]


def silent_stage(name: str) -> AbstractContextManager[Progress]:
    """A stage that reports nothing."""
    return nullcontext(lambda done, total: None)


def evaluate_dataset(path: str | os.PathLike[str], segmenter: AnySegmenter | SegmentImages, *,
                     batch_size: int = BATCH_SIZE, mirror: bool | None = None, overwrite: bool = False,
                     stage: Stage = silent_stage, workers: int = 1, name: str | None = None) -> str:
    """Segment and measure; returns the name of the segmentation. A segmentation of these images by the same bundle is
    used again, and so are the finished parts of a call that was stopped or killed.

    segmenter: of any form (`load_segmenter`), or a function of images (n, *spatial), or (n, C, *spatial) of several
    channels, and spacing in mm that returns label maps (n, *spatial) in the values of the file's domain; what it gave
    before is replaced. name: of a function's segmentation; None takes the function's own.

    `stage(name)` is entered for "segmenting and measuring", or for "measuring" if nothing is left to segment, and gives
    the progress callback. workers: processes; as in `generate_dataset`, more than one need the guard of `__main__`.
    Raises DatasetError if the file holds another segmentation of that name and `overwrite` is false, InputError if file
    and segmenter do not fit, and InterruptedRun and WorkerError as `generate_dataset` does.
    """
    segmenter = as_segmenter(segmenter, name)
    workers, batch_size = checked_count("workers", workers), checked_count("batch_size", batch_size)
    run = Evaluation(checked_path(path, "evaluate_dataset"), segmenter, batch_size, mirror, overwrite)
    if run.is_finished():
        shutil.rmtree(run.folder, ignore_errors=True)
        with stage("measuring") as progress:
            measure_dataset(path, masks=run.measures_masks or must_measure_again(run.out),
                            segmentations=[segmenter.name], progress=progress)
        return segmenter.name
    existing: Existing = "overwrite" if overwrite and not run.is_begun() else "resume"
    check(run, existing)
    prepare(run, existing)
    with stage("segmenting and measuring") as progress:
        carry_out(run, progress, workers)
    return segmenter.name


@dataclass(frozen=True)
class Evaluation(Run):
    """Segmenting the file `out` and measuring the label maps."""

    out: Path
    segmenter: AnySegmenter
    batch_size: int = BATCH_SIZE
    mirror: bool | None = None
    overwrite: bool = False

    suffix = ".npz"

    def __reduce__(self) -> tuple[object, ...]:
        """Another process computes the plan's text and parts itself."""
        return Evaluation, (self.out, self.segmenter, self.batch_size, self.mirror, self.overwrite)

    @property
    def stem(self) -> Path:
        return self.out.with_name(f"{self.out.name}.{self.segmenter.name}")

    @cached_property
    def text(self) -> str:
        with open_dataset(self.out) as dataset:
            self.segmenter.check_fit(dataset)
            content = {"samples": len(dataset), "samples_sha256": samples_digest(dataset),
                       "spacing_mm": list(dataset.spacing_mm)}
        return json.dumps({**content, **self.segmenter.source(self.mirror), "batch_size": self.batch_size,
                           "measures_masks": self.measures_masks, "metric_definition": DEFINITION,
                           "runtime_version": __version__}, sort_keys=True)

    @cached_property
    def measures_masks(self) -> bool:
        """Whether attributes of /masks must be measured too: the file holds masks without them."""
        with open_dataset(self.out) as dataset:
            return "masks" in dataset and ("mask_attributes" not in dataset
                                           or lacks_places(dataset, dataset.load_domain()))

    @cached_property
    def ranges(self) -> Sequence[range]:
        with open_dataset(self.out) as dataset:
            at_once = dataset.rows_at_once
        batch = self.segmenter.images_at_once(self.batch_size)
        return cut(self.samples, min(batch, at_once), batch, at_once)

    @cached_property
    def samples(self) -> int:
        with open_dataset(self.out) as dataset:
            return len(dataset)

    @property
    def on_gpu(self) -> bool:
        return self.segmenter.on_gpu

    @property
    def bytes_needed(self) -> int:
        with open_dataset(self.out) as dataset:
            row = math.prod(dataset.shape) * _MASK_BYTES + _ROW_BYTES
            return self.out.stat().st_size + 2 * math.ceil(len(dataset) * row)

    @property
    def how_to_go_on(self) -> str:
        return "Run the same command again to go on."

    def is_begun(self) -> bool:
        """Whether the folder of parts belongs to this plan."""
        with suppress(OSError, UnicodeDecodeError):
            return self.plan_file.read_text(encoding="utf-8") == self.text
        return False

    def is_finished(self) -> bool:
        if self.overwrite:
            return False
        if not is_by_this_segmenter(self.out, self.segmenter, self.mirror):
            refuse_other_segmentation(self.out, self.segmenter)
            return False
        return self.segmenter.is_repeatable and is_segmented(self.out, self.segmenter, self.mirror)

    def for_workers(self, count: int) -> "Evaluation":
        alone = count < 2 or self.segmenter.threads == 1 or self.on_gpu
        return self if alone else replace(self, segmenter=self.segmenter.with_threads(1))

    def absolute(self) -> Self:
        return replace(self, out=self.out.absolute())

    def altered(self) -> DatasetError:
        return DatasetError(f"{self.out}: it, or {self.segmenter.origin}, is not what the run began "
                            "with: it was changed, or this machine sees another file. Run again.")

    def is_committed(self, part: Part) -> bool:
        """Whether the part is there, and of the images and label maps that the file holds now."""
        if not is_committed(self.sha256, part):
            return False
        with open_dataset(self.out) as dataset:
            current = row_checksums(dataset, slice(part.samples.start, part.samples.stop))
        return np.array_equal(_read_part(part).get("checksum", ()), current)

    def write_part(self, part: Part, done: Callable[[int], None]) -> None:
        rows, found = slice(part.samples.start, part.samples.stop), list[dict[str, NDArray[Any]]]()
        with open_dataset(self.out) as dataset:
            step = min(self.segmenter.images_at_once(self.batch_size), dataset.rows_at_once)
            for start in range(rows.start, rows.stop, step):
                batch = slice(start, min(start + step, rows.stop))
                found.append(segmented_columns(self.segmenter, dataset, batch, self.batch_size, self.mirror))
                done(batch.stop - batch.start)
            segmented = {name: np.concatenate([columns[name] for columns in found]) for name in found[0]}
            domain, masks, checksums = dataset.load_domain(), segmented["masks"], row_checksums(dataset, rows)
            measured = {**segmented, **measured_labels(dataset, domain, masks, rows, self.segmenter.name)}
            if self.measures_masks:
                of_masks = measured_masks(dataset, domain, rows)
                measured |= {f"{_BESIDE}{name}": values for name, values in of_masks.items()}
        columns = {name: values for name, values in measured.items() if isinstance(values, np.ndarray)}
        _commit(part.path, {**columns, "checksum": checksums,
                            "plan": np.frombuffer(bytes.fromhex(self.sha256), np.uint8)})

    def merging(self, parts: Sequence[Part]) -> AbstractContextManager[Merge]:
        return nullcontext(_SegmentationMerge(self, parts))


class _SegmentationMerge(Merge):
    """Copies parts into the dataset file when all are finished."""

    def __init__(self, run: Evaluation, parts: Sequence[Part]) -> None:
        super().__init__(parts)
        self._run, self._labels, self._measured = run, RowsDigest(), MeasurementsDigest()

    def add(self, committed: Any) -> None:
        self._ready.update(part.number for part in committed)

    def finish(self) -> None:
        run, name = self._run, self._run.segmenter.name
        if replace(run).text != run.text:  # a new object reads the file and the bundle again
            raise run.altered()
        replaced = [f"segmentations/{name}", *(_OF_MASKS if run.measures_masks else [])]
        with open_dataset(run.out) as dataset:
            self._content, self._domain = read_content(dataset), dataset.load_domain()
            stands_in = str(dataset.metadata.get(FREE_FROM, ""))
            stale = are_attributes_stale(dataset, self._content) or stands_in == name
            source = {**described_source(dataset, run.segmenter, run.mirror), "metric_definition": DEFINITION}
        with edit_dataset(run.out, replace=replaced) as self._editor:
            self._writer = self._editor.segmentation(name, source)
            super().finish()
            made = self._content.derivation
            sources = {**made.sources, LABEL_MAPS: self._labels.hexdigest(), MEASUREMENTS: self._measured.hexdigest()}
            self._editor.segmentation(name, {DERIVED_FROM: Derivation(sources, made.settings).text()})
            if run.measures_masks:
                self._editor.set_metadata({MASK_ATTRIBUTES_FROM: self._content.only(MASKS).text()})
        if stale or file_wants_images(run.out):
            measure_dataset(run.out, segmentations=[name], free_from=None if stale else stands_in or None)

    def copy(self, part: Part) -> None:
        columns: dict[str, Any] = _read_part(part)
        if not np.array_equal(columns.pop("checksum"), self._content.checksums[part.samples.start:part.samples.stop]):
            raise self._run.altered()
        del columns["plan"]
        self._labels.add(columns["masks"])
        self._measured.add(columns)
        if self._run.measures_masks:
            self._editor.append(**{name.removeprefix(_BESIDE): columns.pop(name) for name in list(columns)
                                   if name.startswith(_BESIDE)})
        self._writer.append(**columns, score_names=score_names(self._domain), score_units=score_units(self._domain),
                            channel_names=drawn_names(self._run.segmenter))


def is_committed(plan_sha256: str, part: Part) -> bool:
    """Whether the part's file exists, is complete, and belongs to the plan with this digest."""
    try:
        columns = _read_part(part)
    except (BundleError, OSError):
        return False
    plan = columns.pop("plan", np.empty(0)).tobytes()
    return plan == bytes.fromhex(plan_sha256) and {len(rows) for rows in columns.values()} == {len(part.samples)}


def _read_part(part: Part) -> dict[str, NDArray[Any]]:
    return read_npz(part.path.read_bytes(), str(part.path))


def _commit(path: Path, columns: dict[str, NDArray[Any]]) -> None:
    """Write a part, read it again and compare. Raises DatasetError if it differs or cannot be written."""
    try:
        with whole_file(path) as partial:
            partial.write_bytes(npz_bytes(columns))
            again = read_npz(partial.read_bytes(), str(partial))
            if not all(np.array_equal(again[name], values, equal_nan=values.dtype.kind == "f")
                       for name, values in columns.items()):
                raise BundleError(f"{partial}: reads back differently than it was written.")
    except OSError as error:
        raise DatasetError(f"{path}: writing failed ({error.strerror}). Free some space and run again.") from error
    except BundleError as error:
        raise DatasetError(f"{error} Check the disk and the memory of this machine.") from error
