"""Sentences with known meaning, drawn from a TOML file of ways to say each word of a grammar."""

import random
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.domains.word_rules import WordRules
from cldm_runtime.errors import InputError, list_faults
from cldm_runtime.files.records import TOML, read_record
from cldm_runtime.files.user_files import read_text

Word = tuple[str, str]
"""Kind and word of a grammar."""
AFTER = "- "  # marks a way that stands after the noun
PARTS = ("train", "validation", "test")
_ALONE = 0.25  # share of the sentences that state one word alone


@dataclass(frozen=True)
class SmallEncoder:
    """width: of a piece and of a vector. longest: pieces of a text. least_count: training sentences that must hold a
    piece."""

    width: int = 96
    longest: int = 192
    epochs: int = 12
    rate: float = 2e-3
    least_count: int = 3


@dataclass(frozen=True)
class Ways:
    """Ways to say each word, by kind and word; `lead` and `noun` of a sentence; sentences that mean nothing."""

    lead: tuple[str, ...]
    noun: tuple[str, ...]
    words: Mapping[str, Mapping[str, tuple[str, ...]]]
    unrelated: tuple[str, ...] = ()


@dataclass(frozen=True)
class Phrases:
    """The file. sentences: of training, of which the share `meaningless` is unrelated texts; measured: of validation
    and test; known: sentences that texts are compared with. stated: share of the sentences that state a word of each
    kind. several: kinds of which a text may state more than one word. excluding: a kind that is stated without any
    other but those of `beside`."""

    domain: str
    name: str
    version: str
    licence: str
    stated: Mapping[str, float]
    train: Ways
    validation: Ways
    test: Ways
    several: tuple[str, ...] = ()
    excluding: str = ""
    beside: tuple[str, ...] = ()
    seed: int = 0
    sentences: int = 12000
    meaningless: float = 0.2
    measured: int = 1000
    known: int = 400
    encoder: SmallEncoder = field(default_factory=SmallEncoder)


@dataclass(frozen=True)
class Sentence:
    """A text, and the words that it states."""

    text: str
    words: frozenset[Word]


def read_phrases(path: Path) -> tuple[Phrases, WordRules]:
    """The file, and the grammar that it says in other ways. Raises InputError with all faults."""
    try:
        found = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not TOML: {error}.") from error
    faults: list[str] = []
    phrases = read_record(Phrases, found, "", faults, TOML)
    rules = get_domain(phrases.domain).words if phrases else None
    if phrases and rules is None:
        faults.append(f"domain: {phrases.domain} has no words")
    if phrases and rules:
        faults += [fault for part in PARTS for fault in _faults(part, phrases, rules)]
    if faults or phrases is None or rules is None:
        raise InputError(list_faults(f"{path} is not a file of phrases.", faults))
    return phrases, rules


def _faults(part: str, phrases: Phrases, rules: WordRules) -> list[str]:
    ways: Ways = getattr(phrases, part)
    unknown = sorted(set(phrases.stated) - set(rules.vocabulary))
    if unknown or set(ways.words) != set(phrases.stated):
        return [f"{part}.words: kinds {sorted(ways.words)}, expected those of `stated`, {sorted(phrases.stated)}, "
                f"which the grammar knows: {sorted(rules.vocabulary)}"]
    wrong = [f"{part}.words.{kind}: words {sorted(said)}, expected {sorted(rules.vocabulary[kind])}"
             for kind, said in ways.words.items() if set(said) != set(rules.vocabulary[kind])]
    empty = [f"{part}.words.{kind}.{word}: no way to say it" for kind, words in ways.words.items()
             for word, said in words.items() if not said]
    return [*wrong, *empty, *([] if ways.unrelated else [f"{part}.unrelated: empty"])]


def draw_sentences(phrases: Phrases, ways: Ways, count: int, seed: int) -> list[Sentence]:
    """Sentences that say words in these ways; the same arguments give the same sentences."""
    generator = random.Random(seed)
    return [_sentence(phrases, ways, generator) for _ in range(count)]


def draw_training(phrases: Phrases) -> list[Sentence]:
    """Sentences that state words, and unrelated texts after a beginning as theirs, in random order."""
    generator, ways = random.Random(phrases.seed + 7), phrases.train
    without = round(phrases.sentences * phrases.meaningless)
    found = draw_sentences(phrases, ways, phrases.sentences - without, phrases.seed)
    for _ in range(without):
        parts = [generator.choice(ways.lead), *generator.sample(ways.unrelated, generator.choice((1, 1, 2)))]
        found.append(Sentence(" ".join(filter(None, parts)), frozenset()))
    generator.shuffle(found)
    return found


def grammar_ways(ways: Ways, rules: WordRules) -> Ways:
    """The grammar's own words in place of the ways."""
    own = {kind: {word: (word,) for word in rules.vocabulary[kind]} for kind in ways.words}
    return Ways(("",), ("scar",), own, ways.unrelated)


def _sentence(phrases: Phrases, ways: Ways, generator: random.Random) -> Sentence:
    drawn = {kind: generator.random() < share for kind, share in phrases.stated.items()}
    usual = [kind for kind in phrases.stated if kind != phrases.excluding]
    kinds = [kind for kind in usual if drawn[kind]]
    if generator.random() < _ALONE or not kinds:
        kinds = [generator.choice(usual)]
    whole = drawn.get(phrases.excluding, False)  # its ways are whole sentences: no noun, nothing before it
    if whole:
        kinds = [phrases.excluding, *(kind for kind in kinds if kind in phrases.beside)]
    words = [(kind, generator.choice(sorted(ways.words[kind]))) for kind in kinds]
    said = [generator.choice(ways.words[kind][word]) for kind, word in words]
    before = said[:1] if whole else [way for way in said if not way.startswith(AFTER)]
    after = [way.removeprefix(AFTER) for way in (said[1:] if whole else said) if whole or way.startswith(AFTER)]
    generator.shuffle(after)
    frame = ("", "") if whole else (generator.choice(ways.lead), generator.choice(ways.noun))
    text = " ".join(filter(None, [frame[0], *before, frame[1]]))
    return Sentence(text + "".join(generator.choice((", ", " ")) + way for way in after), frozenset(words))
