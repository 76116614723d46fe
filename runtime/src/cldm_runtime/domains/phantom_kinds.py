"""The phantoms that a declared domain may name in `phantoms`: the labels that each draws, and how it is made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from . import organs
from .brain import BRAIN_KINDS, brain_rules
from .brain.glioma import LABELS
from .phantom_rules import PhantomRules


@dataclass(frozen=True)
class PhantomKind:
    """labels: the names that a domain must declare. rules: the phantom with the domain's values, name -> value."""

    labels: tuple[str, ...]
    rules: Callable[[Mapping[str, int]], PhantomRules]


PHANTOM_KINDS: dict[str, PhantomKind] = {
    **{name: PhantomKind(kind.labels, partial(organs.phantom_rules, kind)) for name, kind in organs.KINDS.items()},
    **{name: PhantomKind(LABELS, partial(brain_rules, kind)) for name, kind in BRAIN_KINDS.items()},
}
