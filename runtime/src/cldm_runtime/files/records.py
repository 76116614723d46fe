"""Frozen dataclasses to and from plain JSON values, with every fault reported under its dotted key."""

import dataclasses
import math
import sys
import types
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
MOST_FAULTS = 1000  # then reading stops: a file of millions must not become a message of gigabytes
_JSON_NAMES = {str: "a string", int: "an integer", float: "a number", bool: "true or false"}


def read_record(cls: type[T], value: object, where: str, faults: list[str]) -> T | None:
    """Build the dataclass `cls` from a JSON object; append to `faults` and return None where that fails.

    A field without a default must be present; a key that `cls` does not define is a fault, because it may change
    what the record means.
    """
    if not isinstance(value, dict):
        faults.append(f"{where}: found {_describe(value)}, expected an object.")
        return None
    before = len(faults)
    hints = get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    built = {}
    for name, field in fields.items():
        if name in value:
            built[name] = _read(hints[name], value[name], _join(where, name), faults)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            faults.append(f"{_join(where, name)}: missing.")
    for name in value.keys() - fields.keys():
        faults.append(f"{_join(where, name)}: unknown key. Known: {', '.join(fields)}.")
    return cls(**built) if len(faults) == before else None


def plain(value: Any) -> Any:
    """The JSON form of a record: dataclasses and mappings as objects, tuples as arrays, None fields left out."""
    if dataclasses.is_dataclass(value):
        pairs = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
        return {name: plain(item) for name, item in pairs if item is not None}
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value


def _read(hint: Any, value: object, where: str, faults: list[str]) -> Any:
    if len(faults) >= MOST_FAULTS:
        return None
    origin = get_origin(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        return _read_union(get_args(hint), value, where, faults)
    if origin is Literal:
        return _read_literal(get_args(hint), value, where, faults)
    if origin is tuple:
        return _read_tuple(get_args(hint), value, where, faults)
    if origin is Mapping:
        return _read_mapping(get_args(hint)[1], value, where, faults)
    if dataclasses.is_dataclass(hint):
        return read_record(hint, value, where, faults)  # type: ignore[arg-type]
    return _read_scalar(hint, value, where, faults)


def _read_union(hints: tuple[Any, ...], value: object, where: str, faults: list[str]) -> Any:
    if value is None and type(None) in hints:
        return None
    choices = [hint for hint in hints if hint is not type(None)]
    attempt: list[str] = []
    for hint in choices:
        attempt = []
        result = _read(hint, value, where, attempt)
        if not attempt:
            return result
    if len(choices) == 1:
        faults.extend(attempt)
    else:
        expected = " or ".join(_JSON_NAMES.get(hint, "a record") for hint in choices)
        faults.append(f"{where}: found {_describe(value)}, expected {expected}.")
    return None


def _read_literal(choices: tuple[Any, ...], value: object, where: str, faults: list[str]) -> Any:
    if value not in choices:
        faults.append(f"{where}: found {_describe(value)}, expected one of: {', '.join(map(str, choices))}.")
    return value


def _read_tuple(hints: tuple[Any, ...], value: object, where: str, faults: list[str]) -> Any:
    if not isinstance(value, list):
        faults.append(f"{where}: found {_describe(value)}, expected an array.")
        return ()
    variable = len(hints) == 2 and hints[1] is Ellipsis
    if not variable and len(value) != len(hints):
        faults.append(f"{where}: found {len(value)} entries, expected {len(hints)}.")
        return ()
    if variable and _are_plain(hints[0], value):  # of which there may be very many
        numbers = float in _plain_types(hints[0])
        return tuple(float(item) if numbers and type(item) is int else item for item in value)
    each = [hints[0]] * len(value) if variable else hints
    return tuple(_read(hint, item, f"{where}[{i}]", faults)
                 for i, (hint, item) in enumerate(zip(each, value, strict=True)))


def _are_plain(hint: Any, values: list[object]) -> bool:
    """Whether every value is sound for a hint of plain types, so that none needs a closer look."""
    allowed = _plain_types(hint)
    return bool(allowed) and {type(value) for value in values} <= allowed and (
        float not in allowed or all(value is None or _is_number(value) for value in values))


@cache
def _plain_types(hint: Any) -> frozenset[type]:
    """The types that values of a hint may have; empty where it is not made of plain types alone."""
    choices = frozenset(get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,))
    if not choices <= {*_JSON_NAMES, type(None)}:
        return frozenset()
    return choices | {int} if float in choices else choices


def _is_number(value: Any) -> bool:
    """Not so: NaN, infinity, and integers that no float holds."""
    return bool(abs(value) <= sys.float_info.max)


def _read_mapping(hint: Any, value: object, where: str, faults: list[str]) -> Any:
    if not isinstance(value, dict):
        faults.append(f"{where}: found {_describe(value)}, expected an object.")
        return {}
    return {name: _read(hint, item, _join(where, name), faults) for name, item in value.items()}


def _read_scalar(hint: type, value: object, where: str, faults: list[str]) -> Any:
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        if _is_number(value):
            return float(value)
        faults.append(f"{where}: found {_describe(value)}, expected a finite number.")
    elif type(value) is not hint:
        faults.append(f"{where}: found {_describe(value)}, expected {_JSON_NAMES[hint]}.")
    return value


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _describe(value: object) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def without_nan(value: Any) -> Any:
    """JSON has no NaN and no infinity: they become null, however deep they lie in dicts, lists and tuples."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
