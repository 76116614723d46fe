"""Files that appear whole or not at all, and what becomes of the rights, links and devices that they meet."""

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import DatasetError, InputError
from cldm_runtime.files.atomic import (
    _rights_of,
    begin,
    is_special,
    make_folder_for,
    publish,
    whole_file,
    whole_stream,
    write_bytes,
    write_json,
    write_text,
)
from cldm_runtime.files.npz import npz_bytes, read_npz
from cldm_runtime.store import DatasetSpec, create_dataset

WRITERS: list[Callable[[Path], None]] = [lambda path: write_text(path, "new"), lambda path: write_bytes(path, b"new"),
                                         lambda path: write_json(path, "new")]


def rights(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("write", WRITERS)
def test_a_new_file_has_the_rights_that_the_umask_leaves(tmp_path: Path, write: Callable[[Path], None]) -> None:
    before = os.umask(0o027)
    try:
        write(tmp_path / "file")
    finally:
        os.umask(before)
    assert rights(tmp_path / "file") == 0o640
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("write", WRITERS)
def test_a_replaced_file_keeps_its_rights(tmp_path: Path, write: Callable[[Path], None]) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "file").chmod(0o604)
    write(tmp_path / "file")
    assert "new" in (tmp_path / "file").read_text()
    assert rights(tmp_path / "file") == 0o604


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root may give files away")
def test_a_replaced_file_keeps_its_owner(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    os.chown(tmp_path / "file", 1234, 4321)
    write_text(tmp_path / "file", "new")
    found = (tmp_path / "file").stat()
    assert (found.st_uid, found.st_gid) == (1234, 4321)


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("there", [True, False])
def test_the_file_behind_a_link_is_replaced(tmp_path: Path, write: Callable[[Path], None], there: bool) -> None:
    (tmp_path / "other").mkdir()
    if there:
        (tmp_path / "other" / "file").write_text("old")
    (tmp_path / "link").symlink_to("other/file")
    write(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert "new" in (tmp_path / "other" / "file").read_text()


def test_text_goes_into_a_pipe(tmp_path: Path) -> None:
    pipe, received = tmp_path / "pipe", list[str]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: received.append(pipe.read_text()))
    reader.start()
    write_text(pipe, "new")
    reader.join()
    assert received == ["new"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_everything_else_refuses_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="only a regular file can be replaced"):
        write_bytes(tmp_path / "pipe", b"new")
    with pytest.raises(DatasetError, match="only a regular file can be replaced"):
        create_dataset(tmp_path / "pipe", DatasetSpec(get_domain("lge"), (4, 4), (1.0, 1.0)), overwrite=True)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_devices_are_known() -> None:
    write_text(Path("/dev/null"), "new")
    assert is_special(Path("/dev/null"))
    assert is_special(Path("/dev/stdout"))  # also where it leads to a regular file, which others write to
    assert not is_special(Path("/dev/shm"))


def test_a_block_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(KeyError), whole_stream(tmp_path / "file") as stream:
        stream.write(b"ne")
        raise KeyError
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_name_that_was_taken_meanwhile(tmp_path: Path) -> None:
    partial = begin(tmp_path / "file")
    partial.path.write_text("new")
    (tmp_path / "file").write_text("old")
    with pytest.raises(DatasetError, match="was made by another process meanwhile"):
        publish(partial.path, tmp_path / "file", overwrite=False)
    partial.remove()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_nobody_else_reads_what_will_replace_a_private_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch(0o640)
    with whole_file(tmp_path / "file") as partial:
        assert rights(partial) == 0o600
        partial.write_text("new")
    assert rights(tmp_path / "file") == 0o640


def test_extended_attributes_are_kept(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    try:
        os.setxattr(tmp_path / "file", "user.note", b"kept")
    except OSError:
        pytest.skip("no extended attributes here")
    write_text(tmp_path / "file", "new")
    assert os.getxattr(tmp_path / "file", "user.note") == b"kept"


@pytest.mark.parametrize(("mode", "same", "expected"), [
    (0o640, True, 0o640), (0o640, False, 0o600), (0o664, False, 0o644), (0o677, False, 0o677)])
def test_another_group_may_do_what_everybody_may(tmp_path: Path, mode: int, same: bool, expected: int) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "file").chmod(mode)
    status = (tmp_path / "file").stat()
    assert _rights_of(status, status.st_gid + (not same)) == expected


@pytest.mark.parametrize(("mode", "expected"), [(0o600, 0o700), (0o640, 0o750), (0o664, 0o775)])
def test_parts_of_a_private_file_are_private(tmp_path: Path, mode: int, expected: int) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "file").chmod(mode)
    make_folder_for(tmp_path / "file", tmp_path / "parts", exist_ok=False)
    make_folder_for(tmp_path / "file", tmp_path / "parts", exist_ok=True)
    assert rights(tmp_path / "parts") == expected


def test_text_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        write_text(tmp_path / "missing" / "file", "new")


def test_json_has_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "file", float("nan"))


def test_npz_bytes_are_read_again() -> None:
    written = npz_bytes({"a": np.arange(3)})
    assert written == npz_bytes({"a": np.arange(3)})
    np.testing.assert_array_equal(read_npz(written, "a.npz")["a"], [0, 1, 2])
