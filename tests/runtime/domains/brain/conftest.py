"""A head with gliomas on few voxels, drawn once."""

import pytest

from brain_phantoms import brain_phantom
from cldm_runtime.domains.brain.phantom import DrawnHead


@pytest.fixture(scope="session")
def drawn() -> DrawnHead:
    return brain_phantom().draw(0, 0, "train")
