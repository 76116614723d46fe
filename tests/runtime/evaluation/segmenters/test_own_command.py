"""A program of the user's that reads and writes NIfTI."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nibabel")
pytest.importorskip("onnx")

import nibabel

from cldm_runtime.cli.main import cldm, run
from cldm_runtime.errors import InputError
from cldm_runtime.evaluation.segmenters.cases import write_images
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
    ("import sys; sys.exit('no model here')", r"(?s)ended with exit code 1. It said: no model here\n.*run it by hand"),
    ("pass", r"(?s)what it wrote to \{labels\} or \{label\} does not fit.*run it by hand.*no file sample00002.nii.gz"),
    ("import os; os.kill(os.getpid(), 9)", "was ended by signal 9, as a system does whose memory has run out"),
])
def test_a_program_that_fails_or_writes_nothing(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        segment(tmp_path, describe_program(tmp_path, text=text))


def test_the_advice_to_run_a_program_by_hand(tmp_path: Path) -> None:
    """The command of the message writes images that the program reads, and shows what it says."""
    counting = "import os, sys; sys.exit(str(len(os.listdir(sys.argv[1]))))"
    with pytest.raises(InputError) as caught:
        segment(tmp_path, describe_program(tmp_path, text=counting))
    (advice,) = re.findall(r"`cldm (.*?)`", str(caught.value))
    assert "It said: 2\n" in str(caught.value)
    assert run(cldm, shlex.split(advice.replace("FOLDER", str(tmp_path / "by-hand")))) == 0
    with open_dataset(tmp_path / "hearts.h5") as dataset:
        write_images(dataset, range(4), tmp_path)
    for file in (seen := sorted(tmp_path.glob("sample*.nii.gz"))):
        by_hand = nibabel.load(tmp_path / "by-hand" / "imagesTr" / file.name)
        assert np.array_equal(by_hand.get_fdata(), nibabel.load(file).get_fdata())
    assert len(seen) == 4


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with open_dataset(write_hearts(tmp_path / "hearts.h5")) as dataset, pytest.raises(
            InputError, match="the command no-such-program: cannot be started"):
        OwnCommand("x", ("no-such-program", "{images}", "{labels}"), tmp_path).segment_rows(dataset, slice(0, 1), 16)


def test_both_folders_or_both_files_are_named() -> None:
    for words in (("p",), ("p", "{images}"), ("p", "{images}", "{label}")):
        with pytest.raises(InputError, match=r"expected \{images\} and \{labels\}"):
            OwnCommand("x", words, Path())
