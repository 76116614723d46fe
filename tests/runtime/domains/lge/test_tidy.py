"""What a network drew, made a heart again."""

import numpy as np

from cldm_runtime.domains.lge.tidy import tidy


def ring() -> np.ndarray:
    """A wall from radius 6 to 12 about a cavity, on 32 x 32 pixels."""
    rows, columns = np.indices((32, 32))
    radius = np.hypot(rows - 16, columns - 16)
    return np.where(radius < 6, 1, np.where(radius < 12, 2, 0)).astype(np.uint8)


def test_a_heart_is_left_as_it_is() -> None:
    labels = ring()
    labels[16, 24:28] = 3
    np.testing.assert_array_equal(tidy(labels), labels)


def test_loose_pieces_go() -> None:
    labels = ring()
    labels[1, 1:4] = 2  # not of the heart
    labels[16, 25] = 1  # a hole in the wall that was called cavity
    labels[16, 16] = 2  # wall inside the cavity
    labels[7, 16:18] = 3  # two pixels of infarct
    labels[25, 16:19] = 3  # three
    expected = ring()
    expected[25, 16:19] = 3
    np.testing.assert_array_equal(tidy(labels), expected)


def test_two_pixels_of_obstruction_become_infarct() -> None:
    labels = ring()
    labels[24:27, 14:18] = 3
    labels[25, 15:17] = 4
    assert set(np.unique(tidy(labels))) == {0, 1, 2, 3}


def test_what_is_no_slice_is_refused() -> None:
    open_wall, at_border = ring(), np.zeros((32, 32), np.uint8)
    open_wall[16, 16:] = 0
    at_border[:26, :26] = 2
    at_border[10:15, 10:15] = 1
    assert tidy(open_wall) is None and tidy(at_border) is None
    assert tidy(np.zeros((32, 32), np.uint8)) is None and tidy(np.where(ring() == 1, 2, ring())) is None
