"""Requests that leave some classes of their label maps free."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..bundle.bundle import Bundle
from ..bundle.sources import CLASSES
from ..domains.domain import Domain
from ..domains.free_classes import KEPT_CLASSES, Kept, closed, kept_classes, names_of, unknown_attributes
from ..errors import InputError
from .sources import RequestSource, SampleRequest


@dataclass(frozen=True)
class FreedRequests:
    """The requests of `source`, whose label maps tell the classes `kept` and leave the others free: these are closed in
    the map, and attributes that depend on them are not requested."""

    source: RequestSource
    kept: Kept
    domain: Domain

    def request(self, seed: int, index: int) -> SampleRequest:
        request = self.source.request(seed, index)
        requested = np.where(unknown_attributes(self.kept, self.domain), np.float32(np.nan), request.requested)
        mask = None if request.mask is None else closed(request.mask, self.kept, self.domain.labels)
        return replace(request, mask=mask, requested=requested, given={**request.given, CLASSES.name: self.kept})

    def identity(self) -> Mapping[str, str | int | float]:
        return {**self.source.identity(), KEPT_CLASSES: names_of(self.kept, self.domain.labels)}

    def notes(self) -> list[str]:
        return self.source.notes()


def keeping(source: RequestSource, names: Sequence[str] | None, bundle: Bundle, domain: Domain) -> RequestSource:
    """The requests with all classes of their label maps but these free; `source` itself where all are kept, as for
    None. Raises InputError for unknown names, and for a bundle that takes whole maps alone."""
    kept = kept_classes(domain.labels.names if names is None else names, domain.labels)
    if kept.all():
        return source
    if CLASSES.name not in bundle.manifest.sources:
        raise InputError(f"bundle {bundle.path} leaves no class free: it was not trained for that. Keep all classes, "
                         "or take a bundle whose conditions are made from classes (cldm inspect).")
    return FreedRequests(source, kept, domain)
