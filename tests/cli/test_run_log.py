"""The log of runs: its chain, several writers, lines cut off, and a log that cannot be written."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cldm_runtime.cli import run_log as audit_log
from cldm_runtime.cli.run_log import note, record_run, verify_log
from cldm_runtime.errors import BundleError, DatasetError, InputError


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLDM_AUDIT_LOG", str(tmp_path / "audit.jsonl"))
    return tmp_path / "audit.jsonl"


def runs(count: int) -> None:
    for number in range(count):
        with record_run("cldm gen", ["--n", str(number)]):
            note(asked=number)


def lines(log: Path) -> list[bytes]:
    return log.read_bytes().split(b"\n")[:-1]


def test_a_run_is_two_lines_that_hold_each_other(log: Path) -> None:
    with record_run("cldm gen", ["--n", "3"]):
        note(asked=3, made=3, seed=7, output="/out.h5")
    first, last = (json.loads(line) for line in lines(log))
    assert (first["event"], first["previous"], last["event"]) == ("begin", "0" * 64, "end")
    assert last["previous"] == last["began"] == hashlib.sha256(lines(log)[0]).hexdigest()
    assert (last["asked"], last["made"], last["seed"], last["exit_code"], last["error"]) == (3, 3, 7, 0, None)
    assert last["arguments"] == ["--n", "3"] and last["begun"] <= last["ended"] and last["ended"].endswith("Z")


def test_the_user_is_the_systems_not_the_environments(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "somebody")
    monkeypatch.setenv("USER", "somebody")
    runs(1)
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    assert json.loads(lines(log)[0])["user"] == user != "somebody"


def test_nothing_is_written_without_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLDM_AUDIT_LOG", raising=False)
    monkeypatch.chdir(tmp_path)
    runs(1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("error", "code", "said"), [
    (BundleError("bundle x is damaged."), 3, "bundle x is damaged."), (KeyboardInterrupt(), 130, "interrupted"),
    (ZeroDivisionError("a defect"), 1, "ZeroDivisionError: a defect")])
def test_a_failure_is_logged_and_goes_on(log: Path, error: BaseException, code: int, said: str) -> None:
    with pytest.raises(type(error)), record_run("cldm gen", []):
        raise error
    last = json.loads(lines(log)[-1])
    assert (last["exit_code"], last["error"]) == (code, said)


def test_a_sound_log_is_whole(log: Path) -> None:
    runs(3)
    found = verify_log(log)
    assert (found.lines, found.runs, found.torn, found.unfinished) == (6, 3, (), ())
    assert found.last_sha256 == hashlib.sha256(lines(log)[-1]).hexdigest()
    assert verify_log(log, holds=hashlib.sha256(lines(log)[1]).hexdigest()) == found


@pytest.mark.parametrize(("change", "broken"), [
    (lambda found: found[:2] + found[3:], 3),  # a line is removed
    (lambda found: found[1:], 1),
    (lambda found: [*found[:2], found[2].replace(b'"1"', b'"9"'), *found[3:]], 4),  # altered: what follows tells
    (lambda found: [*found[:2], b"not JSON", *found[3:]], 3),
    (lambda found: [*found[:2], b"[]", *found[3:]], 3),
    (lambda found: [*found[:2], found[3], found[2], *found[4:]], 3),  # swapped
    (lambda found: [*found[:3], found[1], *found[3:]], 4)])  # put in between
def test_the_first_broken_line_is_named(log: Path, change: object, broken: int) -> None:
    runs(3)
    log.write_bytes(b"\n".join([*change(lines(log)), b""]))  # type: ignore[operator]
    with pytest.raises(DatasetError, match=f"line {broken} "):
        verify_log(log)


def test_an_end_that_was_cut_off_shows_by_the_hash_kept_elsewhere(log: Path) -> None:
    runs(3)
    kept = verify_log(log).last_sha256
    log.write_bytes(b"\n".join([*lines(log)[:-2], b""]))
    assert verify_log(log).runs == 2
    with pytest.raises(DatasetError, match="none of its 4 lines has the SHA-256"):
        verify_log(log, holds=kept)


@pytest.mark.parametrize("cut", [1, 40, 500])
def test_a_line_cut_off_by_a_power_loss_is_kept_and_told(log: Path, cut: int) -> None:
    runs(2)
    whole = log.read_bytes()
    log.write_bytes(whole[:-cut])
    if cut > 1:  # without its line feed alone, a line is whole
        with pytest.raises(DatasetError, match="line 4 was cut off"):
            verify_log(log)
    runs(1)
    assert log.read_bytes().startswith(whole[:-cut])
    found = verify_log(log)
    assert (found.lines, found.torn) == (6, (4,) if cut > 1 else ())
    assert found.unfinished == ((3,) if cut > 1 else ())


def test_a_log_of_one_torn_line_goes_on(log: Path) -> None:
    runs(1)
    log.write_bytes(log.read_bytes()[:20])
    runs(1)
    assert verify_log(log).torn == (1,)


def test_a_run_that_was_killed_is_told(log: Path) -> None:
    runs(1)
    script = ("import os; from cldm_runtime.cli.run_log import record_run\n"
              "with record_run('cldm gen', []): os.kill(os.getpid(), 9)")
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    runs(1)
    assert verify_log(log).unfinished == (3,)


def test_many_processes_share_a_log(log: Path) -> None:
    script = ("from cldm_runtime.cli.run_log import record_run\nfor n in range(20):\n"
              "    with record_run('cldm gen', [str(n), 'x' * 70_000]): pass")  # longer than a block
    writers = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4
    found = verify_log(log)
    assert (found.lines, found.runs, found.unfinished) == (160, 80, ())


@pytest.mark.parametrize("make", [
    lambda path: path.mkdir(), lambda path: path.write_bytes(b"\x89HDF\r\n"),
    lambda path: path.write_text('{"format": "other"}\n'), lambda path: path.write_text("\n"),
    lambda path: path.symlink_to("/dev/full"), lambda path: path.symlink_to(path.parent / "missing" / "file")])
def test_a_log_that_cannot_be_written_stops_the_run_before_it_begins(log: Path, make: object) -> None:
    make(log)  # type: ignore[operator]
    before = log.read_bytes() if log.is_file() else None
    begun = False
    said = r"audit\.jsonl: the audit log cannot be written .* Nothing was done"
    with pytest.raises(InputError, match=said), record_run("cldm gen", []):
        begun = True
    assert not begun and before == (log.read_bytes() if log.is_file() else None)


def test_a_full_disk_at_the_end_is_told_with_the_outcome(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    said = r"No space left on device\). The run has ended with exit code 0 \(done\)"
    with pytest.raises(InputError, match=said), record_run("cldm gen", []):
        monkeypatch.setattr(os, "write", full)


def test_a_run_that_failed_keeps_its_exit_code_without_the_log(log: Path, capsys: pytest.CaptureFixture[str]
                                                               ) -> None:
    with pytest.raises(BundleError, match="damaged"), record_run("cldm gen", []):
        log.unlink()
        log.mkdir()
        raise BundleError("damaged")
    assert "The run has ended with exit code 3 (damaged), and the log lacks that" in capsys.readouterr().err


def test_only_the_owner_reads_a_new_log(log: Path) -> None:
    runs(1)
    assert log.stat().st_mode & 0o777 == 0o600


def test_what_is_on_the_disk_was_synced(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(audit_log.os, "fsync", synced.append)
    runs(1)
    assert len(synced) == 3  # two lines, and once the folder, which the file is new in


def test_a_misspelt_fact_is_a_defect_and_a_newer_log_is_refused(log: Path) -> None:
    with pytest.raises(TypeError, match="sede"), record_run("cldm gen", []):
        note(sede=1)
    log.write_bytes(log.read_bytes().replace(b'"format_version": 1', b'"format_version": 2'))
    with pytest.raises(DatasetError, match="line 1: format_version is 2, expected 1"):
        verify_log(log)
