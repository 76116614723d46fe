"""What a derived thing was made from, so that one that is out of date is noticed.

A derivation names its sources, each with the SHA-256 of its content, and the settings that it was made with. It is
kept as text with the derived thing: in an attribute of a dataset file, or in the JSON with the weights of a stage.
Times, sizes and names of files never show that two contents are the same.

    made = Derivation({"images": sha256, "masks": sha256}, {"percentiles": [1, 99]})
    differences(Derivation.read(text), made)     # what has changed since, in words; [] where nothing has
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from .digest import sha256_of_bytes

_SHOWN = 12  # characters of a digest that are enough to tell two apart
_DIGEST = 64


@dataclass(frozen=True)
class Derivation:
    """sources: name -> SHA-256 of the content. settings: JSON values."""

    sources: Mapping[str, str]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """One line of JSON, equal for equal derivations."""
        return json.dumps({"settings": self.settings, "sources": self.sources}, sort_keys=True)

    @property
    def sha256(self) -> str:
        """One digest of all of it."""
        return sha256_of_bytes(self.text().encode())

    @classmethod
    def read(cls, text: str) -> Self | None:
        """None for a text that is no derivation: what it was made from is not known."""
        try:
            value = json.loads(text)
            return cls(dict(value["sources"]), dict(value["settings"]))
        except (ValueError, KeyError, TypeError, RecursionError):
            return None


def differences(old: Derivation, new: Derivation) -> list[str]:
    """The sources and settings in which two derivations differ, a line for each; none of equal ones."""
    was, now = (json.loads(json.dumps({**derivation.sources, **derivation.settings})) for derivation in (old, new))
    added = [f"{key}: was not set, is now {_short(now[key])}" for key in sorted(now.keys() - was.keys())]
    return [*differing_values(was, now), *added]


def differing_values(old: Any, new: Any, where: str = "", free: frozenset[str] = frozenset()) -> list[str]:
    """The dotted keys of `old` whose values are others in `new`, with both. Dotted keys in `free` may differ, and keys
    that only `new` has."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        prefix = f"{where}." if where else ""
        return [line for key in sorted(old) if prefix + key not in free
                for line in differing_values(old[key], new.get(key), prefix + key, free)]
    return [] if old == new else [f"{where}: was {_short(old)}, is now {_short(new)}"]


def _short(value: Any) -> str:
    """As a message shows it. Two digests that differ do so at the start."""
    digest = isinstance(value, str) and len(value) == _DIGEST and not set(value) - set("0123456789abcdef")
    return f"{value[:_SHOWN]}..." if digest else repr(value)
