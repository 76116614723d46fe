"""Progress: a line now and then where nobody watches."""

import io
import time

import pytest

from cldm_runtime.cli import progress


def test_a_log_gets_the_last_line_only_when_all_is_quick() -> None:
    log = io.StringIO()
    with progress.show_progress("making", 200, log) as show:
        for done in range(1, 201):
            show(done, 200)
    assert log.getvalue().splitlines() == ["making: 200 of 200 (100 %), 0 s"]


def test_a_log_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 4))  # seconds: a call every four
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    log = io.StringIO()
    with progress.show_progress("making", 8, log) as show:
        for done in range(1, 9):
            show(done, 8)
    assert log.getvalue().splitlines() == ["making: 3 of 8 (37 %), 12 s, about 20 s left",
                                           "making: 6 of 8 (75 %), 24 s, about 8 s left",
                                           "making: 8 of 8 (100 %), 32 s"]


def test_a_terminal_gets_a_bar() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    with progress.show_progress("making", 4, terminal) as show:
        show(4, 4)
    assert "making" in terminal.getvalue() and "4/4" in terminal.getvalue()


@pytest.mark.parametrize(("seconds", "expected"), [(12.4, "12 s"), (180, "3 min"), (18_720, "5.2 h")])
def test_the_time_left_has_the_unit_that_people_would_use(seconds: float, expected: str) -> None:
    assert progress._duration(seconds) == expected


def test_a_brief_log_gets_no_line_for_what_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    with progress.show_progress("making", 2, log, brief=True) as show:
        show(2, 2)
    assert not log.getvalue()
    clock = iter(range(0, 1000, 12))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.show_progress("making", 2, log, brief=True) as show:
        show(1, 2)
        show(2, 2)
    assert len(log.getvalue().splitlines()) == 2


def test_work_of_unknown_length_says_what_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.BusyLines("segmenter s", 0.02) as say:
        say("comparing ...")
        time.sleep(0.2)
    assert "segmenter s: comparing, 0 s so far\n" in capsys.readouterr().err


def test_what_is_said_aloud_comes_at_once_and_what_is_quick_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.BusyLines("export", aloud=True) as say:
        say("writing")
    with progress.BusyLines("export") as say:
        say("writing")
    assert capsys.readouterr().err == "writing\n"


def test_work_with_progress_of_its_own_is_not_told_twice(capsys: pytest.CaptureFixture[str],
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    with progress.BusyLines("results", 0.1), progress.show_progress("generating", 40, io.StringIO()) as show:
        for done in range(1, 41):
            show(done, 40)
            time.sleep(0.01)
    assert capsys.readouterr().err == ""
