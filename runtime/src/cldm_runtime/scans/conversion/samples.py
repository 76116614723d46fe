"""The samples of a dataset file or of a converted folder, block by block, with all that a dataset knows of them."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...domains.labels import LabelMap, LabelSet
from ...errors import DatasetError, InputError, list_faults
from ...files.blocks import samples_in_block
from ...files.user_files import list_folder
from ...store import Dataset, are_attributes_stale, read_content, sample_checksums
from ...store.format import RESERVED, STORED_MAX
from ..sample_files import case_name
from .formats import FORMATS, Sample
from .nnunet_description import parts_of
from .table import TABLE_FILE, Columns, Header, read_header, read_table, row_columns

Rows = NDArray[np.int64]
RowChoice = Callable[[int, Columns], Rows]  # of the number of samples and their columns


class SampleSource(Protocol):
    """header, names and columns: of the chosen rows. is_whole: whether they are all rows, with their label maps.
    changed: after reading, the names of the samples that are not as they were written."""

    header: Header
    names: list[str]
    columns: dict[str, NDArray[Any]]
    is_whole: bool
    changed: list[str]

    def blocks(self) -> Iterator[list[Sample]]:
        """All samples in order. Raises CldmError."""


def checksums_of(samples: Sequence[Sample], indices: NDArray[np.generic]) -> NDArray[np.uint32]:
    """(n,) as in /checksum of a dataset that holds these."""
    masks = [sample.mask for sample in samples if sample.mask is not None]
    return sample_checksums(np.stack([sample.image for sample in samples]), np.stack(masks) if masks else None, indices)


def indices_of(columns: Mapping[str, NDArray[Any]], names: Sequence[str]) -> NDArray[np.int64]:
    """(n,) numbers of the samples for their checksums: their global index, else their place."""
    return np.asarray(columns["sample_index"] if "sample_index" in columns else np.arange(len(names)), np.int64)


@dataclass
class DatasetSamples:
    """Rows of a dataset file."""

    dataset: Dataset
    rows: Rows
    header: Header
    names: list[str]
    columns: dict[str, NDArray[Any]]
    is_whole: bool
    changed: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, dataset: Dataset, layout: str, choose: RowChoice, *, labels: bool) -> "DatasetSamples":
        """Raises DatasetError for attributes that were measured on other images or label maps than the file holds."""
        measured = [name for name in ("mask_attributes", "image_attributes") if name in dataset]
        if measured and "masks" in dataset and are_attributes_stale(dataset, read_content(dataset)):
            raise DatasetError(f"{dataset.path}: holds attributes of other images or label maps than it holds now. Run "
                               f"`cldm measure {dataset.path}` first.")
        slope, low = dataset.rescale
        metadata = {name: value for name, value in dataset.metadata.items() if name not in RESERVED}
        header = Header(layout, dataset.domain, dataset.shape, dataset.spacing_mm, dataset.channels,
                        (low, low + STORED_MAX * slope), labels and "masks" in dataset,
                        labels and "annotations" in dataset, dataset.checksum is not None, metadata,
                        dataset.load_domain().declaration)
        every = {name: np.asarray(getattr(dataset, name)) for name in row_columns() if name in dataset}
        rows = choose(len(dataset), every)
        columns = {name: values[rows] for name, values in every.items()}
        whole = np.array_equal(rows, np.arange(len(dataset))) and (labels or "masks" not in dataset)
        return cls(dataset, rows, header, [case_name(int(row)) for row in rows], columns, whole)

    def blocks(self) -> Iterator[list[Sample]]:
        parts, at_once = parts_of(self.header, len(self.rows), self.columns), self.dataset.rows_at_once
        for start in range(0, len(self.rows), at_once):
            rows = self.rows[start:start + at_once]
            images = self.dataset.stored_images(rows)
            masks = self.dataset.masks(rows) if self.header.has_masks else [None] * len(rows)
            annotations = self.dataset.annotations(rows) if self.header.has_annotations else [None] * len(rows)
            yield [Sample(self.names[start + number], parts[start + number], *each)
                   for number, each in enumerate(zip(images, masks, annotations, strict=True))]


@dataclass
class FolderSamples:
    """Samples of a folder that `cldm convert` wrote, as its files are now. source: the header of that folder. parts,
    checksums, indices: of the chosen rows, as the folder states them."""

    folder: Path
    source: Header
    header: Header
    names: list[str]
    parts: list[str]
    columns: dict[str, NDArray[Any]]
    checksums: NDArray[np.uint32]
    indices: NDArray[np.int64]
    is_whole: bool
    changed: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, folder: Path, layout: str, choose: RowChoice, *, labels: bool) -> "FolderSamples":
        """Raises InputError that names every missing and foreign file."""
        source = read_header(folder)
        if source.layout not in FORMATS:
            raise InputError(f"{folder}: is of the format {source.layout!r}, which is not read again. Convert the "
                             f"dataset to one of {', '.join(FORMATS)}.")
        names, columns, checksums = read_table(folder, source)
        parts, rows = parts_of(source, len(names), columns), choose(len(names), columns)
        _check_files(folder, source, names, parts)
        header = replace(source, layout=layout, has_masks=labels and source.has_masks,
                         has_annotations=labels and source.has_annotations)
        whole = np.array_equal(rows, np.arange(len(names))) and (labels or not source.has_masks)
        return cls(folder, source, header, [names[row] for row in rows], [parts[row] for row in rows],
                   {name: values[rows] for name, values in columns.items()}, checksums[rows],
                   indices_of(columns, names)[rows], whole)

    def blocks(self) -> Iterator[list[Sample]]:
        """Raises InputError that names every file that cannot be read or does not fit."""
        faults, self.changed = list[str](), []
        at_once = samples_in_block(self.source.channels * math.prod(self.source.shape))
        labels = self.source.load_domain(str(self.folder)).labels
        given = parts_of(self.header, len(self.names), self.columns)
        for start in range(0, len(self.names), at_once):
            block = []
            for row in range(start, min(start + at_once, len(self.names))):
                try:
                    block.append(self._read(row, labels))
                except InputError as error:
                    faults.append(str(error))
            if faults:
                continue  # nothing will be written, but every fault is named
            now = checksums_of(block, self.indices[start:start + at_once])
            self.changed += [self.names[start + int(row)]
                             for row in np.flatnonzero(now != self.checksums[start:start + at_once])]
            yield [self._given(sample, given[start + number]) for number, sample in enumerate(block)]
        if faults:
            raise InputError(list_faults(f"{self.folder}: {len(faults)} file(s) do not fit the dataset. Correct them, "
                                         "or convert the dataset again:", faults))

    def _read(self, row: int, labels: LabelSet) -> Sample:
        name, part = self.names[row], self.parts[row]
        arrays = FORMATS[self.source.layout].read(self.folder, self.source, name, part)
        maps = {kind: _whole_labels(arrays[kind], labels, name) for kind in ("labels", "truth") if kind in arrays}
        drawn = maps.get("labels") if self.source.has_annotations else None
        mask = maps.get("truth" if self.source.has_annotations else "labels")
        return Sample(name, part, np.asarray(arrays["image"], np.uint16), mask, drawn)

    def _given(self, sample: Sample, part: str) -> Sample:
        """A sample as it is passed on."""
        return replace(sample, part=part, mask=sample.mask if self.header.has_masks else None,
                       annotation=sample.annotation if self.header.has_annotations else None)


def _whole_labels(values: NDArray[Any], labels: LabelSet, name: str) -> LabelMap:
    """A label map. Raises InputError for other values than the domain's."""
    if values.dtype.kind not in "biuf" or not np.isfinite(values).all() or (values != np.rint(values)).any():
        raise InputError(f"{name}: the label map holds values that are no whole numbers")
    whole = values.astype(np.int64)
    labels.check(whole, f"{name}: the label map")
    return whole.astype(np.uint8)


def _check_files(folder: Path, header: Header, names: Sequence[str], parts: Sequence[str]) -> None:
    """Raises InputError that names every file that is missing, and those that belong to no sample."""
    pairs = zip(names, parts, strict=True)
    expected = {file for name, part in pairs for file in FORMATS[header.layout].files(header, name, part)}
    endings = {"".join(Path(file).suffixes) for file in expected}
    places = {(folder / file).parent for file in expected}
    found = {path.relative_to(folder).as_posix() for place in places for path in list_folder(place)
             if path.name.endswith(tuple(endings))}
    faults = [f"{file}: is missing" for file in sorted(expected - found)]
    faults += [f"{file}: belongs to no sample of {TABLE_FILE}" for file in sorted(found - expected)]
    if faults:
        raise InputError(list_faults(f"{folder}: expected the files of {len(names)} samples. Put the missing ones "
                                     "back, move the others away, or convert the dataset again:", faults))
