"""What commands that measure say of themselves, and which pages they write."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from cldm_trainer.audit import conditional_spread, judging
from cldm_trainer.cli import measuring

CONFIG = str(Path(__file__).parents[3] / "trainer" / "configs" / "phantom-tiny.toml")


@pytest.fixture
def stated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The commands that pages would state, of runs that measure nothing."""
    commands: list[str] = []

    def run(config: object, command: str, **options: object) -> Path:
        commands.append(command)
        (tmp_path / "page.md").touch()
        return tmp_path / "page.md"

    for module in (conditional_spread, judging):
        monkeypatch.setattr(module, "run", run)
    return commands


def test_pages_state_every_option_that_was_given(stated: list[str], tmp_path: Path) -> None:
    given = ["--config", CONFIG, "--maps", "12", "--bundle", "a", "--bundle", "b", "--out", str(tmp_path)]
    result = CliRunner().invoke(measuring.spread, given)
    assert result.exit_code == 0, result.output
    assert stated == [f"cldm-train spread --config {CONFIG} --bundle a --bundle b --maps 12"]


def test_flags_stand_alone_and_samples_without_their_folder(stated: list[str]) -> None:
    result = CliRunner().invoke(measuring.judge, ["--config", CONFIG, "--samples", "far/away.h5", "--as-stored"])
    assert result.exit_code == 0, result.output
    assert stated == [f"cldm-train judge --config {CONFIG} --samples away.h5 --as-stored"]


def test_a_results_page_is_written_where_a_folder_is_named(stated: list[str], tmp_path: Path) -> None:
    (tmp_path / "spread.json").write_text('{"held_fixed": "bin", "nature": "phantom", "slices": 3, "patients": 2, '
                                          '"sets": [], "made": {"command": "c", "versions": "v"}}')
    CliRunner().invoke(measuring.spread, ["--config", CONFIG])
    assert not (tmp_path / "results.md").exists()
    CliRunner().invoke(measuring.spread, ["--config", CONFIG, "--out", str(tmp_path)])
    assert "## How much synthetic images vary" in (tmp_path / "results.md").read_text()
