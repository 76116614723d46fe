"""Frozen dataclasses to and from plain JSON or TOML values, with every fault reported under its dotted key."""

import dataclasses
import math
import sys
import types
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
MOST_FAULTS = 1000  # reading stops there: millions of faults would make a message of gigabytes
_NAMES = {str: "a string", int: "an integer", float: "a number", bool: "true or false", type(None): "null"}


class Containers(NamedTuple):
    """What a file format calls its containers."""

    record: str
    sequence: str


JSON = Containers("an object", "an array")
TOML = Containers("a table", "a list")


def read_record(cls: type[T], value: object, where: str, faults: list[str], containers: Containers = JSON) -> T | None:
    """Build the dataclass `cls` from a JSON object or a TOML table. If that fails, append to `faults`, return None.
    Fields may be scalars, Literal, Any, tuples, dicts and Mappings with keys of str, dataclasses, and unions of those.

    A field without a default must be present. A key that `cls` does not define is a fault, because it may change
    the meaning of the record.
    """
    before = len(faults)
    record = _Reader(faults, containers).record(cls, value, where)
    return record if len(faults) == before else None


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


def without_nan(value: Any) -> Any:
    """The value with NaN and infinity, which JSON does not have, as None, at any depth of dicts, lists and tuples."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclasses.dataclass(frozen=True)
class _Reader:
    """Reads a value according to a type hint, and appends its faults to `faults`."""

    faults: list[str]
    containers: Containers

    def record(self, cls: Any, value: object, where: str) -> Any:
        if not isinstance(value, dict):
            return self._fault(where, value, self.containers.record)
        before, hints = len(self.faults), get_type_hints(cls)
        fields = {field.name: field for field in dataclasses.fields(cls)}
        built = {}
        for name, field in fields.items():
            if name in value:
                built[name] = self.read(hints[name], value[name], _join(where, name))
            elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                self.faults.append(f"{_join(where, name)}: missing. Expected {self._spell(hints[name])}.")
        for name in sorted(value.keys() - fields.keys()):
            self.faults.append(f"{_join(where, name)}: unknown key. Known: {', '.join(fields)}.")
        return cls(**built) if len(self.faults) == before else None

    def read(self, hint: Any, value: object, where: str) -> Any:
        if len(self.faults) >= MOST_FAULTS:
            return None
        origin = get_origin(hint)
        if hint is Any:
            return value
        if origin in (Union, types.UnionType):
            return self._union(get_args(hint), value, where)
        if origin is Literal:
            return value if value in get_args(hint) else self._fault(where, value, self._spell(hint))
        if origin is tuple:
            return self._sequence(get_args(hint), value, where)
        if origin in (Mapping, dict):
            return self._mapping(get_args(hint)[1], value, where)
        if dataclasses.is_dataclass(hint):
            return self.record(hint, value, where)
        return self._scalar(hint, value, where)

    def _fault(self, where: str, value: object, expected: str) -> None:
        self.faults.append(f"{where}: found {self._describe(value)}, expected {expected}.")

    def _union(self, hints: tuple[Any, ...], value: object, where: str) -> Any:
        if value is None and type(None) in hints:
            return None
        choices = [hint for hint in hints if hint is not type(None)]
        attempt: list[str] = []
        for hint in choices:
            attempt = []
            result = _Reader(attempt, self.containers).read(hint, value, where)
            if not attempt:
                return result
        if len(choices) == 1:
            self.faults.extend(attempt)
            return None
        return self._fault(where, value, " or ".join(self._spell(hint) for hint in choices))

    def _sequence(self, hints: tuple[Any, ...], value: object, where: str) -> Any:
        if not isinstance(value, list):
            return self._fault(where, value, self.containers.sequence)
        variable = len(hints) == 2 and hints[1] is Ellipsis
        if not variable and len(value) != len(hints):
            self.faults.append(f"{where}: found {len(value)} entries, expected {len(hints)}.")
            return ()
        if variable and _are_plain(hints[0], value):  # the fast way: there may be very many
            numbers = float in _plain_types(hints[0])
            return tuple(float(item) if numbers and type(item) is int else item for item in value)
        each = [hints[0]] * len(value) if variable else hints
        return tuple(self.read(hint, item, f"{where}[{i}]")
                     for i, (hint, item) in enumerate(zip(each, value, strict=True)))

    def _mapping(self, hint: Any, value: object, where: str) -> Any:
        if not isinstance(value, dict):
            return self._fault(where, value, self.containers.record)
        return {name: self.read(hint, item, _join(where, name)) for name, item in value.items()}

    def _scalar(self, hint: type, value: object, where: str) -> Any:
        if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
            return float(value) if _is_number(value) else self._fault(where, value, "a finite number")
        return value if type(value) is hint else self._fault(where, value, _NAMES[hint])

    def _spell(self, hint: Any) -> str:
        origin = get_origin(hint)
        if origin in (Union, types.UnionType):
            return " or ".join(self._spell(choice) for choice in get_args(hint))
        if origin is Literal:
            return f"one of: {', '.join(map(str, get_args(hint)))}"
        if origin is tuple:
            return self.containers.sequence
        return _NAMES.get(hint, self.containers.record)

    def _describe(self, value: object) -> str:
        if isinstance(value, dict | list):
            return self.containers.record if isinstance(value, dict) else self.containers.sequence
        text = repr(value)
        return text if len(text) <= 60 else text[:57] + "..."


def _are_plain(hint: Any, values: list[object]) -> bool:
    """Whether the hint consists of plain types and every value is valid for it."""
    allowed = _plain_types(hint)
    return bool(allowed) and {type(value) for value in values} <= allowed and (
        float not in allowed or all(value is None or _is_number(value) for value in values))


@cache
def _plain_types(hint: Any) -> frozenset[type]:
    """The types that values of a hint may have. Empty if the hint contains other than plain types."""
    choices = frozenset(get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,))
    if not choices <= {*_NAMES, type(None)}:
        return frozenset()
    return choices | {int} if float in choices else choices


def _is_number(value: Any) -> bool:
    """False for NaN, infinity, and integers beyond the range of a float."""
    return bool(abs(value) <= sys.float_info.max)


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
