"""A ventricle with round cross-sections."""

import numpy as np
import pytest

from cldm_runtime.domains.lge.phantom2.chamber import Chamber, Thinning
from cldm_runtime.domains.lge.ventricle import Waves


@pytest.fixture(scope="session")
def round_chamber():
    """Radius .87 * 25 mm in the middle, wall 9.6 mm there."""
    still = Waves(np.array([2.0]), np.array([0.0]), np.array([0.0]), np.array([0.0]))
    return Chamber(25.0, 10.0, 0.5, 0.0, 0.2, still, still, Thinning(0.0, 0.0, 1.0, 0.5, 1.0))
