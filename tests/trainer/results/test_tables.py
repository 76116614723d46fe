"""Every figure of the pages' tables stands in its own cell: the figures here all differ."""

from typing import Any

from cldm_trainer.results.cldm.strategy_page import agreement, false_and_distances, overlap
from cldm_trainer.results.markdown import agreement_table, overlap_table, students_text


def estimate(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.01, "high": value + 0.01}


def row() -> dict[str, Any]:
    lesion = {"n": 7, "r2": estimate(0.1), "slope": estimate(0.2), "bias": estimate(0.3), "icc": estimate(0.4)}
    whole, overlaps = {"n": 8, "r2": estimate(0.5)}, {"dice": {"mean": 0.6, "sd": 0.07}, "hd_mm": {"mean": 5.5}}
    return {
        "set": "real, test", "slices": 9, "patients": 3, "agreement": {"size": {"lesion": lesion, "all": whole}},
        "regions": {"scar": overlaps}, "dice": {"scar": estimate(0.6)}, "false_rate": estimate(0.7),
        "false_sized": estimate(0.8), "missed_rate": estimate(0.9)}


COMPARED = {"keys": ["3"], "outlined": ["3"], "rows": dict.fromkeys(
    ("real, train", "real, val", "real, test", "3, test"), row()), "distances": {
        "3": {"frechet": 0.0123, "kernel": 4e-5, "kernel_sd": 1e-5}}}


def last(text: str) -> str:
    return [line for line in text.splitlines() if line.startswith("|")][-1]


def test_table_one_shows_slope_bias_and_icc_beside_r2() -> None:
    text = agreement(COMPARED, ["size"], "scar")
    assert "| images | attribute | n | r2 | slope | bias | ICC |" in text
    assert last(text) == ("| 3 mask latent | size | 7 | 0.10 [0.09, 0.11] | 0.20 [0.19, 0.21] | 0.300 [0.290, 0.310] | "
                          "0.40 [0.39, 0.41] |")


def test_false_lesions_of_any_size_and_sized_ones() -> None:
    text = false_and_distances(COMPARED, "scar")
    assert "| false scar | false scar above 10 pixels | missed scar | Frechet |" in text
    assert last(text) == ("| 3 mask latent | 9 | 3 | 70 % [69, 71] | 80 % [79, 81] | 90 % [89, 91] | 0.0123 | "
                          "0.04 ± 0.01 |")
    assert "above 0.1 ml" in false_and_distances(COMPARED, "scar", "", 3)


def test_overlap_has_intervals_and_both_rates() -> None:
    cells = "0.600 [0.590, 0.610] | 5.5 | 70 % [69, 71] | 80 % [79, 81] |"
    assert last(overlap(COMPARED, ["test"], "scar")) == f"| 3 mask latent, test | 9 | {cells}"
    assert last(overlap_table([row()], "scar", "phantom")) == f"| phantom, test | 9 | 3 | {cells}"


def test_agreement_of_every_set() -> None:
    assert last(agreement_table([row()], ["size"], "scar")) == (
        "| cohort, test | size | 0.50 [0.49, 0.51] | 0.10 [0.09, 0.11] | 0.20 [0.19, 0.21] | 0.300 [0.290, 0.310] | "
        "0.40 [0.39, 0.41] | 8 (7) |")


def test_figures_of_an_earlier_version_have_dashes() -> None:
    old = {key: value for key, value in row().items() if key not in ("dice", "false_sized", "missed_rate")}
    assert last(overlap_table([old], "scar")) == "| cohort, test | 9 | 3 | 0.600 ± 0.07 | 5.5 | 70 % [69, 71] | – |"


def test_students_beside_their_teachers() -> None:
    student, teacher = ({"r2": estimate(base), "slope": estimate(base + 0.1), "bias": estimate(base + 0.2)}
                        for base in (0.1, 0.5))
    pair = {"student": "few", "teacher": "many", "attributes": {"size": {
        "student": student, "teacher": teacher, "difference": {"n": 6, "r2": estimate(-0.4)}}}}
    assert last(students_text({"students": [pair]})) == (
        "| few | many | size | 6 | 0.10 [0.09, 0.11] | 0.50 [0.49, 0.51] | -0.400 [-0.410, -0.390] | "
        "0.20 [0.19, 0.21] | 0.60 [0.59, 0.61] | 0.300 [0.290, 0.310] | 0.700 [0.690, 0.710] |")
