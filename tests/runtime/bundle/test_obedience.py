"""What a bundle states about its generator, and when that falls short of its cohort."""

import json

import pytest

from cldm_runtime.bundle.obedience import Obedience, read_obedience, stated_obedience, weakness
from cldm_runtime.domains.registry import get_domain

LGE = get_domain("lge")
FIGURES = {"slices": 124.0, "phantom: Dice of infarct": 0.74, "phantom: r2 of infarct_size": 0.9,
           "reconstructed: Dice of infarct": 0.7, "synthetic: Dice of infarct": 0.31,
           "synthetic: r2 of infarct_size": 0.2, "high-frequency energy, synthetic over phantom": 6.4}


def quality(**changes):
    return {"measured": {**FIGURES, **changes}}


def test_figures_are_read_by_kind():
    found = read_obedience(quality())
    assert found == Obedience(124, {"Dice of infarct": 0.74, "r2 of infarct_size": 0.9}, {"Dice of infarct": 0.7},
                              {"Dice of infarct": 0.31, "r2 of infarct_size": 0.2}, 6.4)
    assert found.names == ("Dice of infarct", "r2 of infarct_size")
    assert stated_obedience(json.dumps({"quality": quality()})) == found


@pytest.mark.parametrize("noun", ["patients", "cohort", "real"])
def test_a_cohort_may_have_any_of_its_names(noun):
    assert read_obedience({"measured": {f"{noun}: Dice of infarct": 0.5}}).cohort == {"Dice of infarct": 0.5}


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"quality": 3}', '{"quality": {"measured": [1]}}', "[" * 10**5,
                                  '{"quality": {"measured": {"phantom: Dice of infarct": "0.7", "slices": true}}}',
                                  '{"quality": {"measured": {"phantom: Dice of infarct": NaN}}}', '{"quality": {}}'])
def test_what_is_no_such_figure_is_not_stated(text):
    assert stated_obedience(text) == Obedience()


@pytest.mark.parametrize(("synthetic", "short"), [(0.59, True), (0.61, False), (0.9, False)])
def test_a_lesion_below_four_fifths_of_the_cohorts_falls_short(synthetic, short):
    """0.8 of 0.75 is 0.6."""
    found = Obedience(cohort={"Dice of infarct": 0.75}, synthetic={"Dice of infarct": synthetic}, high_frequency=1.0)
    assert (f"Dice of infarct {synthetic:.2f} in its images, 0.75 in the cohort's" in weakness(found, LGE)) == short
    assert ("largely the generator's" in weakness(found, LGE)) == short


@pytest.mark.parametrize(("energy", "short"), [(0.49, True), (0.5, False), (2.0, False), (2.1, True), (None, False)])
def test_detail_outside_half_to_double_falls_short(energy, short):
    found = weakness(Obedience(high_frequency=energy), LGE)
    assert bool(found) == short and "largely" not in found


def test_images_without_outlines_are_judged_by_the_size_of_the_lesion():
    figures = {"phantom: Dice of infarct": 0.85, "phantom: r2 of infarct_size": 0.92,
               "synthetic: r2 of infarct_size": 0.46}
    assert "r2 of infarct_size 0.46 in its images, 0.92 in" in weakness(read_obedience({"measured": figures}), LGE)


def test_other_regions_do_not_count_where_there_is_a_lesion():
    assert weakness(Obedience(cohort={"Dice of lv_cavity": 0.9}, synthetic={"Dice of lv_cavity": 0.1}), LGE) == ""
