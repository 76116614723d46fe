"""The example scripts run as they stand, here with a tiny bundle in the place of the real one."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_python_example_runs(tmp_path: Path, tiny_generator: Path, monkeypatch: pytest.MonkeyPatch,
                                 capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "exported").mkdir()
    (tmp_path / "exported" / "lge").symlink_to(tiny_generator)
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / "generate.py"), run_name="__main__")
    printed = capsys.readouterr().out
    assert "images (3, 1, 128, 128)" in printed and "samples 60 to 63" in printed
