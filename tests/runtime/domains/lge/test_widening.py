"""Infarcts widened and narrowed within the wall, on walls whose pixels can be counted."""

import numpy as np
import pytest

from cldm_runtime.domains.lge.widening import widen_infarct
from cldm_runtime.domains.registry import get_domain


def strip(text: str) -> np.ndarray:
    """One row of label values."""
    return np.array([[int(value) for value in text]], np.uint8)


@pytest.mark.parametrize(("before", "widening_mm", "after"), [
    ("0122322210", 0, "0122322210"),
    ("0122322210", 1, "0123332210"),
    ("0122322210", 1.9, "0123332210"),
    ("0122322210", 2, "0133333210"),
    ("0122322210", 9, "0133333310"),
    ("2234322", 1, "2334332"),
    ("2334332", -1, "2234322"),
    ("2334332", -2, "2224222"),
    ("2334332", -3, "2222222"),
    ("0222220", 3, "0222220"),
    ("0333330", -3, "0333330"),
])
def test_widening_of_a_strip_of_wall(before: str, widening_mm: float, after: str) -> None:
    assert widen_infarct(strip(before), widening_mm, (1.0, 1.0)).tolist() == strip(after).tolist()


def test_distances_are_in_millimetres() -> None:
    assert widen_infarct(strip("22223"), 2, (1.0, 0.5)).tolist() == strip("33333").tolist()
    assert widen_infarct(strip("22223"), 2, (1.0, 2.0)).tolist() == strip("22233").tolist()


def test_an_infarct_does_not_jump_across_the_cavity() -> None:
    wall = np.array([[2, 2, 2, 2, 2], [3, 1, 1, 1, 2], [2, 2, 2, 2, 2]], np.uint8)
    wall[:, [2]] = [[0], [1], [0]]  # two pieces of wall, 4 mm apart
    widened = widen_infarct(wall, 4, (1.0, 1.0))
    assert widened.tolist() == [[3, 3, 0, 2, 2], [3, 1, 1, 1, 2], [3, 3, 0, 2, 2]]


def test_a_wider_infarct_measures_more_and_the_rest_of_the_map_stays() -> None:
    rows, columns = np.mgrid[:64, :64]
    radius = np.hypot(rows - 31.5, columns - 31.5)
    labels = np.where(radius < 12, 1, np.where(radius < 20, 2, 0)).astype(np.uint8)
    labels[(labels == 2) & (columns > 45)] = 3
    maps = [widen_infarct(labels, step, (1.0, 1.0)) for step in (-2, 0, 2, 4)]
    sizes = get_domain("lge").measure(np.stack(maps))["infarct_size"]
    assert (np.diff(sizes) > 0.01).all() and np.array_equal(maps[1], labels)
    assert all(np.array_equal(widened[labels < 2], labels[labels < 2]) for widened in maps)
