"""The domains that there are, by name."""

import copyreg
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .attributes import Measurement
from .domain import Anatomy, Domain


def get_domain(name: str) -> Domain:
    """The domain of that name. Raises InputError with the known names."""
    if name not in DOMAINS:
        raise InputError(f"domain {name!r} is unknown. Known: {', '.join(sorted(DOMAINS))}.")
    return DOMAINS[name]()


def _named_domain(name: str, anatomy: Anatomy) -> Domain:
    return replace(get_domain(name), anatomy=anatomy)


def measure(labels: NDArray[np.integer], domain: str = "lge") -> Measurement:
    """Measure the attributes of (N, *spatial) or (*spatial) label maps; NaN where undefined, with the reason.

    Raises InputError for label values that the domain does not know.
    """
    chosen = get_domain(domain)
    chosen.labels.check(labels, "measure")
    batch = labels if labels.ndim > 2 else labels[None]
    return chosen.measure(batch.astype(np.uint8))


@cache
def _lge() -> Domain:
    from .lge import lge_domain

    return lge_domain()


DOMAINS: dict[str, Callable[[], Domain]] = {"lge": _lge}


def _by_name(domain: Domain) -> tuple[Any, ...]:
    """Another process gets the domain by its name; only the anatomy may be another than the domain's own."""
    return _named_domain, (domain.name, domain.anatomy)


copyreg.pickle(Domain, _by_name)
