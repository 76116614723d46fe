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
    taken: a line for the parts that the grammar does not know and that were taken for its words. faults:
    contradictions."""

    numbers: Mapping[str, float] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    assumed: Mapping[str, float] = field(default_factory=dict)
    meanings: tuple[str, ...] = ()
    unmet: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class NearestMeaning:
    """What a text beyond the grammar means most likely. words: (kind, word), both of the domain's vocabulary. sentence:
    the known sentence that is most like the text; similarity: of the two, at most 1."""

    words: tuple[tuple[str, str], ...]
    sentence: str
    similarity: float


class FindMeaning(Protocol):
    def __call__(self, text: str) -> NearestMeaning | None:
        """The meaning of a text; None where no known sentence is like it."""


class ReadWords(Protocol):
    def __call__(self, text: str, columns: Collection[str], find_meaning: FindMeaning | None = None) -> Understood:
        """What the text asks for, in columns of these names. find_meaning: reads what the grammar does not know."""


class DescribeMap(Protocol):
    def __call__(self, labels: LabelMap, slice_position: float | None = None,
                 insertion_deg: float | None = None) -> str:
        """One sentence on a (*spatial) label map, which `read` understands in full. slice_position: share of the long
        axis, where it is known; insertion_deg: what directions are counted from, where it is known."""


@dataclass(frozen=True)
class WordRules:
    """example: a text that is understood. vocabulary: kinds of words, each with its words, all of which the grammar
    knows. find_meaning: reads the parts of a text that the grammar does not know; None: nobody does."""

    example: str
    read: ReadWords
    describe: DescribeMap
    vocabulary: Mapping[str, tuple[str, ...]]
    find_meaning: FindMeaning | None = None
