"""A head with gliomas on few voxels, drawn once."""

import pytest

from brain_phantoms import brain_phantom
from cldm_runtime.domains.phantom_rules import DrawnVolume


@pytest.fixture(scope="session")
def drawn() -> DrawnVolume:
    return brain_phantom().draw(0, 0, "train")
