"""Requests from words, and facts from the sentences of `caption.py`."""

import math
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np

from ...word_rules import FindMeaning, Understood, WordRules
from ..attributes import NAMES as ATTRIBUTE_NAMES
from ..place import LEVELS, segment_centre
from .caption import caption
from .facts import APICAL_WALLS, LARGEST, LAYER_WORDS, SIZES, WALLS, ScarFacts, measure_facts, size_bin
from .grammar import (
    ABSENT,
    ANGLE,
    BLOCKED,
    BLOCKED_SHARE,
    CLOCK,
    DEPTH,
    EXTENT,
    INSERTION,
    LAYER,
    LEVEL,
    LONGEST_TEXT,
    NAMES,
    SHARE,
    SIDES,
    SIZE,
    SURFACE,
    WALL,
    Phrase,
    find_phrases,
)
from .likeness import likely_phrases

_SIZE, _DEPTH, _SURFACE, _POSITION = ATTRIBUTE_NAMES
_ANGLE, _INSERTION, _LAYER = "angle_deg", "rv_insertion_deg", "layer"
# Where no column takes the layer, the transmurality stands for it: from which to which share of the wall a scar goes.
DEPTHS = {"endocardial": (0.2, 0.5), "mid-wall": (0.2, 0.5), "epicardial": (0.2, 0.5), "transmural": (0.75, 0.95)}
_SPARES_THE_ENDOCARDIUM = ("mid-wall", "epicardial")
STANDARD_INSERTION = 330.0  # degrees from 12 o'clock: where a short-axis slice in the usual display has it
_ONCE = (SIZE, SHARE, DEPTH, SURFACE, LAYER, LEVEL, CLOCK, ANGLE, EXTENT, BLOCKED_SHARE)
_ROUNDING = 0.0005  # of a share that a sentence states


def facts_from(text: str) -> ScarFacts | None:
    """The facts of a sentence of `caption`; None for any other text."""
    phrases, unknown = find_phrases(text)
    slots = _by_slot(phrases)
    if unknown or not ({SHARE, ABSENT} & slots.keys()):
        return None
    first = {slot: values[0] for slot, values in slots.items()}
    angle = first.get(ANGLE, (None, ""))[0]
    facts = ScarFacts(
        first.get(SHARE, 0.0), first.get(DEPTH), first.get(SURFACE), first.get(BLOCKED_SHARE, 0.0),
        first.get(LAYER, ""), first.get(LEVEL, ""), tuple(slots.get(WALL, ())), first.get(CLOCK), angle,
        first.get(EXTENT))
    return facts if caption(facts) == text else None


def _by_slot(phrases: Sequence[Phrase]) -> dict[str, list[Any]]:
    slots: dict[str, list[Any]] = {}
    for phrase in phrases:
        slots.setdefault(phrase.slot, []).append(phrase.value)
    return slots


def read_words(text: str, columns: Collection[str], find_meaning: FindMeaning | None = None) -> Understood:
    """See `ReadWords`. Numbers in a text win over its words, which stand for the middle of their bin."""
    if len(text) > LONGEST_TEXT:
        return Understood(faults=(f"the text has {len(text)} characters, expected at most {LONGEST_TEXT}",))
    phrases, unknown = find_phrases(text)
    faults = (*_negations(unknown), *_contradictions(phrases))
    likely, taken = ([], ()) if faults else likely_phrases(text, phrases, unknown, find_meaning)
    phrases, unknown = [*phrases, *likely], [] if likely else unknown
    reader = _Reading(phrases, columns)
    if not faults:
        reader.read()
    return Understood(reader.numbers, reader.words, reader.assumed, tuple(reader.meanings), tuple(reader.unmet),
                      tuple(unknown), taken, faults)


