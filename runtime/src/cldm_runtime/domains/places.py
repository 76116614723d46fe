"""Places of lesions as columns of a dataset."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .domain import Domain
from .free_classes import Kept, without_unknown
from .labels import LabelMap

Rows = NDArray[np.float32]


def measured_places(domain: Domain, labels: LabelMap, attributes: Rows | None, given: Rows | None,
                    kept: Kept | None = None) -> dict[str, NDArray[Any]]:
    """Columns `place` and `place_reasons` of label maps (N, *spatial); none in a domain without places.

    attributes (N, A) and given (N, P): as `MeasurePlaces` has them. kept: the classes that are not free.
    """
    if domain.place is None:
        return {}
    measured = domain.place.measure(labels, attributes, given)
    values, reasons = measured.values, measured.reasons
    if kept is not None:
        values, reasons = without_unknown(values, reasons, kept, domain, domain.place.attributes)
    return {"place": values, "place_reasons": reasons}
