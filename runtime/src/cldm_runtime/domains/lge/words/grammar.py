"""The phrases of scars: what each looks like in a text, and what it says. The grammar is this project's own.

A text is searched for each phrase in turn, the more specific first; what no phrase takes, and is no word without
content, is not understood.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..place import LEVELS
from .facts import APICAL_WALLS, LAYER_WORDS, SIZES, WALLS

ABSENT, SIZE, SHARE, DEPTH, SURFACE, BLOCKED, BLOCKED_SHARE, LAYER, LEVEL, WALL, CLOCK, SIDES, ANGLE, EXTENT = SLOTS = (
    "absent", "size", "share", "depth", "surface", "blocked", "blocked share", "layer", "level", "wall", "clock",
    "sides", "angle", "extent")
INSERTION, TWELVE = "the insertion", "12 o'clock"  # what angles are counted from
LONGEST_TEXT = 1000  # characters


@dataclass(frozen=True)
class Phrase:
    """A part of a text that says something: the kind of fact, its value, and the part as it was written."""

    slot: str
    value: Any
    text: str
    start: int


_NUMBER = r"(\d{1,3}(?:\.\d{1,6})?)"
_SHARE = _NUMBER + r"\s?%"
_DEGREES = _NUMBER + r"\s?(?:degrees|degree|deg|°)"
_HOUR = r"(1[0-2]|[1-9])(?:\s?o'?clock)?"
_SCAR = r"(?:scars?|infarcts?|infarctions?|lesions?|enhancement|fibrosis)"


def _share(match: re.Match[str]) -> float:
    """A number of percent as a fraction, rounded as the text is."""
    return float(match[1]) / 100


def _degrees(match: re.Match[str]) -> float:
    return float(match[1])


def _angle(match: re.Match[str]) -> tuple[float, str]:
    """And what it is counted from; an angle alone is counted from 12 o'clock."""
    return float(match[1]), INSERTION if match[2] and "insertion" in match[2] else TWELVE


def _hours(match: re.Match[str]) -> tuple[int, int]:
    return int(match[1]), int(match[match.re.groups])


def _word(value: Any) -> Callable[[re.Match[str]], Any]:
    return lambda match: value


_LAYERS = {
    "endocardial": r"sub-?endocardial(?:ly)?|endocardial|inner(?:most)? layer|(?:beneath|under|along) the endocardium|"
                   r"along the inner surface|(?:next|adjacent) to the blood pool",
    "mid-wall": r"mid-?wall|mid wall|(?:mid|intra)-?myocardial|mid-?myocardium|intramural|middle layer|"
                r"in the middle of the wall",
    "epicardial": r"sub-?epicardial(?:ly)?|epicardial|outer(?:most)? layer|(?:beneath|under|along) the epicardium|"
                  r"along the outer surface",
    "transmural": r"transmural(?:ly)?|full-thickness|(?:full|entire|whole) wall thickness|"
                  r"through the (?:full|entire|whole) wall|from (?:the )?endocardium to (?:the )?epicardium"}
_AT = r"(?:at|near|close to|towards) the "
_LEVELS = {
    "apical": rf"apical(?: level| slice)?|{_AT}(?:apex|tip)",
    "mid-cavity": r"mid-?(?:cavity|ventricular|ventricle)(?: level| slice)?|mid (?:level|slice|ventricle|cavity)|"
                  r"(?:at (?:the )?)?papillary(?: muscles?)?(?: level)?|halfway down the (?:ventricle|heart)",
    "basal": rf"basal(?: level| slice)?|{_AT}(?:base|mitral valve|atrium|atria)"}
_SIZES = {
    "tiny": r"tiny|minute|minuscule|minimal|barely (?:visible|perceptible)",
    "small": r"small|little|minor|modest|limited",
    "moderate": r"moderate(?:ly sized)?|medium(?:[ -]size|-sized)?|intermediate|(?:mid|average)-sized",
    "large": r"large|big|sizeable|considerable|substantial",
    "very large": r"very large|huge|extensive|massive|enormous|giant"}
_WALL_SPELLINGS = {
    "anteroseptal": r"antero-?septal|anteroseptum", "inferoseptal": r"infero-?septal|inferoseptum",
    "inferolateral": r"infero-?lateral", "anterolateral": r"antero-?lateral",
    "septal": r"septal|(?:interventricular )?septum|interventricular|between the (?:two )?ventricles",
    "lateral": r"lateral(?: free)?|free(?= wall)", "anterior": r"anterior", "inferior": r"inferior|diaphragmatic"}
