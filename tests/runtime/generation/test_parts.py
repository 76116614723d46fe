"""How a run is cut into parts, and what counts as a finished one."""

from pathlib import Path

import pytest

from cldm_runtime import Generator
from cldm_runtime.generation.plan import Plan
from cldm_runtime.generation.run import Generation
from cldm_runtime.requests.sources import FreeRequests


@pytest.fixture
def model(tiny_free: Path) -> Generator:
    return Generator.load(tiny_free, threads=1)


def make_plan(model: Generator, samples: int, seed: int = 5, batch_size: int = 4) -> Plan:
    return Plan(model, FreeRequests(model.domain), samples, seed, model.settings(batch_size=batch_size))


def test_parts_hold_whole_chunks_unless_that_makes_them_long(model: Generator) -> None:
    """Chunks are of 8 images and 16 label maps."""
    assert [len(part) for part in make_plan(model, 40).parts] == [16, 16, 8]
    assert [len(part) for part in make_plan(model, 10_000).parts][:2] == [64, 64]
    assert [len(part) for part in make_plan(model, 10_000, batch_size=9).parts][:2] == [63, 63]
    assert [len(part) for part in make_plan(model, 10_000, batch_size=100).parts][:2] == [100, 100]


def test_a_part_of_another_plan_or_a_damaged_one_is_not_finished(model: Generator, tmp_path: Path) -> None:
    plan, counts = make_plan(model, 20), list[int]()
    run = Generation(plan, tmp_path / "a.h5")
    first, second = run.parts
    run.folder.mkdir()
    run.write_part(first, counts.append)
    assert counts == [4, 4, 4, 4] and run.is_committed(first) and not run.is_committed(second)
    assert not Generation(make_plan(model, 20, seed=6), tmp_path / "a.h5").is_committed(first)
    first.path.write_bytes(first.path.read_bytes()[:3000])
    assert not run.is_committed(first)
