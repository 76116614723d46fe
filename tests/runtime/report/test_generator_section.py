"""The section on the generator: every figure in its cell, and what is not stated."""

from cldm_runtime.bundle.obedience import Obedience
from cldm_runtime.report.generator import generator_section
from html_tables import read_tables


def test_every_figure_stands_under_its_images() -> None:
    stated = Obedience(124, {"Dice of infarct": 0.845, "r2 of infarct_size": 0.9}, {"Dice of infarct": 0.8},
                       {"r2 of infarct_size": 0.5}, 1.154)
    section = generator_section(stated)
    (dice, r2), = read_tables(section)
    assert list(dice.values()) == ["Dice, Infarct", "0.84", "0.80", "not stated"]
    assert list(r2.values()) == ["r², Infarct size", "0.90", "not stated", "0.50"]
    assert "on 124 validation slices" in section and "over the cohort's: 1.15." in section


def test_nothing_stated_is_said() -> None:
    section = generator_section(Obedience())
    assert read_tables(section) == [] and "These figures are not stated in the bundle." in section
    assert "over the cohort's: not stated." in section


def test_names_of_figures_are_escaped() -> None:
    assert "<b>" not in generator_section(Obedience(cohort={"Dice of <b>": 1.0, "<b>": 1.0}))
