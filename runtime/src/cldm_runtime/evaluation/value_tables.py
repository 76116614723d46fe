"""Values of samples besides the attributes of the domain."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ValueTable = NDArray[np.float32]


@dataclass(frozen=True)
class ValueTables:
    """(N, B) each: requested; measured with the masks; with the segmentation, where `reasons` says why one is NaN. None
    for what the file does not hold."""

    requested: ValueTable | None = None
    mask: ValueTable | None = None
    segmentation: ValueTable | None = None
    reasons: NDArray[np.uint8] | None = None

    @property
    def tables(self) -> dict[str, ValueTable | None]:
        return {"requested": self.requested, "mask": self.mask, "segmentation": self.segmentation}


NOTHING = ValueTables()
