"""Logs that cannot be written end no training: one warning, and rows that are whole or not there."""

import importlib.util
import resource
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cldm_trainer.training.log import Records

FIND_SPEC = importlib.util.find_spec
FIGURES = {"loss": 0.5, "rate": 0.125}


@pytest.fixture
def limited() -> Iterator[None]:
    """No file may grow beyond 40 bytes, as on a full disk."""
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40, before[1][1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before[1])
    signal.signal(signal.SIGXFSZ, before[0])


@pytest.fixture(autouse=True)
def no_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    """It writes in a thread of its own."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


def records(folder: Path, first_step: int = 0) -> Records:
    return Records(folder, first_step, 100)


def test_a_full_disk_is_one_warning_and_leaves_whole_rows(tmp_path: Path, limited: None,
                                                         capsys: pytest.CaptureFixture[str]) -> None:
    with records(tmp_path) as log:
        for step in range(1, 9):
            log.training(step, FIGURES)
            log.picture(step, np.zeros((64, 64, 3), np.uint8))
    text = capsys.readouterr().err
    assert text.count("log.csv cannot be written (") == 1
    assert text.count("samples cannot be written (File too large). Training goes on without it.") == 1
    assert (tmp_path / "log.csv").read_text() == "" and list((tmp_path / "samples").glob("*.png")) == []


def test_a_full_disk_is_no_traceback_of_tensorboard(tmp_path: Path, limited: None, monkeypatch: pytest.MonkeyPatch,
                                                    capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tensorboard")
    monkeypatch.setattr("importlib.util.find_spec", FIND_SPEC)
    hook = threading.excepthook
    with records(tmp_path) as log:
        for step in range(1, 4):
            log.training(step, FIGURES)
    text = capsys.readouterr().err
    assert text.count("tensorboard cannot be written (File too large). Training goes on without it.") == 1
    assert "Traceback" not in text and threading.excepthook is hook


def test_rows_go_on_when_there_is_space_again(tmp_path: Path) -> None:
    (tmp_path / "log.csv").mkdir()
    with records(tmp_path) as log:
        log.training(1, FIGURES)
        (tmp_path / "log.csv").rmdir()
        log.training(2, FIGURES)
        log.training(3, FIGURES)
    rows = (tmp_path / "log.csv").read_text().splitlines()
    assert rows[0] == "step,seconds,seconds_per_step,loss,rate" and [row[0] for row in rows[1:]] == ["2", "3"]


@pytest.mark.parametrize("text", ["", "step,loss\r\n1,0.5\r\n2,0", "step,loss\r\n1,0.5\r\n2,0.4\r\n7,0.1\r\n",
                                  "step,loss\r\n1,0.5\r\nx\udcff,1\r\n"])
def test_rows_that_are_cut_off_or_of_later_steps_are_dropped(tmp_path: Path, text: str) -> None:
    (tmp_path / "validation.csv").write_bytes(text.encode(errors="surrogateescape"))
    with records(tmp_path, 3) as log:
        log.validation(4, {"loss": 0.25})
    steps = [row.split(",")[0] for row in (tmp_path / "validation.csv").read_text().splitlines()]
    assert steps[0] == "step" and steps[-1] == "4" and "7" not in steps and steps.count("1") <= 1
