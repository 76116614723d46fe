"""Worker processes: what they are given, and a clear end whatever happens to one."""

import hashlib
import math
import multiprocessing
import os
import pickle
import signal
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime import Generator
from cldm_runtime.engines import processor
from cldm_runtime.engines.processor import default_workers
from cldm_runtime.errors import BundleError, InterruptedRun, WorkerError
from cldm_runtime.generation.plan import Plan
from cldm_runtime.generation.run import generate_dataset, parts_folder
from cldm_runtime.requests.given_maps import ArrayMasks
from cldm_runtime.requests.grid import grid_from_mapping
from cldm_runtime.requests.moved_maps import MaskGridRequests
from cldm_runtime.requests.repeats import repeated
from cldm_runtime.requests.sources import (
    FreeRequests,
    GridRequests,
    MaskRequests,
    RequestSource,
    mask_requests,
    read_masks,
)
from cldm_runtime.store import open_dataset


@pytest.fixture
def model(tiny_generator: Path) -> Generator:
    return Generator.load(tiny_generator)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cldm_runtime.runs.run.PART_SAMPLES", 4)


def squares() -> np.ndarray:
    masks = np.zeros((3, 128, 128), dtype=np.uint8)
    for label, mask in enumerate(masks, start=1):
        mask[32:64, 32:64] = label
    return masks


def make_plan(model: Generator, samples: int = 10) -> Plan:
    source = mask_requests(ArrayMasks(squares()), model.canvas, "masks")
    return Plan(model, source, samples, 5, model.settings())


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_threads_of_the_generator_do_not_matter(model: Generator, tmp_path: Path) -> None:
    one = make_plan(model.with_threads(1))
    assert one.on_one_thread() is one and make_plan(model).on_one_thread().generator.threads == 1
    files = [generate_dataset(plan, tmp_path / f"{plan.generator.threads}.h5") for plan in (one, make_plan(model))]
    assert digest(files[0]) == digest(files[1])


def test_progress_counts_the_batches_of_all_workers(model: Generator, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    generate_dataset(make_plan(model), tmp_path / "a.h5", progress=lambda *counts: seen.append(counts), workers=2)
    assert sorted(seen) == seen and len(seen) == 3 and seen[-1] == (10, 10)
    assert multiprocessing.active_children() == [] and [path.name for path in tmp_path.iterdir()] == ["a.h5"]


def test_a_killed_worker_is_an_error_and_the_run_resumes_to_the_same_bytes(model: Generator, tmp_path: Path) -> None:
    def kill(done: int, total: int) -> None:
        if done >= 20:
            os.kill(multiprocessing.active_children()[0].pid or 0, signal.SIGKILL)

    whole = generate_dataset(make_plan(model, 40), tmp_path / "whole.h5")
    with pytest.raises(WorkerError, match=r"a\.h5: worker \d was killed by SIGKILL .* of 40 samples are kept"):
        generate_dataset(make_plan(model, 40), tmp_path / "a.h5", progress=kill, workers=2)
    assert multiprocessing.active_children() == [] and list(parts_folder(tmp_path / "a.h5").glob("part-*.h5"))
    assert digest(generate_dataset(make_plan(model, 40), tmp_path / "a.h5", "resume", workers=3)) == digest(whole)


def test_a_stopped_run_leaves_no_worker(model: Generator, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(InterruptedRun, match="--resume"):
        generate_dataset(make_plan(model), tmp_path / "a.h5", progress=stop, workers=2)
    assert multiprocessing.active_children() == []


def test_the_error_of_a_worker_arrives_as_it_was_raised(model: Generator, tmp_path: Path) -> None:
    source = MaskRequests(ArrayMasks(np.zeros((1, 64, 64), np.uint8)), "unchecked", model.canvas)
    with pytest.raises(BundleError, match="one_hot is float32"):
        generate_dataset(Plan(model, source, 10, 5, model.settings()), tmp_path / "a.h5", workers=2)
    assert multiprocessing.active_children() == [] and list(tmp_path.iterdir()) == []


def sources(model: Generator, folder: Path) -> list[RequestSource]:
    np.save(folder / "masks.npy", squares())
    grid = GridRequests.spread(grid_from_mapping({"infarct_size": 0.1}, model.domain), 4, model.canvas)
    masks = read_masks(folder / "masks.npy", model.canvas)
    turns = grid_from_mapping({"rotation_deg": [0.0, 10.0]}, model.domain, for_masks=True)
    return [grid, masks, repeated(grid, 2), MaskGridRequests.spread(turns, 4, masks), FreeRequests(model.domain)]


@pytest.mark.parametrize("anatomy", [False, True])
def test_a_plan_travels_as_a_recipe(tiny_generator: Path, tiny_anatomy: Path, tmp_path: Path, anatomy: bool) -> None:
    model = Generator.load(tiny_generator, anatomy=tiny_anatomy if anatomy else None)
    for source in sources(model, tmp_path):
        plan = Plan(model, source, 4, 5, model.settings())
        data = pickle.dumps(plan)
        there = pickle.loads(data)
        assert there.sha256 == plan.sha256 and len(data) < 20_000
        here, found = source.request(5, 1).mask, there.source.request(5, 1).mask
        assert (here is None and found is None) or np.array_equal(here, found)


def test_label_maps_of_a_dataset_are_opened_again_there(model: Generator, tmp_path: Path) -> None:
    made = generate_dataset(make_plan(model, 3), tmp_path / "a.h5")
    plan = Plan(model, read_masks(made, model.canvas), 4, 5, model.settings())
    there = pickle.loads(pickle.dumps(plan))
    assert np.array_equal(there.source.request(5, 2).mask, squares()[2]) and there.sha256 == plan.sha256


def test_merged_chunks_hold_what_the_samples_show(model: Generator, tmp_path: Path,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cldm_runtime.runs.run.PART_SAMPLES", 16)
    with open_dataset(generate_dataset(make_plan(model, 40), tmp_path / "a.h5")) as dataset:
        images, masks = model.sample(masks=squares(), seed=5, n=40, batch_size=4)
        assert np.abs(dataset.images() - images).max() < 2e-5 and np.array_equal(dataset.masks(), masks)


@pytest.mark.parametrize(("quota", "count"), [(math.inf, 8), (2.5, 3), (0.1, 1)])
def test_one_worker_for_each_core_of_the_cpu(monkeypatch: pytest.MonkeyPatch, quota: float, count: int) -> None:
    monkeypatch.setattr(processor, "quota_cores", lambda: quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    assert default_workers("cpu") == count and default_workers("cuda") == count
    monkeypatch.setattr(processor, "_ON_A_GPU", 2)
    assert default_workers("cuda") == min(count, 2) and default_workers("openvino") == count


def test_a_daemonic_process_does_all_by_itself(model: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                               ) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(multiprocessing.current_process()._config, "daemon", True)  # type: ignore[attr-defined]
        generate_dataset(make_plan(model, 8), tmp_path / "a.h5", workers=2)
    generate_dataset(make_plan(model, 8), tmp_path / "b.h5", workers=2)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_processes_that_cannot_be_started_are_one_message(model: Generator, tmp_path: Path,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("multiprocessing.context.SpawnContext.Pipe", full)
    with pytest.raises(WorkerError, match=r"worker 0 of 2 cannot be started \(Too many open files\).*ulimit -n"):
        generate_dataset(make_plan(model, 8), tmp_path / "a.h5", workers=2)
