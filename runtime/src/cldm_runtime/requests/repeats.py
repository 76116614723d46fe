"""Several samples of one condition: the same label map, attributes and grid row, with noise of their own.

Condition c of a run is what sample c would be asked for if every condition had one sample. With K samples a condition,
sample i has condition i // K: its label map and drawn attributes depend on (seed, i // K), its noise on (seed, i).
"""

from dataclasses import replace
from functools import lru_cache

from ..errors import InputError
from .sources import RequestSource, SampleRequest

_KEPT = 4  # conditions that are kept drawn; samples are asked for in order


class RepeatedRequests:
    """Each condition of `source` for `per_condition` samples in a row."""

    def __init__(self, source: RequestSource, per_condition: int) -> None:
        """Raises InputError for fewer than 1 a condition."""
        if per_condition < 1:
            raise InputError(f"per_condition = {per_condition}: expected 1 or more.")
        self.source, self.per_condition = source, per_condition
        self._drawn = lru_cache(_KEPT)(source.request)

    def __reduce__(self) -> tuple[object, ...]:
        return RepeatedRequests, (self.source, self.per_condition)

    def request(self, seed: int, index: int) -> SampleRequest:
        condition = index // self.per_condition
        return replace(self._drawn(seed, condition), index=index, condition=condition)

    def identity(self) -> dict[str, str | int]:
        return {**self.source.identity(), "per_condition": self.per_condition}

    def notes(self) -> list[str]:
        return self.source.notes()


def repeated(source: RequestSource, per_condition: int) -> RequestSource:
    """`source` itself for one sample a condition, so that such a run is what it always was."""
    return source if per_condition == 1 else RepeatedRequests(source, per_condition)


def conditions_of(samples: int, per_condition: int) -> int:
    """How many conditions a run has; the last may have fewer samples than the others."""
    return -(-samples // per_condition)
