"""docs/settings.md is what the source says, and says something of every key."""

import dataclasses
from pathlib import Path

import pytest
from click.testing import CliRunner

from cldm_runtime.scans.settings import PrepareSettings
from cldm_trainer.cli.settings import SettingsKey, comments_of, keys_of, page, settings
from cldm_trainer.config import Config, OptimiserConfig, RunConfig
from cldm_trainer.config.validity import ValidityConfig

DOCUMENT = Path(__file__).parents[2] / "docs" / "settings.md"


@dataclasses.dataclass(frozen=True)
class Example:
    """Of nothing."""

    steps: int  # how many; at least 1
    # What the critic sees
    # at once.
    window: int = 64
    size_mm: tuple[float, ...] = (1.0, 2.0)  # of "pixels # here"
    share: float | None = None  # [share of 1] of all
    inner: dict[str, str] = dataclasses.field(default_factory=dict)


def test_the_document_is_up_to_date() -> None:
    assert page() == DOCUMENT.read_text(encoding="utf-8"), "Run: cldm-train settings > docs/settings.md"


def test_the_command_prints_it() -> None:
    assert CliRunner().invoke(settings).output == page()


def test_comments_stand_beside_a_field_or_above_it() -> None:
    assert comments_of(Example) == {"steps": "how many; at least 1", "window": "What the critic sees at once.",
                                    "size_mm": 'of "pixels # here"', "share": "[share of 1] of all", "inner": ""}


def test_keys_have_default_unit_and_meaning() -> None:
    assert list(keys_of(Example)) == [
        SettingsKey("steps", "needed", "whole number", "how many; at least 1"),
        SettingsKey("window", "`64`", "whole number", "What the critic sees at once."),
        SettingsKey("size_mm", "`[1.0, 2.0]`", "mm", 'of "pixels # here"'),
        SettingsKey("share", "none", "share of 1", "of all"),
        SettingsKey("inner", "none", "table of text", "")]


def test_keys_of_records_in_records_carry_their_names() -> None:
    names = [key.name for key in keys_of(ValidityConfig)]
    assert {"generators", "segmenters.NAME.share", "segmenters.NAME.hidden.low"} <= set(names)


@pytest.mark.parametrize("record", [RunConfig, OptimiserConfig, PrepareSettings])
def test_every_field_is_a_key(record: type) -> None:
    assert [key.name for key in keys_of(record)] == [field.name for field in dataclasses.fields(record)]


def test_every_key_has_a_meaning_and_every_section_its_heading() -> None:
    rows = [line.split(" | ") for line in page().splitlines() if line.startswith("| `")]
    assert len(rows) > 150 and not [row[0] for row in rows if not row[-1].strip("| ")]
    assert all(f"## [{field.name}]" in page() or f"## [[{field.name}]]" in page()
               for field in dataclasses.fields(Config))
