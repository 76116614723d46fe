"""Rows take turns until each has its count."""

import numpy as np

from cldm_runtime.requests.turns import place_of, row_of


def test_the_place_of_a_sample_counts_those_before_it_in_its_row() -> None:
    counts = np.array([3, 0, 1, 2])
    assert [place_of(index, counts) for index in range(6)] == [(0, 0), (2, 0), (3, 0), (0, 1), (3, 1), (0, 2)]


def test_a_sample_is_found_without_listing_the_others() -> None:
    assert row_of(10**12 + 1, np.array([10**12] * 3)) == (10**12 + 1) % 3