_PATTERNS: tuple[tuple[str, str, Callable[[re.Match[str]], Any]], ...] = (
    (BLOCKED_SHARE, _SHARE + r" (?:obstructed|obstruction|mvo)", _share),
    (BLOCKED, r"(?:with )?(?:micro-?vascular obstruction|mvo)", _word(True)),
    (ABSENT, r"(?:no|without(?: any| a)?) (?:" + _SCAR + r"|late gadolinium enhancement)|healthy|scar-?free",
     _word(True)),
    (DEPTH, _SHARE + r" (?:deep|transmural(?:ity)?|of the (?:wall )?thickness)", _share),
    (DEPTH, r"transmurality(?: of)? " + _SHARE, _share),
    (SURFACE, _SHARE + r" of the endocardi(?:um|al surface)", _share),
    (SHARE, _SHARE + r"(?: of the (?:wall|myocardium|left ventricle)| " + _SCAR +
     r"|(?= sub| mid| trans| in | at |,|$))", _share),
    (SHARE, r"(?:size|covering|" + _SCAR + r" of) (?:of )?" + _SHARE, _share),
    (EXTENT, r"(?:extent(?: of)?|over|spanning) " + _DEGREES, _degrees),
    (ANGLE, r"(?:(?:centre|center|centred|centered) )?(?:at )?" + _DEGREES +
     r"( from (?:the insertion|12 o'clock)| clockwise)?", _angle),
    (CLOCK, r"(?:from |at |between )?" + _HOUR + r"(?: (?:to|and|-) |-)" + _HOUR.removesuffix("?"), _hours),
    (CLOCK, r"(?:at )?(1[0-2]|[1-9])\s?o'?clock", _hours),
    (SIDES, r"on all sides|circumferential", _word(True)),
    *((LEVEL, _LEVELS[level], _word(level)) for level in ("mid-cavity", "basal", "apical")),
    *((LAYER, _LAYERS[layer], _word(layer)) for layer in LAYER_WORDS),
    *((SIZE, _SIZES[word], _word(word)) for word, _ in reversed(SIZES)),
    *((WALL, spelling, _word(wall)) for wall, spelling in _WALL_SPELLINGS.items()),
)
_COMPILED = tuple((slot, re.compile(rf"(?<![\w.-])(?:{pattern})(?![\w-])"), value)
                  for slot, pattern, value in _PATTERNS)
_WITHOUT_CONTENT = re.compile(
    r"(?<![\w-])(?:an?|the|in|of|at|on|to|and|with|one|single|area|region|part|level|slice|image|short-axis|lge|mri|heart|"
    r"walls?|segments?|myocardi(?:um|al)|left|ventricle|ventricular|lv|late|gadolinium|please|show|draw|paint|" + _SCAR
    + r")(?![\w-])")
_SPELLING = str.maketrans({"’": "'", "‐": "-", "‑": "-", "–": "-", "—": "-", "\u00a0": " "})
NAMES = {SIZE: tuple(word for word, _ in SIZES), LAYER: tuple(LAYER_WORDS.values()), LEVEL: LEVELS,
         WALL: tuple(dict.fromkeys((*WALLS, *APICAL_WALLS)))}


def find_phrases(text: str) -> tuple[list[Phrase], list[str]]:
    """The phrases of a text, in its order, and the parts of it that are not understood."""
    plain = re.sub(r"\s+", " ", text.translate(_SPELLING).lower().replace("percent", "%").replace("per cent", "%"))
    rest, phrases = plain, list[Phrase]()
    for slot, pattern, value in _COMPILED:
        for match in list(pattern.finditer(rest)):
            phrases.append(Phrase(slot, value(match), match[0].strip(), match.start()))
            rest = f"{rest[:match.start()]}{'|' * len(match[0])}{rest[match.end():]}"
    return sorted(phrases, key=lambda phrase: phrase.start), list(_leftovers(_WITHOUT_CONTENT.sub(_bars, rest)))


def _bars(match: re.Match[str]) -> str:
    return "|" * len(match[0])


def _leftovers(rest: str) -> Iterator[str]:
    for piece in re.split(r"[|,.;:!?()\"]+", rest):
        if re.search(r"\w|%", piece):
            yield piece.strip()
