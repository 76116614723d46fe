"""Texts and folders as the programs of users leave them."""

from pathlib import Path

import pytest

from cldm_runtime.errors import InputError
from cldm_runtime.files.toml_file import read_toml
from cldm_runtime.files.user_files import composed, list_folder, read_json, read_text

MARK = b"\xef\xbb\xbf"


@pytest.mark.parametrize("data", [b"a\nb\n", MARK + b"a\nb\n", b"a\r\nb\r\n", MARK + b"a\r\nb\r\n", b"a\rb\r"])
def test_a_text_is_the_same_from_every_editor(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(data)
    assert read_text(tmp_path / "a.txt") == "a\nb\n"


@pytest.mark.parametrize(("data", "message"), [
    ("a = 1".encode("utf-16"), "the text is UTF-16, expected UTF-8. Save it as UTF-8"),
    ("a = 'é'".encode("latin-1"), "byte 5 is not UTF-8. Save the file as UTF-8"),
    (b"a" * 11, "is larger than")])
def test_another_encoding_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "a.txt").write_bytes(data)
    with pytest.raises(InputError, match=message):
        read_text(tmp_path / "a.txt", largest=10 if len(data) == 11 else 100)


def test_json_and_toml_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(MARK + b'{"a":\r\n1}')
    (tmp_path / "base.toml").write_bytes(MARK + b"a = 1\r\n")
    (tmp_path / "b.toml").write_bytes(MARK + b"extends = 'base.toml'\r\nb = 2\r\n")
    assert read_json(tmp_path / "a.json") == {"a": 1}
    assert read_toml(tmp_path / "b.toml") == {"a": 1, "b": 2}


def test_hidden_files_and_those_of_systems_are_passed_over(tmp_path: Path) -> None:
    for name in ("b.nii", "a.nii", "._a.nii", ".partial-c.nii", ".DS_Store", "Thumbs.db", "desktop.ini", "c.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in list_folder(tmp_path, ".nii")] == ["a.nii", "b.nii"]
    assert [path.name for path in list_folder(tmp_path)] == ["a.nii", "b.nii", "c.txt"]
    assert list_folder(tmp_path / "none") == []


def test_names_are_composed() -> None:
    assert composed("e\u0301") == "\u00e9" == composed("\u00e9")
