"""An evaluation that is stopped, resumed, done by several processes and shared out among machines."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import DatasetError, InputError, InterruptedRun
from cldm_runtime.evaluation.run import Evaluation, evaluate_dataset, silent_stage
from cldm_runtime.runs.execute import do_shard, merge_parts, missing_parts, prepare
from cldm_runtime.runs.shards import Shard
from cldm_runtime.segmentation.segmenter import Segmenter
from cldm_runtime.store import DatasetSpec, create_dataset, edit_dataset, open_dataset
from onnx_fixtures import GREYS

SAMPLES = 40  # in 5 parts of 8


@pytest.fixture
def segmenter(tiny_segmenter: Path) -> Segmenter:
    return Segmenter.load(tiny_segmenter)


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Label maps of noise in blocks, and their images: a cohort on which nothing was measured."""
    monkeypatch.setattr("cldm_runtime.runs.run._PARTS", 5)
    blocks = np.random.default_rng(0).integers(0, 4, (SAMPLES, 8, 8), dtype=np.uint8)
    masks = blocks.repeat(16, axis=1).repeat(16, axis=2)
    with create_dataset(tmp_path / "a.h5", DatasetSpec(get_domain("lge"), (128, 128), (1.0, 1.0))) as writer:
        writer.append(images=GREYS[masks][:, None], masks=masks)
    return tmp_path / "a.h5"


def copy(path: Path, name: str) -> Path:
    return Path(shutil.copy(path, path.with_name(name)))


@pytest.fixture
def expected(dataset: Path, segmenter: Segmenter) -> bytes:
    evaluate_dataset(one := copy(dataset, "one.h5"), segmenter, batch_size=8)
    return one.read_bytes()


def test_any_number_of_workers_gives_the_same_bytes(dataset: Path, segmenter: Segmenter, expected: bytes) -> None:
    evaluate_dataset(dataset, segmenter, batch_size=8, workers=3)
    assert dataset.read_bytes() == expected
    with open_dataset(dataset) as file:
        assert file.mask_attributes is not None and np.array_equal(file.segmentation("tiny-segmenter").masks(),
                                                                  file.masks())


@pytest.mark.parametrize("count", [1, 2, 7])
def test_shards_in_any_order_give_the_bytes_of_one_run(dataset: Path, segmenter: Segmenter, expected: bytes,
                                                       count: int) -> None:
    run = Evaluation(dataset, segmenter, batch_size=8)
    assert len(run.parts) == 5 == len(missing_parts(run))
    done = [do_shard(run, Shard(number, count)) for number in reversed(range(count))]
    assert sum(done) == 5 and not missing_parts(run) and do_shard(run, Shard(0, count)) == 0
    merge_parts(run)
    assert dataset.read_bytes() == expected and not run.folder.exists()
    assert do_shard(Evaluation(dataset, segmenter, batch_size=8), Shard(0, count)) == 0 and not run.folder.exists()


def test_a_stopped_run_goes_on_where_it_was(dataset: Path, segmenter: Segmenter, expected: bytes) -> None:
    seen: list[int] = []

    def stop(done: int, total: int) -> None:
        seen.append(done)
        if done == 24:
            raise KeyboardInterrupt

    def stage(name: str):  # type: ignore[no-untyped-def]
        context = silent_stage(name)
        context.enter_result = stop  # type: ignore[attr-defined]  # of nullcontext
        return context

    before = dataset.read_bytes()
    with pytest.raises(InterruptedRun, match=r"16 of 40 samples are kept .* the same command again"):
        evaluate_dataset(dataset, segmenter, batch_size=8, stage=stage)
    assert dataset.read_bytes() == before
    seen.clear()
    evaluate_dataset(dataset, segmenter, batch_size=8, stage=lambda name: stage(name) if seen else silent_stage(name))
    assert dataset.read_bytes() == expected


def test_a_damaged_part_is_found_and_done_again(dataset: Path, segmenter: Segmenter, expected: bytes) -> None:
    run = Evaluation(dataset, segmenter, batch_size=8)
    do_shard(run, Shard(0, 1))
    for part, spoil in zip(run.parts, (lambda data: data[:900], lambda data: data[:500] + b"?" + data[501:], bytes),
                           strict=False):
        part.path.write_bytes(spoil(part.path.read_bytes()))
    assert [part.number for part in missing_parts(run)] == [0, 1]
    with pytest.raises(DatasetError, match=r"2 of 5 parts are missing or damaged: 0-1\."):
        merge_parts(run)
    evaluate_dataset(dataset, segmenter, batch_size=8)
    assert dataset.read_bytes() == expected


def test_parts_of_other_images_are_refused(dataset: Path, segmenter: Segmenter) -> None:
    run = Evaluation(dataset, segmenter, batch_size=8)
    do_shard(run, Shard(0, 2))
    with h5py.File(dataset, "r+") as file:
        file["images"][3, 0, 5, 5] ^= 1
    again = Evaluation(dataset, segmenter, batch_size=8)
    with pytest.raises(InputError, match=r"another plan: samples_sha256 was .*--overwrite"):
        do_shard(again, Shard(1, 2))
    with pytest.raises(InputError, match="samples_sha256"):
        evaluate_dataset(dataset, segmenter, batch_size=8)
    evaluate_dataset(dataset, segmenter, batch_size=8, overwrite=True)
    assert not run.folder.exists()


def test_images_that_change_during_a_run_are_not_merged(dataset: Path, segmenter: Segmenter) -> None:
    run = Evaluation(dataset, segmenter, batch_size=8)
    prepare(run)
    for part in run.parts:
        run.write_part(part, lambda count: None)
    with h5py.File(dataset, "r+") as file:
        file["images"][3, 0, 5, 5] ^= 1
    with pytest.raises(DatasetError, match="is not what the run began with"), run.merging(run.parts) as merge:
        merge.add(run.parts)
        merge.finish()


def test_an_edit_does_not_undo_that_of_another_process(dataset: Path) -> None:
    masks = np.zeros((SAMPLES, 128, 128), np.uint8)
    with pytest.raises(DatasetError, match="was changed by another process"), edit_dataset(dataset) as slow:
        slow.segmentation("slow").append(masks=masks)
        with edit_dataset(dataset) as quick:
            quick.segmentation("quick").append(masks=masks)
    with open_dataset(dataset) as file:
        assert list(file.segmentations) == ["quick"]
    assert list(dataset.parent.glob("*.partial")) == []


def test_a_wrong_node_is_told(dataset: Path, segmenter: Segmenter) -> None:
    assert "this machine sees another file" in str(Evaluation(dataset, segmenter).altered())
