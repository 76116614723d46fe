"""How a run is cut into parts, and what counts as a finished one."""

from pathlib import Path

import pytest

from cldm_runtime import Generator
from cldm_runtime.parts import is_committed, parts_of, write_parts
from cldm_runtime.plan import Plan
from cldm_runtime.requests import FreeRequests


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
    first, second = parts_of(plan, tmp_path)
    assert list(write_parts(plan, [first], counts.append)) == [first] and counts == [4, 4, 4, 4]
    assert is_committed(plan, first) and not is_committed(plan, second)
    assert not is_committed(make_plan(model, 20, seed=6), first)
    first.path.write_bytes(first.path.read_bytes()[:3000])
    assert not is_committed(plan, first)
