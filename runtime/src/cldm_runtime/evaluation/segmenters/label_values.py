"""From the channels or label values of a foreign segmenter to the label values of a domain."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ...domains.labels import LabelMap, LabelSet
from ...errors import InputError

_VALUES = 256
_UNKNOWN = -1


def value_table(meanings: Mapping[str, str], labels: LabelSet, where: str) -> NDArray[np.int16]:
    """(256,) the domain's value of each foreign one, -1 for those without a meaning; 0 is the background unless it is
    named. Without any meanings the values are the domain's. Raises InputError for names that the domain lacks."""
    unknown = sorted({name for name in meanings.values() if name not in labels.names})
    if unknown:
        raise InputError(f"{where}: [labels] names {', '.join(unknown)}, which the domain lacks. Its labels: "
                         f"{', '.join(labels.names)}. Map a label that it lacks to {labels.names[0]}, or to the label "
                         "that it is part of.")
    table = np.full(_VALUES, _UNKNOWN, np.int16)
    table[:len(labels) if not meanings else 1] = np.arange(len(labels) if not meanings else 1)
    for value, name in meanings.items():
        table[int(value)] = labels.names.index(name)
    return table


def translated(values: NDArray[np.generic], table: NDArray[np.int16], where: str) -> LabelMap:
    """Label maps in the domain's values. Raises InputError that names the values without a meaning."""
    if values.dtype.kind == "f" and np.isfinite(values).all() and (values == np.rint(values)).all():
        values = values.astype(np.int64)  # NIfTI files of some tools hold labels as floats
    if values.dtype.kind not in "biu":
        raise InputError(f"{where}: gave {values.dtype}, expected label maps of whole numbers. Round them, or take the "
                         "largest channel: argmax.")
    numbers = values.astype(np.int64)
    known = (numbers >= 0) & (numbers < _VALUES)
    found = np.where(known, table[np.where(known, numbers, 0)], _UNKNOWN)
    if (found == _UNKNOWN).any():
        strange = np.unique(numbers[found == _UNKNOWN])[:20].tolist()
        raise InputError(f"{where}: gave the values {strange}, expected {np.flatnonzero(table >= 0).tolist()}. Say in "
                         "[labels] of the segmenter's description which label of the domain each value is.")
    return found.astype(np.uint8)


def lacking(table: NDArray[np.int16], labels: LabelSet) -> list[str]:
    """Regions of the domain that the segmenter never finds."""
    given = set(table[table >= 0].tolist())
    return [name for name, values in labels.regions.items() if not given & set(values)]
