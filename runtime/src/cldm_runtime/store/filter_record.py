"""What a quality filter did to a generated dataset, as a root attribute of the file states it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError, list_faults
from ..files.records import plain, read_record

FILTER = "quality_filter"  # root attribute: the text of a `FilterRecord`


@dataclass(frozen=True)
class FilterBin:
    """Samples whose attribute, as requested or measured on the label map, is in one bin: how many were asked for, how
    many of them were accepted or given up, and how many candidates were rejected on the way. A bin is [low, high), the
    last one of an attribute [low, high]."""

    attribute: str
    unit: str
    low: float
    high: float
    asked: int
    accepted: int
    given_up: int
    rejected: int


@dataclass(frozen=True)
class FilterRecord:
    """rule: by which candidates were kept. tries: candidates of a sample, at most. segmenter, segmenter_sha256: the
    bundle that judged, and the SHA-256 of its manifest. asked, accepted: samples; rejected: candidates. means: of each
    value in the rule, over all candidates for which it is finite. given_up: indices of the samples without an accepted
    candidate, which the file lacks; given_up_rows: how many those are by row of the grid."""

    rule: str
    tries: int
    segmenter: str
    segmenter_sha256: str
    asked: int
    accepted: int
    rejected: int
    means: Mapping[str, float] = field(default_factory=dict)
    given_up: tuple[int, ...] = ()
    given_up_rows: Mapping[str, int] = field(default_factory=dict)
    bins: tuple[FilterBin, ...] = ()

    def text(self) -> str:
        return json.dumps(plain(self))


def read_filter(metadata: Mapping[str, str | int | float], where: object) -> FilterRecord | None:
    """The record among root attributes; None for a file that no filter made. Raises DatasetError for a damaged one.
    where: the file, for the message."""
    if FILTER not in metadata:
        return None
    faults: list[str] = []
    try:
        value = json.loads(str(metadata[FILTER]))
    except ValueError as error:
        value, faults = None, [f"no JSON ({error})"]
    record = None if faults else read_record(FilterRecord, value, "", faults)
    if record is None:
        raise DatasetError(list_faults(f"{where}: the root attribute {FILTER} is damaged. Make the file again.",
                                       faults))
    return record


def expected_samples(samples: int, record: FilterRecord | None) -> NDArray[np.int64]:
    """Indices of the samples that a file holds if `samples` were asked for."""
    every = np.arange(samples, dtype=np.int64)
    return every if record is None else np.setdiff1d(every, np.array(record.given_up, dtype=np.int64))
