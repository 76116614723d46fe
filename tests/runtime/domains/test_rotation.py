"""Label maps turned about the centre: right angles are exact, other angles keep areas, borders and labels."""

import numpy as np
import pytest

from cldm_runtime.domains.rotation import overhang_mm, rotate_labels
from cldm_runtime.errors import InputError

SQUARE = (1.0, 1.0)


def disc(row: float, column: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:64, :64]
    return np.hypot(rows - row, columns - column) < radius


@pytest.mark.parametrize(("angle", "expected"), [
    (0, [[1, 2], [3, 4]]), (90, [[2, 4], [1, 3]]), (-90, [[3, 1], [4, 2]]), (180, [[4, 3], [2, 1]]),
    (270, [[3, 1], [4, 2]]), (360, [[1, 2], [3, 4]]),
])
def test_right_angles_move_pixels_counter_clockwise(angle: float, expected: list[list[int]]) -> None:
    assert rotate_labels(np.array([[1, 2], [3, 4]], np.uint8), angle, SQUARE).tolist() == expected


@pytest.mark.parametrize("angle", [37.5, -37.5, 89.999, 200.0])
def test_any_angle_moves_a_label_as_the_mathematics_says(angle: float) -> None:
    labels = np.where(disc(31.5, 47.5, 8), 3, 0).astype(np.uint8)
    turned = rotate_labels(labels, angle, SQUARE) == 3
    row, column = (axis.mean() for axis in np.nonzero(turned))
    expected = 31.5 - 16 * np.sin(np.deg2rad(angle)), 31.5 + 16 * np.cos(np.deg2rad(angle))
    assert (row, column) == pytest.approx(expected, abs=0.2)
    assert turned.sum() == pytest.approx((labels == 3).sum(), rel=0.03)


def test_a_ring_stays_closed_and_smooth() -> None:
    ring = np.where(disc(31.5, 31.5, 12), 1, np.where(disc(31.5, 31.5, 20), 2, 0)).astype(np.uint8)
    assert (rotate_labels(ring, 33.3, SQUARE) != ring).mean() < 0.01


def test_labels_beside_each_other_gain_none_between() -> None:
    halves = np.where(disc(31.5, 31.5, 20), 1, 0).astype(np.uint8)
    halves[disc(31.5, 31.5, 20) & (np.arange(64) > 31)] = 4
    turned = rotate_labels(halves, 37.5, SQUARE)
    assert set(np.unique(turned)) == {0, 1, 4} and (turned == 4).sum() == pytest.approx((turned == 1).sum(), rel=0.02)


def test_pixels_that_are_not_square_turn_in_millimetres() -> None:
    lying = np.zeros((64, 64), np.uint8)
    lying[30:34, 16:48] = 1  # 8 mm high, 32 mm wide
    upright = rotate_labels(lying, 90.0, (2.0, 1.0))
    assert (np.ptp(np.nonzero(upright)[0]) + 1, np.ptp(np.nonzero(upright)[1]) + 1) == (16, 8)


def test_what_would_leave_the_image_is_measured() -> None:
    labels = np.zeros((64, 64), np.uint8)
    labels[0, 0] = 2  # 31.5 mm to the left and upwards: 44.55 mm from the centre
    assert [overhang_mm(labels, angle, SQUARE) for angle in (0, 90)] == [0, 0]
    assert overhang_mm(labels, 45.0, SQUARE) == pytest.approx(31.5 * np.sqrt(2) - 32)
    assert overhang_mm(np.zeros((64, 64), np.uint8), 45.0, SQUARE) == 0


def test_volumes_are_refused() -> None:
    with pytest.raises(InputError, match=r"shape \(2, 2, 2\) cannot be turned"):
        rotate_labels(np.zeros((2, 2, 2), np.uint8), 90.0, (1.0, 1.0, 1.0))
