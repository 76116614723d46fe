"""Files under way: unique names, and which are of nobody any more."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cldm_runtime.files import partial as partial_module
from cldm_runtime.files.atomic import write_text
from cldm_runtime.files.partial import new_partial, remove_left_behind

WRITER = """
import sys, time
from pathlib import Path
from cldm_runtime.files.partial import new_partial
made = new_partial(Path("file"), 0o666)
print(made.path, flush=True)
time.sleep(60)
"""


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_file_of_a_killed_writer_is_removed_and_that_of_a_living_one_is_not(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", WRITER], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    name = process.stdout.readline().strip()
    remove_left_behind(tmp_path)
    assert files(tmp_path) == [name]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    remove_left_behind(tmp_path, tmp_path / "other")
    assert files(tmp_path) == [name]
    remove_left_behind(tmp_path, tmp_path / "file")
    assert files(tmp_path) == []


def test_two_writers_of_one_process_do_not_meet(tmp_path: Path) -> None:
    first, second = (new_partial(tmp_path / "file", 0o666) for _ in range(2))
    remove_left_behind(tmp_path)
    assert len(files(tmp_path)) == 2 and first.path != second.path
    first.remove(), second.release()
    assert files(tmp_path) == [second.path.name]


@pytest.mark.parametrize("name", ["file.00000000-0123456789abcdef.partial", "file.host-1.partial"])
def test_the_files_of_other_machines_are_judged_by_their_age(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    os.utime(tmp_path / name, (0, time.time() - 6 * 86400))
    remove_left_behind(tmp_path)
    assert files(tmp_path) == [name]
    os.utime(tmp_path / name, (0, time.time() - 8 * 86400))
    remove_left_behind(tmp_path)
    assert files(tmp_path) == []


def test_one_that_was_taken_away_before_it_was_locked_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                                                    ) -> None:
    lock, taken = partial_module.fcntl.flock, list[str]()

    def take_first(descriptor: int, kind: int) -> None:
        lock(descriptor, kind)
        if not taken:
            taken.extend(files(tmp_path))
            (tmp_path / taken[0]).unlink()

    monkeypatch.setattr(partial_module.fcntl, "flock", take_first)
    made = new_partial(tmp_path / "file", 0o666)
    assert files(tmp_path) == [made.path.name] != taken
    made.release()


@pytest.mark.parametrize("name", ["a" * 255, "\u00e4" * 127])
def test_names_as_long_as_they_may_be(tmp_path: Path, name: str) -> None:
    write_text(tmp_path / name, "new")
    assert files(tmp_path) == [name]
