"""What prepare writes, by numbers that can be checked by hand: which slice is which, who is in which subset."""

from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.files.atomic import write_json
from cldm_runtime.scans.prepare import prepare
from cldm_runtime.scans.settings import PrepareSettings
from cldm_runtime.store import open_dataset
from scan_fixtures import describe, write_case

SAME_GRID = PrepareSettings(shape=(32, 32), spacing_mm=(1.0, 1.0), percentiles=(0.0, 100.0), image_order=1, workers=1)
LABELS = {"background": 0, "lv_cavity": 1, "healthy_myocardium": 2}


def rings(slices: int, opened: int | None = None) -> np.ndarray:
    """(slices, 32, 32): a ring over rows and columns 8 to 23, so that a window of 32 x 32 around it is the slice."""
    y, x = np.mgrid[:32, :32] - 15.5
    ring = np.where(np.hypot(y, x) < 4, 1, np.where(np.hypot(y, x) < 8, 2, 0))
    stack = np.stack([ring] * slices)
    if opened is not None:
        stack[opened, 14:18, 16:] = 0
    return stack


def columns(slices: int) -> np.ndarray:
    """(slices, 32, 32): slice z is 0, but for column 5 + z, which is 1."""
    stack = np.zeros((slices, 32, 32))
    for z in range(slices):
        stack[z, :, 5 + z] = 1
    return stack


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """Six slices of which 0 has no label and 2 no closed ring."""
    labels = rings(6, opened=2)
    labels[0] = 0
    write_case(tmp_path / "raw", "a", [columns(6)], labels, (8.0, 1.0, 1.0))
    prepare(describe(tmp_path / "raw", labels=LABELS), tmp_path / "cohort.h5", SAME_GRID, "lge")
    return tmp_path / "cohort.h5"


def test_each_image_is_that_of_its_slice_where_one_before_it_is_dropped(cohort: Path) -> None:
    with open_dataset(cohort) as made:
        images, slices = made.images()[:, 0], made.slices
    assert slices.tolist() == [1, 3, 4, 5]
    assert images.tolist() == columns(6)[[1, 3, 4, 5]].tolist()


def test_each_label_map_is_that_of_its_slice(cohort: Path) -> None:
    with open_dataset(cohort) as made:
        assert made.masks().tolist() == rings(4).tolist()


def test_positions_count_the_dropped_slice(cohort: Path) -> None:
    with open_dataset(cohort) as made:
        position = made.mask_attributes[:, made.attribute_names.index("slice_position")]
    assert position.tolist() == [0.0, 0.5, 0.75, 1.0]  # of five labelled slices; the second is dropped


def test_positions_count_from_the_other_end_where_the_stack_begins_there(tmp_path: Path) -> None:
    write_case(tmp_path / "raw", "a", [columns(5)], rings(5, opened=1), (8.0, 1.0, 1.0))
    raw = describe(tmp_path / "raw", labels=LABELS, first_slice="base")
    prepare(raw, tmp_path / "cohort.h5", SAME_GRID, "lge")
    with open_dataset(tmp_path / "cohort.h5") as made:
        assert made.mask_attributes[:, -1].tolist() == [1.0, 0.5, 0.25, 0.0]


def test_validation_takes_whole_patients(tmp_path: Path) -> None:
    patients = {"a": "p4", "b": "p1", "c": "p2", "d": "p3", "e": "p4", "f": "p1", "g": "p2", "h": "p3"}
    for case in patients:
        write_case(tmp_path / "raw", case, [columns(1)], rings(1), (8.0, 1.0, 1.0))
    write_json(tmp_path / "raw" / "patients.json", patients)
    settings = PrepareSettings(**{**vars(SAME_GRID), "validation_share": 0.25})
    prepare(describe(tmp_path / "raw", labels=LABELS), tmp_path / "cohort.h5", settings, "lge")
    with open_dataset(tmp_path / "cohort.h5") as made:  # cases in the order of their names; p4 is the last patient
        assert made.subset.tolist() == ["val", *["train"] * 3, "val", *["train"] * 3]
        assert made.patients.tolist() == ["P0001", "P0002", "P0003", "P0004"] * 2


def test_each_slice_is_normalised_for_itself(tmp_path: Path) -> None:
    image = np.stack([10 * columns(1)[0] - 3, 1000 * columns(1)[0]])
    write_case(tmp_path / "raw", "a", [image], rings(2), (8.0, 1.0, 1.0))
    prepare(describe(tmp_path / "raw", labels=LABELS), tmp_path / "cohort.h5", SAME_GRID, "lge")
    with open_dataset(tmp_path / "cohort.h5") as made:
        assert made.images()[:, 0].tolist() == [columns(1)[0].tolist()] * 2
