"""Fake segmenters that damage label maps at known rates: their order, gaps and intervals are known."""

import numpy as np
import pytest
from scipy import stats

from cldm_runtime.domains.registry import get_domain
from cldm_trainer.results.validity.outcomes import Truth, compare, figure_names, holds_lesion
from cldm_trainer.results.validity.prediction import FigureTerms, predict_validity, slice_correlations

DOMAIN = get_domain("lge")
NAMES = figure_names(DOMAIN)
DICE = NAMES.index("dice_infarct")


def lesions(sizes: list[int]) -> np.ndarray:
    """(N, 20, 20) rings, whose first wall pixels are lesion."""
    maps = np.zeros((len(sizes), 20, 20), dtype=np.uint8)
    maps[:, 2:18, 2:18], maps[:, 6:14, 6:14] = 2, 1
    for labels, size in zip(maps.reshape(len(sizes), -1), sizes, strict=True):
        labels[np.flatnonzero(labels == 2)[:size]] = 3
    return maps


def shrunk(sizes: list[int], rate: float) -> np.ndarray:
    """What a segmenter finds that loses this share of every lesion."""
    return lesions([round(size * (1 - rate)) for size in sizes])


def measured(sizes: list[int], rates: list[float]) -> FigureTerms:
    """Four slices a patient."""
    maps = lesions(sizes)
    truth = Truth(DOMAIN, (1.0, 1.0), DOMAIN.measure(maps).values, maps, holds_lesion(DOMAIN, maps),
                  np.array([f"P{i // 4}" for i in range(len(maps))]))
    return FigureTerms.of([compare(shrunk(sizes, rate), truth) for rate in rates], truth)


def made_up(dice: np.ndarray, patients: list[str]) -> FigureTerms:
    """(S, N) Dice of the lesion; no other figure is defined."""
    table = np.zeros((*dice.shape, len(NAMES), 2))
    table[..., DICE, 0], table[..., DICE, 1] = dice, 1.0
    count = dice.shape[1]
    attributes = np.tile(np.linspace(0, 1, count)[:, None], (1, len(DOMAIN.attributes)))
    return FigureTerms(table, np.array(patients), attributes, np.ones(count, dtype=bool))


REFERENCE, SYNTHETIC = [20, 40, 60, 80, 30, 50, 70, 90], [30, 60, 100, 120, 40, 80, 90, 100]
RATES = [0.0, 0.1, 0.2, 0.4, 0.6]


def test_equal_order_of_segmenters_gives_tau_one_for_every_figure_of_the_lesion() -> None:
    tables = dict.fromkeys(("g", "ceiling"), measured(SYNTHETIC, RATES))
    result = predict_validity(measured(REFERENCE, RATES), tables, "ceiling", list("abcde"), DOMAIN, 50)
    for name in ("dice_infarct", "mae_infarct_size", "bias_infarct_size"):
        tau = result["figures"][name]["sets"]["g"]["tau"]
        assert (tau["value"], tau["low"], tau["high"]) == (1.0, 1.0, 1.0), name
    assert np.isnan(result["figures"]["dice_lv_cavity"]["sets"]["g"]["tau"]["value"])  # all are perfect: no order


def test_exchanged_segmenters_give_scipys_tau() -> None:
    exchanged = [0.2, 0.0, 0.4, 0.1, 0.6]
    tables = {"g": measured(REFERENCE, exchanged), "ceiling": measured(REFERENCE, RATES)}
    result = predict_validity(measured(REFERENCE, RATES), tables, "ceiling", list("abcde"), DOMAIN, 50)
    expected = stats.kendalltau(RATES, exchanged).statistic
    assert result["figures"]["mae_infarct_size"]["sets"]["g"]["tau"]["value"] == pytest.approx(expected)


def test_gaps_by_hand() -> None:
    reference = made_up(np.array([[0.5, 0.7], [0.4, 0.4], [0.2, 0.2]]), ["a", "b"])  # means .6, .4, .2
    other = made_up(np.array([[0.7, 0.7], [0.5, 0.7], [0.1, 0.1]]), ["c", "d"])  # .7, .6, .1: gaps .1, .2, -.1
    result = predict_validity(reference, {"g": other, "ceiling": other}, "ceiling", ["x", "y", "z"], DOMAIN, 50)
    item = result["figures"]["dice_infarct"]["sets"]["g"]
    assert item["mean_gap"]["value"] == pytest.approx(0.2 / 3)
    assert item["absolute_gap"]["value"] == pytest.approx(0.4 / 3)
    assert item["largest_gap"]["segmenter"] == "y" and item["largest_gap"]["value"] == pytest.approx(0.2)


