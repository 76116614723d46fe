"""Several samples of one condition: the same label map, attributes and grid row, each with different noise.

Condition c of a run is the request of sample c in a run with one sample a condition. With K samples a condition, sample
i has condition i // K: its label map and sampled attributes depend on (seed, i // K), its noise on (seed, i).
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from ..errors import InputError
from .sources import RequestSource, SampleRequest

_CACHED = 4  # conditions; samples are requested in order, so a few are enough


class RepeatedRequests:
    """Each condition of `source` for `per_condition` samples in a row."""

    def __init__(self, source: RequestSource, per_condition: int) -> None:
        """Raises InputError for fewer than 1 a condition."""
        if per_condition < 1:
            raise InputError(f"per_condition = {per_condition}: expected 1 or more.")
        self.source, self.per_condition = source, per_condition
        self._cached = lru_cache(_CACHED)(source.request)

    def __reduce__(self) -> tuple[object, ...]:
        return RepeatedRequests, (self.source, self.per_condition)

    def request(self, seed: int, index: int) -> SampleRequest:
        condition = index // self.per_condition
        request, noise = self._cached(seed, condition), None
        if request.noise_number is not None:
            noise = request.noise_number * self.per_condition + index % self.per_condition
        return replace(request, index=index, condition=condition, noise_number=noise)

    def identity(self) -> Mapping[str, str | int | float]:
        return {**self.source.identity(), "per_condition": self.per_condition}

    def notes(self) -> list[str]:
        return self.source.notes()


def repeated(source: RequestSource, per_condition: int) -> RequestSource:
    """The requests of `source`, each `per_condition` times in a row. For 1 it is `source` itself, with its identity."""
    return source if per_condition == 1 else RepeatedRequests(source, per_condition)


def conditions_of(samples: int, per_condition: int) -> int:
    """How many conditions a run has; the last may have fewer samples than the others."""
    return -(-samples // per_condition)
