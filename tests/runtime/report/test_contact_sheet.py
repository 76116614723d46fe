"""The contact sheet shows the ends of stacks as the cohort has them."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.report.contact_sheet import contact_sheet, letters, stacks_of
from cldm_runtime.store import DatasetSpec, create_dataset, open_dataset

LGE = get_domain("lge")


def cohort(path: Path, patients: list[str], slices: list[int]) -> Path:
    """Slices of 8 x 8 pixels whose grey value is their row / 10, with a labelled square of 4 x 4."""
    masks = np.zeros((len(slices), 8, 8), np.uint8)
    masks[:, 2:6, 2:6] = 1
    images = np.ones((len(slices), 1, 8, 8), np.float32) * np.arange(len(slices))[:, None, None, None] / 10
    with create_dataset(path, DatasetSpec(LGE, (8, 8), (1.0, 1.0), 1)) as writer:
        writer.append(images=images, masks=masks, patients=patients, slices=np.array(slices, np.int32),
                      subset=["train"] * len(slices))
    return path


def test_stacks_are_patients_and_visits_in_either_direction(tmp_path: Path) -> None:
    file = cohort(tmp_path / "a.h5", ["p"] * 6 + ["q"] * 3, [1, 2, 4, 1, 2, 3, 5, 3, 2])
    with open_dataset(file) as dataset:
        assert stacks_of(dataset) == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


def test_a_row_shows_the_first_middle_and_last_slice_with_outlines(tmp_path: Path) -> None:
    with open_dataset(cohort(tmp_path / "a.h5", ["p"] * 5, [0, 1, 2, 3, 4])) as dataset:
        picture = np.asarray(Image.open(io.BytesIO(contact_sheet(dataset, LGE))))
    assert picture.shape == (16 + 2 * 8 + 4, 3 * (16 + 4), 3)
    assert [picture[0, left, 0] for left in (0, 20, 40)] == [0, 51, 102]  # rows 0, 2, 4: 0, 0.2, 0.4 of 255
    assert picture[4, 4].tolist() == list(LGE.labels.colours[1])  # the corner of the label
    assert [picture[row, 8].tolist() for row in (4, 11)] == [list(LGE.labels.colours[1])] * 2  # its edges
    assert picture[8, 8].tolist() == [0, 0, 0]  # within it, the image


def test_letters_have_three_by_five_pixels() -> None:
    assert letters("t1").astype(int).tolist() == [
        [1, 1, 1, 0, 0, 1, 0, 0], [0, 1, 0, 0, 1, 1, 0, 0], [0, 1, 0, 0, 0, 1, 0, 0], [0, 1, 0, 0, 0, 1, 0, 0],
        [0, 1, 0, 0, 1, 1, 1, 0]]


def test_a_letter_may_be_open_in_the_middle() -> None:
    assert letters("h").astype(int).tolist() == [[1, 0, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0], [1, 0, 1, 0], [1, 0, 1, 0]]


def test_twelve_stacks_are_shown_of_a_larger_cohort(tmp_path: Path) -> None:
    file = cohort(tmp_path / "a.h5", [f"p{number}" for number in range(10)], [0] * 10)
    with open_dataset(file) as dataset, pytest.MonkeyPatch.context() as patch:
        patch.setattr("cldm_runtime.report.contact_sheet.stacks_of", lambda _: [[row] for row in [*range(10), 0, 1, 2]])
        picture = np.asarray(Image.open(io.BytesIO(contact_sheet(dataset, LGE))))
    assert picture.shape[0] == 12 * (16 + 2 * 8 + 4)