def _negations(unknown: Sequence[str]) -> Iterator[str]:
    """A fault where a text says what a scar is not: whatever follows would be taken for what it is."""
    for part in unknown:
        if found := re.search(r"(?<![\w-])(?:not?|nor|neither|never|without|non|\w+n't)(?![\w'])", part):
            yield f"{found[0]!r}: what a scar is not cannot be requested, but for 'no scar'. Say what it is"


def _contradictions(phrases: Sequence[Phrase]) -> Iterator[str]:
    slots = _by_slot(phrases)
    for slot in _ONCE:
        said = [phrase for phrase in phrases if phrase.slot == slot]
        if len({repr(phrase.value) for phrase in said}) > 1:
            yield f"{' and '.join(repr(phrase.text) for phrase in said)} contradict each other: give one {slot}"
    if ABSENT in slots and set(slots) - {ABSENT, LEVEL}:
        other = next(phrase for phrase in phrases if phrase.slot not in (ABSENT, LEVEL))
        absent = next(phrase for phrase in phrases if phrase.slot == ABSENT)
        yield f"{absent.text!r} and {other.text!r} contradict each other"
    for word, share in zip(slots.get(SIZE, [])[:1], slots.get(SHARE, [])[:1], strict=False):
        low, high = size_bin(word)
        if not low - _ROUNDING <= share <= high + _ROUNDING:
            yield f"{word!r} stands for {100 * low:g} to {100 * high:g} % of the wall, but {100 * share:g} % is stated"
    if SIDES in slots and {WALL, CLOCK, ANGLE} & slots.keys():
        yield "a scar on all sides has no single place: leave one of them out"


