"""Goals have two sides: images that are too easy miss them too."""

import math
from typing import Any

import pytest

from cldm_trainer.results.cldm.goals import goals
from cldm_trainer.results.markdown import goals_table


def estimate(value: float, half: float = 0.01) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


def row(name: str, r2: float, *, slope: float = 0.9, bias: float = 0.0, dice: float = 0.7, false: float = 0.1,
        half: float = 0.01) -> dict[str, Any]:
    lesion = {"r2": estimate(r2, half), "slope": estimate(slope), "bias": estimate(bias)}
    return {"set": name, "agreement": {"size": {"lesion": lesion}}, "regions": {"scar": {"dice": {"mean": dice}}},
            "dice": {"scar": estimate(dice)}, "false_rate": estimate(false), "false_sized": estimate(false)}


def found(*synthetic: dict[str, Any], **more: Any) -> dict[str, dict[str, Any]]:
    """goal -> line, for a reference of r2 0.9, slope 0.9, bias 0, Dice 0.7 and false rate 0.1."""
    figures = {"lesion": "scar", "attributes": ["size"], "compared": ["test"], "without": {},
               "tolerances": {"size": 0.02},
               "sets": [row("real, test", 0.9), row("reconstructed, test", 0.8, dice=0.68), *synthetic],
               "texture": {"high_frequency_ratio": 0.9, "latent_spread": math.nan},
               "grid": {"parts": {"request to segmentation": {}}}} | more
    lines = goals(figures)
    assert len({line["goal"] for line in lines}) == len(lines)  # each figure counts once
    return {line["goal"]: line for line in lines}


@pytest.mark.parametrize(("r2", "met"), [(0.84, False), (0.86, True), (0.94, True), (0.96, False)])
def test_both_sides_count(r2: float, met: bool) -> None:
    assert found(row("synthetic, test", r2))["synthetic, test: r2 of size"]["met"] is met


def test_slope_bias_overlap_and_false_lesions_have_goals() -> None:
    lines = found(row("synthetic, test", 0.9, slope=1.01, bias=0.03, dice=0.74, false=0.16))
    assert not any(lines[f"synthetic, test: {what}"]["met"] for what in (
        "slope of size", "bias of size", "Dice of scar", "false scar, any pixel", "false scar above a size"))
    lines = found(row("synthetic, test", 0.9, slope=0.99, bias=0.01, dice=0.72, false=0.14))
    assert all(line["met"] for name, line in lines.items() if name.startswith("synthetic"))


def test_a_figure_may_meet_its_goal_without_its_interval() -> None:
    narrow, wide = (found(row("synthetic, test", 0.9, half=half))["synthetic, test: r2 of size"] for half in (.04, .06))
    assert narrow["met"] and narrow["sure"] and wide["met"] and not wide["sure"]


def test_what_is_undefined_is_not_met() -> None:
    lines = found(row("synthetic, test", math.nan))
    assert not lines["synthetic, test: r2 of size"]["met"]
    assert not lines["spread of latents, synthetic over cohort"]["met"]
    assert lines["codec: scar Dice on reconstructed test slices"]["met"]  # 0.02 of 0.03
    assert not lines["codec: r2 of size"]["met"]  # 0.10 of 0.05


def test_every_strategy_has_goals_and_overlap_only_where_outlines_are_followed() -> None:
    rows = {"real, test": row("real, test", 0.9), "1.2, test": row("", 0.5), "3, test": row("", 0.88)}
    lines = found(strategies={"rows": rows, "keys": ["1.2", "3"], "outlined": ["3"]}, realism={
        "3": {"accuracy": estimate(0.95)}})
    assert not lines["1.2, test: r2 of size"]["met"] and lines["3, test: r2 of size"]["met"]
    assert "3, test: Dice of scar" in lines and "1.2, test: Dice of scar" not in lines
    assert not lines["3: accuracy of distinguishing synthetic from cohort"]["met"]


def test_a_student_is_as_its_teacher() -> None:
    pair = {"student": "few", "teacher": "many", "attributes": {"size": {"difference": {"r2": estimate(-0.04, 0.02)}}}}
    line = found(row("synthetic, test", 0.9), students=[pair])["few: r2 of size, minus that of many"]
    assert line["met"] and not line["sure"]  # -0.06 to -0.02, within 0.05


def test_the_slope_of_the_grid_is_over_the_segmenters_own() -> None:
    grid = {"parts": {"request to segmentation": {"size": {"lesion": {"r2": estimate(0.9), "slope": estimate(0.9)}}}}}
    line = found(row("synthetic, test", 0.9), grid=grid)["grid: slope of size over the segmenter's own"]
    assert line["found"] == pytest.approx(1.0) and line["met"]  # 0.9 over 0.9


def test_the_table_says_how_a_goal_is_met() -> None:
    lines = found(row("synthetic, test", 0.9, half=0.06, false=0.3))
    text = goals_table([lines[f"synthetic, test: {what}"] for what in ("r2 of size", "slope of size",
                                                                      "false scar, any pixel")])
    assert text.startswith("2 of 3 are met; of 1 the whole interval lies within the limits.")
    assert ("| synthetic, test: r2 of size | 0.900 [0.840, 0.960] | 0.900 ± 0.05 | by the figure, not its interval |"
            in text)
    assert "| synthetic, test: false scar, any pixel | 0.300 [0.290, 0.310] | 0.100 ± 0.05 | **no** |" in text
