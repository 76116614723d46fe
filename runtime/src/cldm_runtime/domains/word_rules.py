"""How a domain reads requests in words, and describes label maps in words."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from .labels import LabelMap


@dataclass(frozen=True)
class Understood:
    """What a text asks for. numbers: name of a column of a grid -> its value in the user's units; words: likewise, for
    columns of words. assumed: numbers that the text does not state, and that a column of the row replaces. meanings: a
    line for each phrase that was understood, with what it stands for. unmet: phrases that were understood, but that
    none of the columns takes, with the reason. unknown: the parts that were not understood, in the order of the text.
    faults: contradictions."""

    numbers: Mapping[str, float] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    assumed: Mapping[str, float] = field(default_factory=dict)
    meanings: tuple[str, ...] = ()
    unmet: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


class ReadWords(Protocol):
    def __call__(self, text: str, columns: Collection[str]) -> Understood:
        """What the text asks for, in columns of these names."""


class DescribeMap(Protocol):
    def __call__(self, labels: LabelMap, slice_position: float | None = None,
                 insertion_deg: float | None = None) -> str:
        """One sentence on a (*spatial) label map, which `read` understands in full. slice_position: share of the long
        axis, where it is known; insertion_deg: what directions are counted from, where it is known."""


@dataclass(frozen=True)
class WordRules:
    """example: a text that is understood. vocabulary: kinds of
    words, each with the words and what they stand for, for messages and documentation."""

    example: str
    read: ReadWords
    describe: DescribeMap
    vocabulary: Mapping[str, tuple[str, ...]]
