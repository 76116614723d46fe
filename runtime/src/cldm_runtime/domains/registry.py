"""The domains of this package by name; `bundle/declarations.py` finds those that files declare."""

import copyreg
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError, as_array, checked_number
from .attributes import Measurement
from .declared import Declaration
from .domain import Anatomy, Domain


def get_domain(name: str) -> Domain:
    """The domain of that name. Raises InputError with the known names."""
    if name not in DOMAINS:
        raise InputError(f"domain {name!r} is unknown. Known: {', '.join(sorted(DOMAINS))}. Or give the path of a "
                         ".toml file or of nnU-Net's dataset.json that declares one.")
    return DOMAINS[name]()


def _rebuilt(name: str, declaration: Mapping[str, Any] | None, anatomy: Anatomy | None) -> Domain:
    domain = get_domain(name) if declaration is None else Declaration.of(declaration).domain()
    return replace(domain, anatomy=anatomy)


def measure(labels: ArrayLike, domain: str | Domain = "lge",
            spacing_mm: tuple[float, ...] | None = None) -> Measurement:
    """Measure the attributes of one (*spatial) label map or of a batch (N, *spatial); NaN where undefined, with the
    reason. The domain defines the number of spatial axes.

    spacing_mm: mm between pixels, one number for each spatial axis; needed by domains that measure lengths.
    Raises InputError for another shape, and for label values that the domain does not define.
    """
    chosen = domain if isinstance(domain, Domain) else get_domain(domain)
    labels = as_array(labels, "measure")
    if labels.ndim not in (chosen.axes, chosen.axes + 1):
        axes = ", ".join(("depth", "height", "width")[-chosen.axes:])
        raise InputError(f"measure: label maps have shape {labels.shape}, domain {chosen.name!r} takes one map "
                         f"({axes}) or a batch (N, {axes}).")
    chosen.labels.check(labels, "measure")
    batch = labels if labels.ndim > chosen.axes else labels[None]
    return chosen.measure(batch.astype(np.uint8), spacing_mm)


def describe(labels: ArrayLike, slice_position: float | None = None, insertion_deg: float | None = None,
             domain: str | Domain = "lge") -> str:
    """One sentence on one (*spatial) label map; docs/words.md says what it states.

    slice_position: 0 apex to 1 base, where it is known. insertion_deg: the anterior insertion of the right ventricle,
    degrees clockwise from 12 o'clock, where it is known. Raises InputError for another shape, label values that the
    domain does not define, numbers out of range, and a domain without words.
    """
    chosen = domain if isinstance(domain, Domain) else get_domain(domain)
    labels = as_array(labels, "describe")
    if chosen.words is None:
        raise InputError(f"describe: the domain {chosen.name!r} has no words. Use measure, which gives numbers.")
    if labels.ndim != chosen.axes:
        raise InputError(f"describe: found shape {labels.shape}, expected one label map of {chosen.axes} axes.")
    chosen.labels.check(labels, "describe")
    if slice_position is not None and not 0 <= checked_number("slice_position", slice_position) <= 1:
        raise InputError(f"slice_position = {slice_position:g}: expected 0 (apex) to 1 (base), or None.")
    if insertion_deg is not None:
        checked_number("insertion_deg", insertion_deg)
    return chosen.words.describe(labels.astype(np.uint8), slice_position, insertion_deg)


@cache
def _lge() -> Domain:
    from .lge import lge_domain

    return lge_domain()


DOMAINS: dict[str, Callable[[], Domain]] = {"lge": _lge}


def _by_name(domain: Domain) -> tuple[Any, ...]:
    """Another process builds the domain from its name or declaration. Only the anatomy may differ from the domain's
    own, so it is sent along."""
    return _rebuilt, (domain.name, domain.declaration, domain.anatomy)


copyreg.pickle(Domain, _by_name)
