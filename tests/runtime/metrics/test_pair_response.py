"""The response to pairs, counted by hand."""

import numpy as np
import pytest

from cldm_runtime.metrics.pair_response import pair_response, size_bins

PAINTED = np.array([[0, 0.1], [0, 0.1], [0, 0.2], [0.05, 0.2], [0, 0.0]])
MEASURED = np.array([[0, 0.08], [0.02, 0.0], [0, 0.16], [0.05, 0.24], [0, 0.0]])


def test_counts_and_doses() -> None:
    found = pair_response("size", "fraction", PAINTED, MEASURED, np.array([7, 7, 3, 3, 9]), np.arange(5), 100)
    assert (found.n, found.without_before, found.n_false_before) == (5, 4, 1) and found.false_before.value == 0.25
    assert (found.with_after, found.n_found_after) == (4, 3) and found.found_after.value == 0.75
    assert [(dose.painted, dose.n) for dose in found.doses] == [(0.0, 1), (0.1, 2), (0.2, 2)]
    assert [dose.measured.value for dose in found.doses] == pytest.approx([0, 0.04, 0.2])
    assert [dose.before.value for dose in found.doses] == pytest.approx([0, 0.01, 0.025])
    assert found.healed == 0 and np.isnan([found.false_healed.value, found.seam.value]).all()
    slope = np.polyfit(np.diff(PAINTED)[:, 0], np.diff(MEASURED)[:, 0], 1)[0]
    assert found.change.slope.value == pytest.approx(slope)
    assert found.change.bias.value == pytest.approx(np.mean(np.diff(MEASURED) - np.diff(PAINTED)))


def test_what_is_left_of_removed_lesions_and_the_mean_seam() -> None:
    painted = np.array([[0.1, 0], [0.2, 0], [0, 0], [0.1, 0.2]])
    measured = np.array([[0.1, 0.02], [0, 0], [0, 0.1], [0, 0]])
    found = pair_response("size", "fraction", painted, measured, np.zeros(4, int), np.arange(4), 50,
                          seams=np.array([1.0, 2.0, np.nan, 1.5]))
    assert (found.healed, found.n_false_healed, found.false_healed.value) == (2, 1, 0.5)
    assert found.seam.value == pytest.approx(1.5)


def test_rates_are_drawn_by_heart() -> None:
    """Of two hearts with ten pairs each one gave all the false findings."""
    painted, measured = np.tile([0.0, 0.1], (20, 1)), np.tile([0.0, 0.1], (20, 1))
    measured[:10, 0] = 0.02
    found = pair_response("size", "fraction", painted, measured, np.zeros(20, int), np.repeat([0, 1], 10), 100)
    assert (found.false_before.value, found.false_before.low, found.false_before.high) == (0.5, 0.0, 1.0)


def test_bins_hold_about_as_many_pairs_each() -> None:
    assert np.bincount(size_bins(np.linspace(0, 1, 60))).tolist() == [10] * 6
    assert len(set(size_bins(np.full(4, 0.3)).tolist())) == 1
