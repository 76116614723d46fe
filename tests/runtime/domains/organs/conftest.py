"""One patient of each phantom, drawn once."""

import pytest

from cldm_runtime.domains.organs import KINDS
from cldm_runtime.domains.phantom_rules import DrawnVolume
from organ_phantoms import phantom


@pytest.fixture(scope="session", params=sorted(KINDS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def stack(name: str) -> DrawnVolume:
    return phantom(name).draw(0, 1, "train")
