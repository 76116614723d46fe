"""The labels of nnU-Net's dataset.json: {name: value}, or {name: [values]} for a region."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files.numbers import whole_number


def read_labels(labels: Mapping[str, Any], file: Path) -> dict[str, tuple[int, ...]]:
    """Name -> the values that carry it. A value is an integer, or a text of one.

    Raises InputError for other values, and for the form of nnU-Net v1, which it says how to convert.
    """
    found = {}
    for name, entry in labels.items():
        try:
            found[str(name)] = tuple(_value(item) for item in (entry if isinstance(entry, list) else [entry]))
        except ValueError as error:
            if str(name).isdecimal() and isinstance(entry, str):
                raise InputError(_version_1(str(name), entry, file)) from error
            raise InputError(f"{file}: labels says that {name!r} is {entry!r}, expected an integer, or a list of "
                             "integers for a region.") from error
    return found


def _value(item: object) -> int:
    if isinstance(item, str):
        return whole_number(item)
    if isinstance(item, bool) or not isinstance(item, int | float) or item != item // 1:
        raise ValueError
    return int(item)


def _version_1(value: str, name: str, file: Path) -> str:
    return (f"{file}: labels says that {value} is {name!r}, which is the form of nnU-Net v1, expected that of v2. "
            f'Write it the other way round, "{name}": {value}, and `channel_names` in place of `modality`; '
            "nnUNetv2_convert_old_nnUNet_dataset does this for the whole dataset.")
