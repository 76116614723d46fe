"""Domains by name, from a file that declares one, or from the declaration that a bundle or a dataset carries."""

import copyreg
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .attributes import Measurement
from .domain import Anatomy, Domain


def get_domain(name: str) -> Domain:
    """The domain of that name, or the one that a .toml file or nnU-Net's dataset.json of that path declares.

    Raises InputError with the known names, or with what is wrong in the file.
    """
    if name.endswith((".toml", ".json")):
        from .declared import read_domain  # here, because few domains are declared

        domain = read_domain(Path(name))
        if domain.name in DOMAINS:
            raise InputError(f"{name}: the name {domain.name!r} belongs to a domain of this package. Choose another.")
        return domain
    if name not in DOMAINS:
        raise InputError(f"domain {name!r} is unknown. Known: {', '.join(sorted(DOMAINS))}. Or give the path of a "
                         ".toml file or of nnU-Net's dataset.json that declares one.")
    return DOMAINS[name]()


def carried_domain(name: str, declaration: object, where: str) -> Domain:
    """The domain that a file names: the one that it declares, or, without a declaration (None), the known one.

    Raises InputError where the declaration is faulty or of another name, and for an unknown name without one.
    """
    if declaration is None:
        return get_domain(name) if name in DOMAINS else _unknown(name, where)
    from .declared import declared_domain  # here, because few domains are declared

    domain = declared_domain(declaration, where)
    if domain.name != name:
        raise InputError(f"{where}: names the domain {name!r}, but declares {domain.name!r}. Make the file again.")
    return domain


def _unknown(name: str, where: str) -> Domain:
    raise InputError(f"{where}: names the domain {name!r}, which this runtime does not know, and declares none. Known: "
                     f"{', '.join(sorted(DOMAINS))}. Update cldm-runtime.")


def _rebuilt(name: str, declaration: Mapping[str, Any] | None, anatomy: Anatomy | None) -> Domain:
    return replace(carried_domain(name, declaration, "domain"), anatomy=anatomy)


def measure(labels: NDArray[np.integer], domain: str = "lge",
            spacing_mm: tuple[float, ...] | None = None) -> Measurement:
    """Measure the attributes of one (*spatial) label map or of a batch (N, *spatial); NaN where undefined, with the
    reason. The domain says how many spatial axes there are.

    spacing_mm: mm between pixels, one number for each spatial axis; needed by domains that measure lengths.
    Raises InputError for another shape, and for label values that the domain does not know.
    """
    chosen = get_domain(domain)
    if labels.ndim not in (chosen.axes, chosen.axes + 1):
        axes = ", ".join(("depth", "height", "width")[-chosen.axes:])
        raise InputError(f"measure: label maps have shape {labels.shape}, domain {chosen.name!r} takes one map "
                         f"({axes}) or a batch (N, {axes}).")
    chosen.labels.check(labels, "measure")
    batch = labels if labels.ndim > chosen.axes else labels[None]
    return chosen.measure(batch.astype(np.uint8), spacing_mm)


@cache
def _lge() -> Domain:
    from .lge import lge_domain

    return lge_domain()


DOMAINS: dict[str, Callable[[], Domain]] = {"lge": _lge}


def _by_name(domain: Domain) -> tuple[Any, ...]:
    """Another process gets the domain by its name, or from its declaration; only the anatomy may be another than the
    domain's own."""
    return _rebuilt, (domain.name, domain.declaration, domain.anatomy)


copyreg.pickle(Domain, _by_name)
