"""A TOML file may extend another one and states only what differs."""

from pathlib import Path

import pytest

from cldm_runtime.errors import InputError
from cldm_runtime.files.toml_file import read_toml


def test_tables_are_merged_and_everything_else_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text("shape = [1, 2]\n[run]\nname = 'a'\nseed = 1\n")
    (tmp_path / "mine.toml").write_text("extends = 'base.toml'\nshape = [3]\n[run]\nname = 'b'\n")
    assert read_toml(tmp_path / "mine.toml") == {"shape": [3], "run": {"name": "b", "seed": 1}}


def test_files_that_extend_each_other_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("extends = 'b.toml'\n")
    (tmp_path / "b.toml").write_text("extends = 'a.toml'\n")
    with pytest.raises(InputError, match=r"in a circle: .*a\.toml -> .*b\.toml -> .*a\.toml"):
        read_toml(tmp_path / "a.toml")