def test_one_segmenter_on_the_same_label_maps() -> None:
    rng = np.random.default_rng(0)
    patients = [f"P{i // 4}" for i in range(24)]
    own, drawn = rng.random((2, 24)), rng.random((2, 24))
    drawn[0] += 2 * own[0]
    tables = {"g": made_up(drawn, patients), "ceiling": made_up(own, patients)}
    item = predict_validity(made_up(own, patients), tables, "ceiling", ["x", "y"], DOMAIN, 200)["figures"][
        "dice_infarct"]["sets"]["g"]
    for number, name in enumerate("xy"):
        found = item["slice_correlations"][name]
        assert found["value"] == pytest.approx(np.corrcoef(own[number], drawn[number])[0, 1])
        assert found["low"] < found["value"] < found["high"]
        assert item["paired_gaps"][name]["value"] == pytest.approx(drawn[number].mean() - own[number].mean())


def test_slices_of_which_one_side_lacks_the_figure_do_not_correlate() -> None:
    one = made_up(np.array([[0.1, 0.5, 0.9, 0.0]]), list("abcd"))
    one.table[0, 3, DICE] = 0.0
    other = made_up(np.array([[0.2, 0.3, 0.4, 9.0]]), list("abcd"))
    constant = made_up(np.full((1, 4), 0.5), list("abcd"))
    assert slice_correlations(one, other, DICE, 0)[0, 0] == pytest.approx(1.0)
    assert np.isnan(slice_correlations(one, constant, DICE, 0)[0, 0])


def test_intervals_draw_patients_and_not_slices() -> None:
    dice = np.array([[0.0] * 50 + [1.0] * 50])
    by_patient = made_up(dice, ["a"] * 50 + ["b"] * 50).replicated(2000, 0)[1:, 0, DICE]
    assert set(by_patient.tolist()) == {0.0, 0.5, 1.0}  # a twice, both, b twice
    assert by_patient.mean() == pytest.approx(0.5, abs=0.03)
    assert (by_patient == 0.5).mean() == pytest.approx(0.5, abs=0.04)


def test_the_best_generator_keeps_the_order() -> None:
    tables = {"bad": measured(SYNTHETIC, RATES[::-1]), "good": measured(SYNTHETIC, RATES),
              "ceiling": measured(REFERENCE, RATES)}
    result = predict_validity(measured(REFERENCE, RATES), tables, "ceiling", list("abcde"), DOMAIN, 50)
    assert result["best"]["generator"] == "good" and list(result["best"]["mean_tau"]) == ["good", "bad"]
    assert result["best"]["mean_tau"]["bad"]["value"] == -1.0
    assert result["best"]["ahead_of_next"]["low"] > 1.9  # at most 2


def test_strata_have_a_gap_of_their_own() -> None:
    """Ten slices, five bins of two: the synthetic images flatter in the last bin alone."""
    dice = np.tile(np.array([[0.6], [0.4], [0.2]]), (1, 10))
    other = dice.copy()
    other[:, 8:] += 0.3
    patients = [f"P{i % 5}" for i in range(10)]
    tables = {"g": made_up(other, patients), "ceiling": made_up(dice, patients)}
    result = predict_validity(made_up(dice, patients), tables, "ceiling", list("abc"), DOMAIN, 50)
    gaps = [row["mean_gap"]["value"] for row in result["strata"]
            if row["set"] == "g" and row["attribute"] == "infarct_size" and row["figure"] == "dice_infarct"]
    assert gaps == pytest.approx([0, 0, 0, 0, 0.3])


def test_patients_of_the_two_sets_are_drawn_independently_and_those_of_label_maps_together() -> None:
    """One patient of Dice 0 and one of 1 on either side: drawn together, the gap would always be 0."""
    same = np.array([[0.0, 1.0]] * 3)
    tables = {"g": made_up(same, ["c", "d"]), "ceiling": made_up(same - 0.25, ["c", "d"])}
    item = predict_validity(made_up(same, ["a", "b"]), tables, "ceiling", list("xyz"), DOMAIN, 500)[
        "figures"]["dice_infarct"]["sets"]["g"]
    assert [item["mean_gap"][key] for key in ("value", "low", "high")] == [0.0, -1.0, 1.0]
    assert [item["paired_gap"][key] for key in ("value", "low", "high")] == [0.25, 0.25, 0.25]
