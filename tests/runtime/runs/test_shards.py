"""A run shared out: shards, what is missing, double execution, and the merge."""

from itertools import chain
from pathlib import Path

import h5py
import numpy as np
import pytest

from cldm_runtime import Generator
from cldm_runtime.errors import DatasetError, InputError
from cldm_runtime.generation.plan import Plan
from cldm_runtime.generation.repair import repair_dataset
from cldm_runtime.generation.run import Generation, generate_dataset, generate_shard, merge_shards, parts_folder
from cldm_runtime.requests.grid import grid_from_mapping
from cldm_runtime.requests.sources import GridRequests
from cldm_runtime.runs.execute import check, missing_parts, prepare
from cldm_runtime.runs.shards import Shard, as_ranges, parse_shard, shard_of_this_task
from cldm_runtime.store import open_dataset
from cldm_runtime.store.check import check_samples


@pytest.fixture
def plan(tiny_generator: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """40 samples in 5 parts."""
    monkeypatch.setattr("cldm_runtime.runs.run.PART_SAMPLES", 8)
    monkeypatch.setattr("cldm_runtime.runs.run._PARTS", 5)
    model = Generator.load(tiny_generator, threads=1)
    grid = grid_from_mapping({"infarct_size": [0.1, 0.2]}, model.domain)
    return Plan(model, GridRequests.spread(grid, 40, model.canvas), 40, 3, model.settings(batch_size=4))


@pytest.mark.parametrize("count", range(1, 9))
def test_every_part_belongs_to_one_shard(count: int) -> None:
    shares = [Shard(number, count).of(list(range(5))) for number in range(count)]
    assert list(chain(*shares)) == list(range(5)) and max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("text", ["", "3", "3/3", "-1/3", "a/b", "1/2/3", "1/0"])
def test_what_is_no_shard(text: str) -> None:
    with pytest.raises(InputError, match="expected I/K"):
        parse_shard(text)


def test_a_shard_of_an_array_job() -> None:
    assert parse_shard("2/3") == Shard(2, 3) == shard_of_this_task(3, {"SLURM_ARRAY_TASK_ID": "2"})
    assert shard_of_this_task(4, {"JOB_COMPLETION_INDEX": "0"}) == Shard(0, 4)
    for environment, found in (({}, "neither"), ({"SLURM_ARRAY_TASK_ID": "3"}, "is 3, expected 0 to 2")):
        with pytest.raises(InputError, match=found):
            shard_of_this_task(3, environment)


def test_ranges_are_written_as_slurm_reads_them() -> None:
    assert as_ranges([0, 1, 2, 7, 9, 10]) == "0-2,7,9-10" and as_ranges([]) == ""


def test_a_shard_done_twice_is_done_once(plan: Plan, tmp_path: Path) -> None:
    out = tmp_path / "shared.h5"
    assert [generate_shard(plan, out, Shard(0, 2)) for _ in range(2)] == [2, 0]
    generate_shard(plan, out, Shard(1, 2))
    merge_shards(plan, out)
    assert generate_shard(plan, out, Shard(0, 2)) == 0 and not parts_folder(out).exists()


def test_a_merge_refuses_what_is_missing_and_names_it(plan: Plan, tmp_path: Path) -> None:
    out = tmp_path / "shared.h5"
    generate_shard(plan, out, Shard(1, 5))
    with pytest.raises(DatasetError, match=r"4 of 5 parts are missing or damaged: 0,2-4\."):
        merge_shards(plan, out)
    assert not out.exists() and len(missing_parts(Generation(plan, out))) == 4


def test_a_flipped_bit_in_a_part_is_found_and_its_part_done_again(plan: Plan, tmp_path: Path) -> None:
    out, expected = tmp_path / "shared.h5", generate_dataset(plan, tmp_path / "one.h5").read_bytes()
    generate_shard(plan, out, Shard(0, 1))
    with h5py.File(parts_folder(out) / "part-00002.h5", "r+") as part:
        part["images"][3, 0, 5, 5] ^= 1
    assert [part.number for part in missing_parts(Generation(plan, out))] == [2]
    assert generate_dataset(plan, out, "resume").read_bytes() == expected


def test_another_plan_in_the_same_folder_is_refused(plan: Plan, tmp_path: Path) -> None:
    generate_shard(plan, tmp_path / "shared.h5", Shard(0, 5))
    other = Plan(plan.generator, plan.source, plan.samples, 4, plan.settings)
    with pytest.raises(InputError, match="seed was 3, now 4"):
        generate_shard(other, tmp_path / "shared.h5", Shard(1, 5))
    with pytest.raises(InputError, match="seed was 3, now 4"):
        missing_parts(Generation(other, tmp_path / "shared.h5"))


def test_a_checksum_tells_damage_to_image_label_map_and_index(plan: Plan, tmp_path: Path) -> None:
    out = generate_dataset(plan, tmp_path / "one.h5")
    with open_dataset(out) as dataset:
        assert not check_samples(dataset, range(40))
        assert check_samples(dataset, range(42)).missing.tolist() == [40, 41]
    with h5py.File(out, "r+") as file:
        file["images"][7, 0, 0, 0] ^= 1
        file["masks"][9, 64, 64] ^= 1
        file["sample_index"][11] = 12
    with open_dataset(out) as dataset:
        faults = check_samples(dataset, range(40))
    assert (faults.missing.tolist(), faults.doubled.tolist(), faults.damaged.tolist()) == ([11], [12], [7, 9, 12])
    assert np.array_equal(faults.all, [7, 9, 11, 12])


def test_a_repair_gives_the_bytes_of_the_run(plan: Plan, tmp_path: Path) -> None:
    out = generate_dataset(plan, tmp_path / "one.h5")
    expected = out.read_bytes()
    assert repair_dataset(plan, out) == 0 and out.read_bytes() == expected
    with h5py.File(out, "r+") as file:
        file["images"][7, 0, 0, 0] ^= 1
        file["sample_index"][39] = 3
    assert repair_dataset(plan, out) == 2
    assert out.read_bytes() == expected and not parts_folder(out).exists()


def test_a_repair_needs_a_file_of_its_plan(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file to repair"):
        repair_dataset(plan, tmp_path / "none.h5")
    out = generate_dataset(plan, tmp_path / "one.h5")
    with pytest.raises(InputError, match="seed was 3, now 4"):
        repair_dataset(Plan(plan.generator, plan.source, plan.samples, 4, plan.settings), out)


def test_a_file_that_gets_its_name_while_space_is_counted(plan: Plan, tmp_path: Path,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    """As when another process commits a part at that moment."""
    run = Generation(plan, tmp_path / "shared.h5")
    prepare(run)
    gone = run.folder / "part-00000.h5.other-1.partial"
    monkeypatch.setattr(Path, "glob", lambda folder, pattern: iter([gone, run.plan_file]))
    check(run)
