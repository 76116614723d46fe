"""Encodings of an earlier batch, kept for samples that show the same condition.

A batch whose samples all show conditions of a batch before is not encoded again; any other is encoded whole, as ever,
since a network's last bits may depend on how many samples it gets at once. Kept for one run of batches, from its first
on, so that what is encoded when depends on nothing outside that run.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Encoded = Mapping[str, NDArray[Any]]


class Encodings:
    """The last batch that was encoded, by the keys of its samples: what their encodings depend on."""

    def __init__(self) -> None:
        self._rows: dict[bytes, int] = {}
        self._encoded: Encoded = {}

    def of(self, keys: Sequence[bytes], encode: Callable[[], Encoded]) -> Encoded:
        """The encodings (N, ...) of samples with these keys: what `encode` gives, where they are not all known."""
        if all(key in self._rows for key in keys):
            rows = np.array([self._rows[key] for key in keys])
            return {name: encoding[rows] for name, encoding in self._encoded.items()}
        self._encoded = encode()
        self._rows = {key: row for row, key in enumerate(keys)}
        return self._encoded
