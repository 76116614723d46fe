"""Cohorts in memory, batches and augmentation."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cldm_runtime.errors import DatasetError, InputError
from cldm_trainer.config import Config
from cldm_trainer.training.batches import (
    batch_rows,
    load_slices,
    move,
    one_hot,
    permute_labels,
    step_generator,
    turn_and_mirror,
    windows,
)


def test_a_subset_is_read_whole(small: Config) -> None:
    slices = load_slices(small.cohort_file, "train")
    assert slices.images.shape == (8, 1, 32, 32) and slices.masks.shape == (8, 32, 32)
    assert slices.images.min() >= 0.0 and slices.images.max() <= 1.0


def test_an_unknown_subset_names_what_there_is(small: Config) -> None:
    with pytest.raises(InputError, match="Found: train, val"):
        load_slices(small.cohort_file, "test")


def test_a_missing_cohort_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cldm-train prepare"):
        load_slices(tmp_path / "cohort.h5", "train")


def test_batches_visit_every_row_once_an_epoch() -> None:
    rows = np.concatenate([batch_rows(10, 4, step, seed=3) for step in range(5)])  # 20 rows: two epochs
    assert sorted(rows[:10]) == sorted(rows[10:]) == list(range(10))


def test_batches_may_be_larger_than_the_cohort() -> None:
    assert sorted(batch_rows(3, 6, 1, seed=0)) == [0, 0, 1, 1, 2, 2]


def test_random_numbers_of_a_step_do_not_depend_on_other_steps() -> None:
    draws = [torch.rand(3, generator=step_generator(1, step)) for step in (5, 6, 5)]
    assert torch.equal(draws[0], draws[2]) and not torch.equal(draws[0], draws[1])


def test_one_hot_marks_each_label() -> None:
    assert one_hot(torch.tensor([[[0, 2]]]), 3)[0, :, 0].tolist() == [[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]


def test_turning_and_mirroring_moves_pixels_only() -> None:
    x = torch.arange(9.0).reshape(1, 1, 3, 3).repeat(16, 1, 1, 1)
    y = turn_and_mirror(x, step_generator(0, 0))
    assert torch.equal(y.flatten(1).sort(1).values, x.flatten(1))
    assert len({tuple(row) for row in y.flatten(1).tolist()}) > 4


def test_every_second_window_lies_around_a_label() -> None:
    masks = torch.zeros(6, 9, 9, 4, dtype=torch.uint8)
    masks[:, 8, 0, 2] = 1  # in a corner of two axes
    x = torch.arange(9 * 9 * 4).reshape(1, 1, 9, 9, 4).repeat(6, 1, 1, 1, 1)
    cut = windows(x, masks, 5, step_generator(0, 0))
    assert cut.shape == (6, 1, 5, 5, 4)  # the third axis is shorter, and whole
    assert [int(part[0, 4, 0, 2]) for part in cut[::2]] == [int(x[0, 0, 8, 0, 2])] * 3  # as far around it as fits
    assert all(torch.equal(part - part.min(), x[0, :, :5, :5]) for part in cut)  # in one piece
    assert len({int(part.min()) for part in cut[1::2]}) > 1


def test_relabelling_permutes_the_foreground_of_a_share_of_the_maps() -> None:
    labels = torch.arange(5, dtype=torch.uint8).repeat(200, 1)
    assert torch.equal(permute_labels(labels, 5, 0.0, step_generator(0, 0)), labels)
    changed = permute_labels(labels, 5, 0.5, step_generator(0, 0))
    assert torch.equal(changed.sort(1).values, labels) and (changed[:, 0] == 0).all()
    assert 60 < (changed != labels).any(1).sum() < 140


def test_no_motion_changes_nothing() -> None:
    x = torch.rand(2, 1, 8, 8)
    assert torch.allclose(move(x, 0.0, 0.0, 0.0, step_generator(0, 0)), x, atol=1e-6)


def test_a_shift_keeps_a_blob_and_stays_within_the_limit() -> None:
    x = torch.zeros(4, 1, 32, 32)
    x[:, :, 15:17, 15:17] = 1.0
    y = move(x, 0.0, 3.0, 0.0, step_generator(0, 0))
    columns = (y.sum((1, 2)) * torch.arange(32.0)).sum(1) / y.sum((1, 2, 3))
    assert torch.allclose(y.sum((1, 2, 3)), torch.tensor(4.0), atol=1e-4)
    assert (columns - 15.5).abs().max() <= 3.0 and (columns - 15.5).abs().max() > 0.1
