"""`cldm convert` in this process."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("nibabel")

from cldm_runtime.cli.main import cldm
from segmenter_fixtures import MASKS, write_hearts

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(called: Callable[[click.Command], Call], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """`cldm convert` in a folder with hearts.h5."""
    write_hearts(tmp_path / "hearts.h5", subset=["train", "train", "test", "test"])
    monkeypatch.chdir(tmp_path)
    return partial(called(cldm), "convert")


def names(folder: str) -> list[str]:
    return sorted(path.name[6:11] for path in Path(folder).glob("sample0*"))


@pytest.mark.parametrize(("options", "rows"), [
    ((), "0123"), (("--rows", "1:3"), "12"), (("--rows", "3,0"), "03"), (("--rows", "2:"), "23"),
    (("--subset", "test"), "23"), (("--subset", "test", "--rows", ":3"), "2")])
def test_rows_are_chosen(call: Call, options: tuple[str, ...], rows: str) -> None:
    code, out, err = call("hearts.h5", "--to", "npz", "--out", "z", *options)
    assert (code, out) == (0, f"z: {len(rows)} samples as npz of numpy.\n"), err
    assert names("z") == [f"0000{row}" for row in rows]


@pytest.mark.parametrize(("options", "words"), [
    (("--rows", "4"), "expected rows from 0 to 3"), (("--rows", "1:9"), "expected rows from 0 to 3"),
    (("--rows", "a"), "expected a row such as 7"), (("--rows", "2:1"), "expected rows from 0 to 3"),
    (("--subset", "val"), "has no subset 'val'. Found: test, train"),
    (("--subset", "test", "--rows", "0:2"), "Leave one of the two out")])
def test_rows_that_are_not_there_are_refused(call: Call, options: tuple[str, ...], words: str) -> None:
    code, _, err = call("hearts.h5", "--to", "npz", "--out", "z", *options)
    assert code == 2 and words in err and not Path("z").exists()


def test_without_labels(call: Call) -> None:
    assert call("hearts.h5", "--to", "npz", "--out", "z", "--no-labels")[0] == 0
    assert sorted(np.load("z/sample00001.npz")) == ["image", "spacing_mm"]
    assert call("hearts.h5", "--to", "npz", "--out", "y")[0] == 0
    assert np.array_equal(np.load("y/sample00001.npz")["labels"], MASKS[1])


@pytest.mark.parametrize(("words", "code", "said"), [
    (("none.h5", "--to", "npz", "--out", "z"), 4, "no such file"),
    ((".", "--to", "npz", "--out", "z"), 2, "samples.json"),
    (("hearts.h5", "--to", "npz", "--out", "hearts.h5"), 2, "is a file"),
    (("hearts.h5", "--to", "h5", "--out", "hearts.h5"), 4, "already exists")])
def test_wrong_input_is_one_message(call: Call, words: tuple[str, ...], code: int, said: str) -> None:
    found, _, err = call(*words)
    assert found == code and said in err and err.count("error:") == 1
