"""Converts a dataset file, or a folder made from one, to a dataset file or to a folder of another format.

A whole dataset that goes to a folder and back is the same: images, label maps, attributes and what it says of itself.
Part of it, or one with files that somebody changed, is a dataset of its own, which no longer says that a run made it.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError, list_faults
from ...files.derived import Derivation
from ...files.whole_folder import whole_folder
from ...runs.run import Progress
from ...store import (
    IMAGE_ATTRIBUTES_FROM,
    IMAGES,
    MASK_ATTRIBUTES_FROM,
    MASKS,
    DatasetSpec,
    MetadataValue,
    RowsDigest,
    create_dataset,
    open_dataset,
)
from ..subsets import PATIENTS, SPLITS, SUBSETS
from .formats import FORMATS, Sample
from .nnunet_description import DESCRIPTION, parts_of
from .samples import DatasetSamples, FolderSamples, RowChoice, SampleSource, checksums_of, indices_of
from .table import HEADER_FILE, TABLE_FILE, read_header, read_table, write_table

DATASET = "h5"
SOURCE = "cldm convert"
_MEASURED = ("mask_attributes", "mask_reasons", "image_attributes", "image_reasons", "place", "place_reasons")
_OF_A_RUN = ("plan", "plan_sha256", "part_samples", "anatomy_draws", "derived_from")
_BESIDES = {HEADER_FILE, TABLE_FILE, DESCRIPTION, PATIENTS, SPLITS, SUBSETS}
_MOST_NAMED = 5


def all_rows(count: int, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
    return np.arange(count)


@dataclass
class Converted:
    """How many samples were written, and sentences on what is not in them or was changed."""

    samples: int
    notes: list[str] = field(default_factory=list)


def convert(source: Path, layout: str, target: Path, *, choose: RowChoice = all_rows, labels: bool = True,
            overwrite: bool = False, progress: Progress | None = None) -> Converted:
    """Write `target`, whole or not at all: a dataset file for the layout "h5", else a folder of a format in FORMATS.

    choose: the rows. labels: with label maps, where there are any. Raises InputError and DatasetError.
    """
    if layout != DATASET:
        _check_target(source, target, overwrite=overwrite)
    with _opened(source, layout, choose, labels) as (samples, notes):
        if layout == DATASET:
            _write_dataset(samples, target, overwrite, progress, notes)
        else:
            _write_folder(samples, target, progress, notes)
        return Converted(len(samples.names), notes)


@contextmanager
def _opened(source: Path, layout: str, choose: RowChoice, labels: bool) -> Iterator[tuple[SampleSource, list[str]]]:
    if source.is_dir():
        yield FolderSamples.of(source, layout, choose, labels=labels), []
        return
    with open_dataset(source) as dataset:
        notes = [f"left out: the segmentations by {', '.join(dataset.segmentations)}."] if dataset.segmentations else []
        yield DatasetSamples.of(dataset, layout, choose, labels=labels), notes


def _check_target(source: Path, target: Path, *, overwrite: bool) -> None:
    """Raise InputError for a folder that holds anything, or, to overwrite it, anything that this did not write."""
    if target.exists() and not target.is_dir():
        raise InputError(f"{target}: is a file, expected a folder, new or empty. Choose another name.")
    if not target.is_dir() or not os.listdir(target):
        return
    if not overwrite:
        raise InputError(f"{target}: is not empty. Choose another folder, or pass --overwrite to replace an earlier "
                         "conversion.")
    if source.resolve() == target.resolve():
        raise InputError(f"{target}: is what is converted. Choose another folder.")
    header = read_header(target)
    names, columns, _ = read_table(target, header)
    pairs = zip(names, parts_of(header, len(names), columns), strict=True)
    ours = {file for name, part in pairs for file in FORMATS[header.layout].files(header, name, part)} | _BESIDES
    others = sorted(path.relative_to(target).as_posix() for path in target.rglob("*")
                    if not path.is_dir() and path.relative_to(target).as_posix() not in ours)
    if others:
        raise InputError(list_faults(f"{target}: holds {len(others)} file(s) that `cldm convert` did not write, which "
                                     "--overwrite would remove. Move them away, or choose another folder:", others))


def _blocks(samples: SampleSource, progress: Progress | None) -> Iterator[list[Sample]]:
    done = 0
    for block in samples.blocks():
        yield block
        done += len(block)
        if progress:
            progress(done, len(samples.names))


@dataclass
class _Seen:
    """Digests of all that was passed on, and the names of the samples that somebody changed."""

    images: RowsDigest = field(default_factory=RowsDigest)
    masks: RowsDigest = field(default_factory=RowsDigest)

    def add(self, block: Sequence[Sample]) -> None:
        self.images.add(np.stack([sample.image for sample in block]))
        if block[0].mask is not None:
            self.masks.add(np.stack([sample.mask for sample in block if sample.mask is not None]))


def _settled(samples: SampleSource, seen: _Seen, notes: list[str]
             ) -> tuple[dict[str, NDArray[Any]], dict[str, MetadataValue]]:
    """Columns and metadata that hold for what was passed on."""
    header, columns = samples.header, dict(samples.columns)
    metadata: dict[str, MetadataValue] = dict(header.metadata)
    if samples.is_whole and not samples.changed:
        return columns, metadata
    known = header.has_checksums or MASK_ATTRIBUTES_FROM in metadata
    for name in (MASK_ATTRIBUTES_FROM, IMAGE_ATTRIBUTES_FROM, *_OF_A_RUN):
        metadata.pop(name, None)
    metadata = {name: value for name, value in metadata.items() if not name.startswith("dropped_")}
    if samples.changed:
        named = ", ".join(samples.changed[:_MOST_NAMED]) + (", ..." if len(samples.changed) > _MOST_NAMED else "")
        notes.append(f"{len(samples.changed)} of {len(samples.names)} samples were changed since they were written "
                     f"({named}): measured attributes are left out, `cldm measure` makes them, and the dataset no "
                     "longer says how it was generated.")
        return ({name: values for name, values in columns.items() if name not in _MEASURED},
                {"source": SOURCE, **{name: metadata[name] for name in ("nature",) if name in metadata}})
    if not header.has_masks:
        return {name: values for name, values in columns.items()
                if name not in ("image_attributes", "image_reasons", "place", "place_reasons")}, metadata
    settings, masks = {"spacing_mm": list(header.spacing_mm)}, {MASKS: seen.masks.hexdigest()}
    if known and "mask_attributes" in columns:
        metadata[MASK_ATTRIBUTES_FROM] = Derivation(masks, settings).text()
    if "image_attributes" in columns:
        images = {IMAGES: seen.images.hexdigest(*header.rescale)}
        metadata[IMAGE_ATTRIBUTES_FROM] = Derivation({**images, **masks}, settings).text()
    return columns, metadata


def _write_folder(samples: SampleSource, target: Path, progress: Progress | None, notes: list[str]) -> None:
    header, used, seen = samples.header, FORMATS[samples.header.layout], _Seen()
    if len(header.shape) not in used.axes:
        raise InputError(f"the images are volumes of {header.shape}, and {used.title} holds slices. Choose another "
                         f"format: {', '.join(name for name, other in FORMATS.items() if 3 in other.axes)}.")
    checksums, indices, done = [], indices_of(samples.columns, samples.names), 0
    try:
        with whole_folder(target) as folder:
            for block in _blocks(samples, progress):
                for sample in block:
                    used.write(folder, header, sample)
                checksums.append(checksums_of(block, indices[done:done + len(block)]))
                seen.add(block)
                done += len(block)
            columns, metadata = _settled(samples, seen, notes)
            keeps = header.has_checksums and samples.is_whole and not samples.changed
            header = header.with_metadata(metadata, keeps)
            used.describe(folder, header, samples.names, columns)
            write_table(folder, header, samples.names, columns, np.concatenate(checksums))
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror or error}). Choose a folder that you may write "
                         "to, with space for the images.") from error


def _write_dataset(samples: SampleSource, target: Path, overwrite: bool, progress: Progress | None, notes: list[str]
                   ) -> None:
    header, seen, done = samples.header, _Seen(), 0
    indices = indices_of(samples.columns, samples.names)
    spec = DatasetSpec(header.load_domain(str(target)), header.shape, header.spacing_mm, header.channels,
                       header.intensity_range, checksums=header.has_checksums and samples.is_whole)
    with create_dataset(target, spec, overwrite=overwrite) as writer:
        slope, low = header.rescale
        for block in _blocks(samples, progress):
            stored = np.stack([sample.image for sample in block])
            maps = {"masks": [sample.mask for sample in block], "annotations": [sample.annotation for sample in block]}
            columns = {name: np.stack([each for each in rows if each is not None])
                       for name, rows in maps.items() if rows[0] is not None}
            writer.append(images=stored * slope + low, **columns,
                          sample_index=indices[done:done + len(block)] if "sample_index" in samples.columns else None)
            seen.add(block)
            done += len(block)
        settled, metadata = _settled(samples, seen, notes)
        writer.append(**{name: values for name, values in settled.items() if name != "sample_index"})
        writer.set_metadata(metadata)
