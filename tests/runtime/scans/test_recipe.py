"""Names become numbers, and what a cohort depends on is written as it always was."""

from pathlib import Path

import pytest

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import InputError
from cldm_runtime.scans.nnunet_raw import RawDataset, read_raw_dataset
from cldm_runtime.scans.recipe import described, make_recipe
from cldm_runtime.scans.settings import PrepareSettings
from scan_fixtures import describe

LGE = get_domain("lge")
RAW = RawDataset(Path("raw"), {name: (value,) for value, name in enumerate(LGE.labels.names)}, (), {})
FIRST_COHORTS = {
    "domain": "lge", "lookup": [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4)],
    "window": {"shape": (128, 128), "spacing_mm": (1.0, 1.0), "margin_mm": 4.0}, "percentiles": (0.5, 99.5),
    "ring": ((2, 3, 4), (1,)), "channel": 0, "image_order": 3, "check_geometry": True, "base_first": False}


def test_the_defaults_are_described_as_by_the_first_cohorts() -> None:
    """Else every cohort made so far would count as made with other settings."""
    settings = PrepareSettings()
    written = described(make_recipe(settings, RAW, LGE), settings, LGE)
    assert list(written.items()) == list(FIRST_COHORTS.items())


@pytest.mark.parametrize(("settings", "change"), [
    (PrepareSettings(first_slice="base"), {"base_first": True}),
    (PrepareSettings(ring=()), {"ring": ()}),
    (PrepareSettings(channel=2), {"channel": 2}),
    (PrepareSettings(nature="patients"), {"nature": "patients"}),
    (PrepareSettings(centre="image"), {"centre": "image"}),
])
def test_every_setting_that_changes_the_cohort_is_described(settings: PrepareSettings, change: dict) -> None:
    assert described(make_recipe(settings, RAW, LGE), settings, LGE) == FIRST_COHORTS | change


def test_several_channels_are_described() -> None:
    settings = PrepareSettings(channels=(0, 1))
    written = described(make_recipe(settings, RAW, LGE), settings, LGE)
    assert written["channels"] == (0, 1) and "channel" not in written


@pytest.mark.parametrize(("settings", "message"), [
    (PrepareSettings(ring=("wall", "lv_cavity")), "prepare.ring: 'wall' is no label or region. Known: background"),
    (PrepareSettings(ring=("myocardium",)), "expected 2 names, or"),
    (PrepareSettings(first_slice="top"), "first_slice: found 'top', expected apex or base"),
    (PrepareSettings(percentiles=(1.0,)), "expected two numbers"),
])
def test_what_fits_no_domain_is_named(settings: PrepareSettings, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_recipe(settings, RAW, LGE)


def test_a_raw_dataset_without_cases_says_which_ending_was_looked_for(tmp_path: Path) -> None:
    for kind in ("imagesTr", "labelsTr"):
        (tmp_path / kind).mkdir()
    assert read_raw_dataset(describe(tmp_path))[1] == [f"{tmp_path / 'imagesTr'}: no case ends with .nii.gz"]


@pytest.mark.parametrize(("setting", "value"), [
    ("percentiles", (99.5, 0.5)), ("percentiles", (-1.0, 50.0)), ("percentiles", (1.0,)), ("image_order", 9),
    ("margin_mm", -5.0), ("shape", (0, 128)), ("spacing_mm", (0.0, 1.0)), ("channel", -1), ("workers", 0)])
def test_settings_out_of_range_are_named(setting: str, value: object) -> None:
    settings = PrepareSettings(**{setting: value})
    with pytest.raises(InputError, match=rf"prepare\.{setting}: found .*, expected"):
        make_recipe(settings, RawDataset(Path("raw"), {"background": (0,)}, (), {}), get_domain("lge"))
