"""Bins of an attribute, with numbers counted by hand and by brute force."""

import math

import numpy as np
import pytest

from cldm_runtime.domains.attributes import Attribute
from cldm_runtime.metrics.strata import Bootstrap, RegionOutcome, bin_edges, bins_of, stratify, worst_of

SIZE = Attribute("size", "fraction", 0.0, 1.0, 0.02, "size of the lesion")
NAN = math.nan


def strata_of(reference, measured=None, dice=None, held=None, found=None, clusters=None):
    """Of samples that all hold the lesion, where it was found, unless said otherwise."""
    reference = np.array(reference, float)
    every = np.ones(len(reference), bool)
    held = every if held is None else np.array(held, bool)
    outcome = RegionOutcome("lesion", every * 0.5 if dice is None else np.array(dice, float), held, every,
                            held if found is None else np.array(found, bool))
    measured = reference if measured is None else np.array(measured, float)
    return list(stratify(SIZE, reference, measured, [outcome], held, Bootstrap(clusters, 200)))


def test_edges_are_quantiles_of_the_counted_and_reach_all_values():
    values, counted = np.array([0, 1, 2, 3, 4, 5, 9, NAN]), np.array([False, *[True] * 5, False, True])
    assert bin_edges(values, counted).tolist() == pytest.approx([0, 1.8, 2.6, 3.4, 4.2, 9])


def test_a_bin_holds_its_lower_edge_and_the_last_one_both():
    values = np.array([0.0, 1.0, 1.999, 2.0, 3.0, 4.0, 5.0, NAN])
    assert bins_of(values, np.arange(6.0)).tolist() == [0, 1, 1, 2, 3, 4, 4, -1]


def test_ten_samples_by_hand():
    """Sizes 1 to 10 %: bins of two. The two smallest were missed; the measured size of the others is 1 % too large."""
    sizes = np.arange(1, 11) / 100
    found = [False, False, *[True] * 8]
    rows = strata_of(sizes, measured=np.where(found, sizes + 0.01, 0), dice=np.where(found, sizes * 10, 0), found=found)
    assert [row.n for row in rows] == [2] * 5 and [row.n_missed for row in rows] == [2, 0, 0, 0, 0]
    assert [row.dice.value for row in rows] == pytest.approx([0, 0.35, 0.55, 0.75, 0.95])
    assert [row.bias.value for row in rows] == pytest.approx([-0.015, 0.01, 0.01, 0.01, 0.01])
    assert rows[0].missed_rate.value == 1 and rows[1].missed_rate.value == 0


def test_images_without_the_lesion_count_their_false_findings_in_the_first_bin_of_size():
    rows = strata_of([0, 0, 0, 0.2, 0.4, 0.6, 0.8, 1], dice=[0, NAN, NAN, 0.1, 0.9, 0.9, 0.9, 0.9],
                     held=[0, 0, 0, 1, 1, 1, 1, 1], found=[1, 0, 0, 1, 1, 1, 1, 1])
    first = rows[0]
    assert (first.low, first.n_samples, first.n, first.n_without, first.n_false) == (0, 4, 1, 3, 1)
    assert first.dice.value == pytest.approx(0.1) and first.false_rate.value == pytest.approx(1 / 3)
    assert sum(row.n_without for row in rows[1:]) == 0 and math.isnan(rows[1].false_rate.value)


def test_equal_values_leave_bins_empty_and_they_stay():
    rows = strata_of([3.0] * 6)
    assert [row.n for row in rows] == [0, 0, 0, 0, 6] and {(row.low, row.high) for row in rows} == {(3, 3)}
    assert math.isnan(rows[0].dice.value) and math.isnan(rows[0].bias.value)


def test_an_undefined_reference_is_in_no_bin_and_an_undefined_measurement_in_no_bias():
    rows = strata_of([1, 2, 3, 4, 5, NAN], measured=[2, NAN, 3, 4, 5, 6])
    assert sum(row.n_samples for row in rows) == 5
    assert [row.n_bias for row in rows] == [1, 0, 1, 1, 1] and rows[0].bias.value == 1
    assert strata_of([NAN, NAN]) == []


def test_bins_are_those_of_brute_force():
    generator = np.random.default_rng(3)
    x, dice = generator.random(97), generator.random(97)
    edges = np.quantile(x, [0, 0.2, 0.4, 0.6, 0.8, 1])
    for row, low, high in zip(strata_of(x, dice=dice), edges, [*edges[1:-1], 2.0], strict=False):
        inside = [index for index in range(97) if low <= x[index] < high]
        assert row.n == len(inside) and row.dice.value == pytest.approx(sum(dice[inside]) / len(inside))
        assert row.dice.low < row.dice.value < row.dice.high


def test_rates_are_drawn_by_patient():
    row = strata_of([0.1] * 20, found=[True] * 10 + [False] * 10, clusters=np.repeat(["a", "b"], 10))[-1]
    assert (row.missed_rate.value, row.missed_rate.low, row.missed_rate.high) == (0.5, 0.0, 1.0)


def test_a_single_patient_has_no_interval():
    row = strata_of(np.arange(10.0), dice=np.arange(10.0) / 10, clusters=np.array(["a"] * 10))[0]
    assert row.dice.value == pytest.approx(0.05) and math.isnan(row.dice.low)


def test_the_worst_is_the_lowest_dice_of_the_large_bins():
    """Bins of 10, 10, 10, 10 and 10; the third has the lowest Dice."""
    rows = strata_of(np.arange(50.0), dice=np.repeat([0.8, 0.7, 0.2, 0.6, 0.9], 10))
    assert worst_of(rows) is rows[2]
    assert worst_of(rows, fewest=11) is None


def test_without_dice_the_worst_has_the_most_misses():
    found = np.ones(50, bool)
    found[[12, 13, 40]] = False
    rows = strata_of(np.arange(50.0), dice=[NAN] * 50, found=found)
    assert worst_of(rows) is rows[1] and rows[1].n_missed == 2
    assert worst_of(strata_of(np.arange(50.0), dice=[NAN] * 50)) is None


def test_a_bin_that_holds_everything_is_no_part():
    assert worst_of(strata_of([3.0] * 50)) is None
