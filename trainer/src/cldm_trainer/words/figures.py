"""How often a text is read as what it means: its request against that of the grammar's own words."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from cldm_runtime.domains.domain import Domain
from cldm_runtime.domains.word_rules import FindMeaning, Understood

from .phrases import Phrases, Sentence, draw_sentences, grammar_ways

SETS = ("the grammar's words", "words of training", "words of training, misspelt", "other words")
_OFFSET = 1000  # of the seeds: training draws from the seed itself
_SAME = 1e-6


def sets_of(phrases: Phrases, domain: Domain) -> dict[str, list[Sentence]]:
    """Test sentences by `SETS`; none of them is a training sentence but by chance."""
    assert domain.words is not None
    seed, count = phrases.seed + _OFFSET, phrases.measured
    known = draw_sentences(phrases, phrases.train, count, seed + 2)
    generator = random.Random(seed)
    return dict(zip(SETS, (
        draw_sentences(phrases, grammar_ways(phrases.test, domain.words), count, seed + 1), known,
        [replace(each, text=misspelt(each.text, generator)) for each in known],
        draw_sentences(phrases, phrases.test, count, seed + 3)), strict=True))


def misspelt(text: str, generator: random.Random) -> str:
    """The text with two neighbouring letters of its longest word exchanged."""
    word = max(text.split(), key=len)
    place = generator.randrange(1, max(len(word) - 2, 2))
    return text.replace(word, word[:place] + word[place:place + 2][::-1] + word[place + 2:], 1)


def measure_reading(domain: Domain, sentences: Sequence[Sentence], unrelated: Sequence[str],
                    find_meaning: FindMeaning | None) -> dict[str, float]:
    """right: of the columns that the grammar's own words ask for, the share that the text asks for alike. false: of the
    columns that the text asks for, the share that they do not. whole: share of texts of which both hold for all.
    silent: share of unrelated texts of which nothing is understood."""
    asked = right = said = whole = 0
    for each in sentences:
        true = request(domain, " ".join(word for _, word in sorted(each.words)), None)
        found = request(domain, each.text, find_meaning)
        same = sum(name in found and _alike(found[name], value) for name, value in true.items())
        asked, right, said = asked + len(true), right + same, said + len(found)
        whole += same == len(true) == len(found)
    silent = sum(not request(domain, text, find_meaning) for text in unrelated)
    return {"right": right / asked, "false": 1 - right / max(said, 1), "whole": whole / len(sentences),
            "silent": silent / len(unrelated)}


def request(domain: Domain, text: str, find_meaning: FindMeaning | None) -> Mapping[str, Any]:
    """All that a text asks for, of drawn lesions and of edits: column -> value. Empty for a text that is refused."""
    assert domain.words is not None
    edit = [*(each.name for each in domain.edit.attributes), *domain.edit.words] if domain.edit else []
    asked: dict[str, Any] = {}
    for columns in ((*domain.attribute_names, *edit), domain.attribute_names):
        read: Understood = domain.words.read(text, columns, find_meaning)
        if not read.faults:
            asked |= {**read.numbers, **read.words}
    return asked


def _alike(value: Any, other: Any) -> bool:
    return bool(value == other if isinstance(value, str) or isinstance(other, str) else abs(value - other) <= _SAME)
