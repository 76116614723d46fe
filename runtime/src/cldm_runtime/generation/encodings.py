"""Encoded conditions of the last batch, so that samples of one condition are encoded once."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Encoded = Mapping[str, NDArray[Any]]


class Encodings:
    """The encodings of the batch that was encoded last. Samples are identified by keys: what their encodings depend on.

    They are reused only if the whole batch is cached; otherwise the whole batch is encoded, because results can differ
    in the last bits with the batch size. Each run of batches has its own cache, so its results depend on nothing
    outside the run.
    """

    def __init__(self) -> None:
        self._rows: dict[bytes, int] = {}
        self._encoded: Encoded = {}

    def of(self, keys: Sequence[bytes], encode: Callable[[], Encoded]) -> Encoded:
        """The encodings (N, ...) of samples with these keys; calls `encode` if they are not all cached."""
        if all(key in self._rows for key in keys):
            rows = np.array([self._rows[key] for key in keys])
            return {name: encoding[rows] for name, encoding in self._encoded.items()}
        self._encoded = encode()
        self._rows = {key: row for row, key in enumerate(keys)}
        return self._encoded
