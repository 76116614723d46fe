"""A program of the user's that reads and writes NIfTI."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nibabel")
pytest.importorskip("onnx")

from cldm_runtime.errors import InputError
from cldm_runtime.evaluation.segmenters.load import load_segmenter
from cldm_runtime.evaluation.segmenters.own_command import OwnCommand
from cldm_runtime.store import open_dataset
from segmenter_fixtures import MASKS, describe_program, write_hearts


def segment(folder: Path, description: Path) -> np.ndarray:
    segmenter = load_segmenter(description)
    assert isinstance(segmenter, OwnCommand)
    with open_dataset(write_hearts(folder / "hearts.h5")) as dataset:
        segmenter.check_fit(dataset)
        return segmenter.segment_rows(dataset, slice(2, 4), 16)


@pytest.mark.parametrize("signs", [("{images}", "{labels}"), ("{image}", "{label}")])
def test_folders_or_files(signs: tuple[str, str], tmp_path: Path) -> None:
    assert np.array_equal(segment(tmp_path, describe_program(tmp_path, *signs)), MASKS[2:4])


@pytest.mark.parametrize(("text", "message"), [
    ("import sys; sys.exit('no model here')", r"ended with exit code 1. It said: no model here"),
    ("pass", "no file sample00002.nii.gz"),
])
def test_a_program_that_fails_or_writes_nothing(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        segment(tmp_path, describe_program(tmp_path, text=text))


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with open_dataset(write_hearts(tmp_path / "hearts.h5")) as dataset, pytest.raises(
            InputError, match="the command no-such-program: cannot be started"):
        OwnCommand("x", ("no-such-program", "{images}", "{labels}"), tmp_path).segment_rows(dataset, slice(0, 1), 16)


def test_both_folders_or_both_files_are_named() -> None:
    for words in (("p",), ("p", "{images}"), ("p", "{images}", "{label}")):
        with pytest.raises(InputError, match=r"expected \{images\} and \{labels\}"):
            OwnCommand("x", words, Path())
