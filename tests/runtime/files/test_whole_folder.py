"""A folder appears whole or not at all."""

import os
from pathlib import Path

import pytest

from cldm_runtime.files.whole_folder import whole_folder


def test_a_folder_appears_at_the_end(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "new" / "made") as folder:
        (folder / "a").write_text("1")
        assert not (tmp_path / "new" / "made").exists()
    assert os.listdir(tmp_path / "new") == ["made"] and (tmp_path / "new" / "made" / "a").read_text() == "1"


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "old").write_text("0")
    with pytest.raises(RuntimeError), whole_folder(tmp_path / "made") as folder:
        (folder / "a").write_text("1")
        raise RuntimeError
    assert os.listdir(tmp_path) == ["made"] and os.listdir(tmp_path / "made") == ["old"]


def test_a_folder_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "old").write_text("0")
    with whole_folder(tmp_path / "made") as folder:
        (folder / "a").write_text("1")
    assert os.listdir(tmp_path) == ["made"] and os.listdir(tmp_path / "made") == ["a"]


def test_what_a_killed_writer_left_is_removed_and_what_another_writes_stays(tmp_path: Path) -> None:
    if os.fork() == 0:
        with whole_folder(tmp_path / "made") as folder:
            (folder / "a").write_text("1")
            os._exit(0)
    os.wait()
    assert len(os.listdir(tmp_path)) == 2  # the lock and the folder
    with whole_folder(tmp_path / "made") as first, whole_folder(tmp_path / "made"):
        assert first.is_dir() and len(os.listdir(tmp_path)) == 4
    assert os.listdir(tmp_path) == ["made"]