class _Reading:
    """Fills the columns that there are."""

    def __init__(self, phrases: Sequence[Phrase], columns: Collection[str]) -> None:
        self.phrases, self.columns = phrases, columns
        self.slots = _by_slot(phrases)
        self.numbers: dict[str, float] = {}
        self.words: dict[str, str] = {}
        self.assumed: dict[str, float] = {}
        self.meanings, self.unmet = list[str](), list[str]()

    def read(self) -> None:
        if ABSENT in self.slots:
            self._set({_SIZE: 0.0}, ABSENT)
        self._size()
        self._layer()
        for slot, column in ((DEPTH, _DEPTH), (SURFACE, _SURFACE)):
            if slot in self.slots:
                self._set({column: self.slots[slot][0]}, slot)
        if LEVEL in self.slots and _ANGLE in self.columns:
            self.unmet.append(f"{self._text(LEVEL)}: a given slice has its own level")
        elif LEVEL in self.slots:
            third = LEVELS.index(self.slots[LEVEL][0])
            self._set({_POSITION: (2 * third + 1) / 6}, LEVEL, f"the middle of {third}/3 to {third + 1}/3")
        self._place()
        for slot, why in ((EXTENT, "the extent follows from size and depth"),
                          (SIDES, "how far round a scar reaches follows from size and depth"),
                          (BLOCKED, "no microvascular obstruction is drawn"),
                          (BLOCKED_SHARE, "no microvascular obstruction is drawn")):
            if slot in self.slots:
                self.unmet.append(f"{self._text(slot)}: {why}")

    def _size(self) -> None:
        if SHARE in self.slots:
            self._set({_SIZE: self.slots[SHARE][0]}, SHARE)
        elif SIZE in self.slots:
            low, high = size_bin(self.slots[SIZE][0])
            middle = (low + (high if high < 1 else LARGEST)) / 2
            self._set({_SIZE: round(middle, 4)}, SIZE, f"the middle of {low:g} to {high if high < 1 else LARGEST:g}")

    def _layer(self) -> None:
        if LAYER not in self.slots:
            return
        layer = self.slots[LAYER][0]
        if _LAYER in self.columns:
            self.words[_LAYER] = layer
            self.meanings.append(f"{self._text(LAYER)}: {_LAYER} {layer}")
            return
        low, high = DEPTHS[layer]
        if DEPTH not in self.slots:
            size = self.numbers.get(_SIZE, 0.0)  # no scar is shallower than its share of the wall
            self._set({_DEPTH: round(max((low + high) / 2, (size + high) / 2 if size < high else high), 4)}, LAYER,
                      f"of {low:g} to {high:g}")
        if layer in _SPARES_THE_ENDOCARDIUM and SURFACE not in self.slots:
            outer = layer == "epicardial"
            self._set({_SURFACE: 0.0}, LAYER, "drawn hearts have such a scar in the middle of the wall; cldm-gen "
                      "--edit scar draws it in the outer layer" if outer else "the scar spares the endocardium")

    def _place(self) -> None:
        """A direction: as stated, else the hours' middle, else the middle of the walls that are named."""
        slot = next((slot for slot in (ANGLE, CLOCK, WALL) if slot in self.slots), None)
        if slot is None:
            return
        if _ANGLE not in self.columns:
            self.unmet.append(f"{self._text(slot)}: a drawn scar takes any direction")
            return
        if slot == ANGLE:
            angle, origin = self.slots[ANGLE][0]
            insertion = origin == INSERTION
        elif slot == CLOCK:
            first, last = self.slots[CLOCK][0]
            angle, insertion = (first * 30.0 + (last - first) % 12 * 15.0) % 360.0, False
        else:
            angle, insertion = self._middle_of_walls(), True
        if math.isnan(angle):
            self.unmet.append(f"{self._text(slot)}: these walls have no common middle. Name neighbours")
            return
        if insertion:
            self.assumed |= {_INSERTION: STANDARD_INSERTION}
            self._set({_ANGLE: angle}, slot, "from the insertion: at 11 o'clock, unless a column says otherwise")
        else:
            self._set({_ANGLE: angle, _INSERTION: 0.0}, slot, "from 12 o'clock")

    def _middle_of_walls(self) -> float:
        """Degrees clockwise from the insertion; NaN for walls that lie opposite to each other."""
        apical = self.slots.get(LEVEL, [""])[0] == LEVELS[0]
        directions = [segment_centre(segment) for wall in self.slots[WALL] for segment in segments_of(wall, apical)]
        mean = np.exp(1j * np.deg2rad(directions)).mean()
        return float("nan") if abs(mean) < 1e-6 else float(round(np.rad2deg(np.angle(mean)) % 360.0, 1) % 360.0)

    def _set(self, numbers: dict[str, float], slot: str, why: str = "") -> None:
        self.numbers |= {name: value for name, value in numbers.items() if name in self.columns}
        stated = ", ".join(f"{name} {value:.4g}" for name, value in numbers.items())
        self.meanings.append(f"{self._text(slot)}: {stated}{f' ({why})' if why else ''}")

    def _text(self, slot: str) -> str:
        return repr(" and ".join(phrase.text for phrase in self.phrases if phrase.slot == slot))


def segments_of(wall: str, apical: bool) -> tuple[int, ...]:
    """The segments of a wall: of the four of the apex, or of the six of the other levels. The septal and the lateral
    wall are two of the six; a wall that the apex does not have is taken from the six."""
    if apical and wall in APICAL_WALLS:
        return (13 + APICAL_WALLS.index(wall),)
    pairs = {"septal": ("anteroseptal", "inferoseptal"), "lateral": ("inferolateral", "anterolateral")}
    return tuple(1 + WALLS.index(name) for name in pairs.get(wall, (wall,)))


RULES = WordRules(
    "small subendocardial scar in the inferior wall, basal level", read_words,
    lambda labels, slice_position=None, insertion_deg=None: caption(
        measure_facts(labels, slice_position, insertion_deg)),
    {ABSENT: ("no scar",), SIZE: tuple(word for word, _ in SIZES), LAYER: tuple(LAYER_WORDS.values()),
     LEVEL: NAMES[LEVEL], WALL: NAMES[WALL], "place": ("5 o'clock", "from 5 to 7 o'clock"),
     "numbers": ("6 % of the wall", "40 % deep", "24 % of the endocardium")})
