"""Several samples of one condition share what is asked for, not the noise; files resume to the same bytes."""

from pathlib import Path

import numpy as np
import pytest

from cldm_runtime import Generator
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import InputError, InterruptedRun
from cldm_runtime.generation.run import Plan, generate_dataset
from cldm_runtime.requests.grid import grid_from_mapping
from cldm_runtime.requests.repeats import RepeatedRequests, conditions_of, repeated
from cldm_runtime.requests.sources import Canvas, GridRequests
from cldm_runtime.store import open_dataset

CANVAS = Canvas(get_domain("lge"), (128, 128), (1.0, 1.0))


def grid_source(conditions: int, canvas: Canvas = CANVAS) -> GridRequests:
    return GridRequests.spread(grid_from_mapping({"infarct_size": [0.0, 0.2]}, canvas.domain), conditions, canvas)


def make_plan(bundle: Path, per_condition: int, samples: int = 7) -> Plan:
    model = Generator.load(bundle)
    source = grid_source(conditions_of(samples, per_condition), model.canvas)
    return Plan(model, repeated(source, per_condition), samples, 5, model.settings())


def test_a_condition_is_what_its_only_sample_would_be_asked_for() -> None:
    source = grid_source(3)
    several = RepeatedRequests(source, 2)
    for index in range(6):
        one, alone = several.request(1, index), source.request(1, index // 2)
        assert (one.index, one.condition, one.grid_row) == (index, index // 2, alone.grid_row)
        assert np.array_equal(one.mask, alone.mask) and np.array_equal(one.requested, alone.requested, equal_nan=True)


def test_an_anatomy_is_drawn_once_for_its_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, request = [], GridRequests.request
    monkeypatch.setattr(GridRequests, "request",
                        lambda self, seed, index: drawn.append(index) or request(self, seed, index))
    several = repeated(grid_source(2), 4)
    assert [several.request(0, index).condition for index in range(8)] == [0] * 4 + [1] * 4 and drawn == [0, 1]


def test_the_plan_names_the_number_and_one_changes_nothing() -> None:
    source = grid_source(2)
    assert repeated(source, 1) is source and "per_condition" not in source.identity()
    assert repeated(source, 4).identity() == {**source.identity(), "per_condition": 4}
    assert (conditions_of(64, 8), conditions_of(65, 8)) == (8, 9)
    with pytest.raises(InputError, match="per_condition = 0"):
        repeated(source, 0)
    assert RepeatedRequests(source, 1).request(0, 1).condition == 1


@pytest.mark.parametrize("name", ["tiny_generator", "tiny_attributes"])
def test_the_file_tells_conditions_whose_samples_differ_in_noise(name: str, request: pytest.FixtureRequest,
                                                                 tmp_path: Path) -> None:
    bundle: Path = request.getfixturevalue(name)
    with open_dataset(generate_dataset(make_plan(bundle, 3), tmp_path / "a.h5")) as dataset:
        assert dataset.condition.tolist() == [0, 0, 0, 1, 1, 1, 2] and dataset.sample_index.tolist() == list(range(7))
        assert dataset.grid_row.tolist() == [0, 0, 0, 1, 1, 1, 0]
        images = dataset.images(slice(0, 3))
        assert not np.array_equal(images[0], images[1]) and not np.array_equal(images[1], images[2])
        assert np.array_equal(dataset.requested[3], dataset.requested[5], equal_nan=True)
        if "masks" in dataset:
            assert np.array_equal(dataset.masks(3), dataset.masks(5))
            assert not np.array_equal(dataset.masks(0), dataset.masks(6))


def test_one_sample_a_condition_writes_no_column(tiny_generator: Path, tmp_path: Path) -> None:
    with open_dataset(generate_dataset(make_plan(tiny_generator, 1, 2), tmp_path / "a.h5")) as dataset:
        assert "condition" not in dataset and dataset.condition is None


def test_a_stopped_run_resumes_to_the_same_bytes_and_with_the_same_number_only(
        tiny_generator: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(done: int, total: int) -> None:
        if done > 4:
            raise KeyboardInterrupt

    monkeypatch.setattr("cldm_runtime.runs.run.PART_SAMPLES", 4)
    whole = generate_dataset(make_plan(tiny_generator, 3), tmp_path / "whole.h5")
    with pytest.raises(InterruptedRun):
        generate_dataset(make_plan(tiny_generator, 3), tmp_path / "a.h5", progress=stop)
    with pytest.raises(InputError, match="requests was"):
        generate_dataset(make_plan(tiny_generator, 2), tmp_path / "a.h5", "resume")
    again = generate_dataset(make_plan(tiny_generator, 3), tmp_path / "a.h5", "resume")
    assert again.read_bytes() == whole.read_bytes()
