"""What stands in for attributes of free classes, by hand; tests/cli/test_gen_keep_classes.py has the command."""

import numpy as np

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.evaluation.stand_in import StandIn


class FoundMaps:
    """A file of one map whose segmentation shows an infarct in half of the wall."""

    spacing_mm = (1.0, 1.0)
    maps = np.array([[[0, 2, 3, 0]]], np.uint8)

    def segmentation(self, name: str) -> "FoundMaps":
        return self

    def masks(self, rows: slice) -> np.ndarray:
        return self.maps[rows]


def test_only_unknown_attributes_are_replaced() -> None:
    domain, free = get_domain("lge"), np.array([True, False, False, False])
    values, reasons = np.full((1, 4), np.nan, np.float32), np.full((1, 4), 200, np.uint8)
    values, reasons = StandIn("x", free).put_in(values, reasons, FoundMaps(), domain, slice(0, 1))
    assert values[0, 0] == 0.5 and np.isnan(values[0, 1:]).all() and reasons.tolist() == [[0, 200, 200, 200]]
