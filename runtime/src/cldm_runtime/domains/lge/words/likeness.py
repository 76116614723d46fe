"""What a text means beyond the grammar: the kinds of words that the grammar found nothing for, filled by likeness."""

from collections.abc import Sequence

from ...word_rules import FindMeaning
from .grammar import ABSENT, ANGLE, CLOCK, DEPTH, LAYER, LEVEL, SHARE, SIDES, SIZE, SLOTS, WALL, Phrase, find_phrases

# A kind of word is left alone where one of these was said: the same thing, by other means.
_SAID_OTHERWISE = {SIZE: {SIZE, SHARE, ABSENT}, LAYER: {LAYER, DEPTH, ABSENT}, LEVEL: {LEVEL},
                   WALL: {WALL, CLOCK, ANGLE, SIDES, ABSENT}, ABSENT: set(SLOTS) - {LEVEL}}


def likely_phrases(text: str, phrases: Sequence[Phrase], unknown: Sequence[str],
                   find_meaning: FindMeaning | None) -> tuple[list[Phrase], tuple[str, ...]]:
    """Phrases for what the grammar did not find in a text, and a line that says what was taken for what. phrases,
    unknown: what it found, and what it did not know; where it knew all, there is nothing to add."""
    meaning = find_meaning(text) if find_meaning and unknown else None
    if meaning is None:
        return [], ()
    said = {phrase.slot for phrase in phrases}
    words = [word for kind, word in meaning.words if not said & _SAID_OTHERWISE.get(kind, set(SLOTS))]
    if not words:
        return [], ()
    line = (f"{', '.join(map(repr, unknown))}: taken for {', '.join(map(repr, words))}, as in {meaning.sentence!r} "
            f"(similarity {meaning.similarity:.2f})")
    return [phrase for word in words for phrase in find_phrases(word)[0]], (line,)
