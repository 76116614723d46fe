"""Requests in words: the column `prompt` of a grid, and one prompt for a whole run."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from ..domains.domain import Domain
from ..domains.word_rules import Understood, WordRules

PROMPT = "prompt"
_SAME = 1e-9
_SHOWN = 80  # characters of a text in a message


def read_prompt(text: str, domain: Domain, columns: Collection[str], given: Mapping[str, float], faults: list[str]
                ) -> Understood:
    """What a text asks for, in columns of these names. given: what the columns of the same row ask for; it must not
    contradict the text. Faults are appended: a text of which nothing can be requested, and contradictions."""
    if domain.words is None:
        faults.append(f"{PROMPT}: the domain {domain.name} has no words. Request attributes by numbers")
        return Understood()
    understood = domain.words.read(text, columns, domain.words.find_meaning)
    faults += understood.faults
    if not understood.faults and not understood.numbers and not understood.words:
        faults.append(_nothing(text, understood, domain.words))
    understood = replace(understood, assumed={name: value for name, value in understood.assumed.items()
                                              if name in columns and name not in given})
    faults += [f"{PROMPT} asks for {name} {value:g}, the column {name} for {given[name]:g}. Leave one of them out"
               for name, value in understood.numbers.items() if abs(given.get(name, value) - value) > _SAME]
    return understood


def read_cell(line: int, text: str, domain: Domain, given: Mapping[str, float], faults: list[str]) -> Understood:
    """`read_prompt` for a cell of a grid of the domain's attributes, which may be empty."""
    wrong: list[str] = []
    understood = read_prompt(text, domain, domain.attribute_names, given, wrong) if text else Understood()
    faults += [f"line {line}: {fault}" for fault in wrong]
    return understood


def told(understood: Understood) -> tuple[str, ...]:
    """What a user must know of a text before anything is generated: a line for each phrase that was understood, those
    that cannot be requested here, and the parts that were not understood."""
    return (*understood.taken, *(f"understood: {meaning}" for meaning in understood.meanings),
            *(f"understood, but not requested: {phrase}" for phrase in understood.unmet),
            *([f"not understood: {', '.join(map(repr, understood.unknown))}"] if understood.unknown else []))


def _nothing(text: str, understood: Understood, rules: WordRules) -> str:
    if understood.unmet:
        return f"nothing of {text[:_SHOWN]!r} can be requested here: {'; '.join(understood.unmet)}"
    words = "; ".join(f"{kind}: {', '.join(phrases)}" for kind, phrases in rules.vocabulary.items())
    return f"nothing of {text[:_SHOWN]!r} was understood. Write for example: {rules.example}. Words: {words}"
