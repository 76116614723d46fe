"""The even-odd rule, against the definition of it pixel by pixel."""

import numpy as np

from cldm_runtime.scans.dicom.polygons import fill

SQUARE = np.array([(1.5, 1.5), (1.5, 6.5), (6.5, 6.5), (6.5, 1.5)])
HOLE = np.array([(2.5, 2.5), (2.5, 4.5), (4.5, 4.5), (4.5, 2.5)])


def inside(corners: np.ndarray, y: float, x: float) -> bool:
    """By the sum of the angles under which a point sees the sides: an odd number of turns is inside."""
    one = corners - (y, x)
    other = np.roll(one, -1, axis=0)
    turned = np.arctan2(one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0], (one * other).sum(axis=1)).sum()
    return round(turned / (2 * np.pi)) % 2 == 1


def test_a_square_and_a_hole_in_it() -> None:
    assert np.argwhere(fill([SQUARE], (8, 9))).tolist() == [[y, x] for y in range(2, 7) for x in range(2, 7)]
    assert fill([SQUARE, HOLE], (8, 9)).sum() == 25 - 4
    assert fill([SQUARE[::-1], HOLE], (8, 9)).sum() == 25 - 4  # whichever way they run
    assert fill([SQUARE, HOLE, HOLE + 0.25], (8, 9)).sum() == 25 - 4 + 4


def test_any_polygon_as_by_its_definition() -> None:
    rng = np.random.default_rng(3)
    for corners in rng.uniform(-3, 15, (20, 7, 2)):
        expected = [[inside(corners, y, x) for x in range(13)] for y in range(11)]
        assert np.array_equal(fill([corners], (11, 13)), expected)


def test_a_pixel_on_a_border_counts_once() -> None:
    left, right = (np.array([(0, x), (0, x + 3), (5, x + 3), (5, x)], float) for x in (1, 4))
    both = fill([left], (6, 9)).astype(int) + fill([right], (6, 9))
    assert both.sum() == 30 and both.max() == 1
