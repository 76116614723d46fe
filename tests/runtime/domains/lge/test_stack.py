"""Short-axis stacks: closed rings and positions."""

import numpy as np
import pytest

from cldm_runtime.domains.lge.stack import first_end, is_closed_ring, stack_positions, usable_slices


def test_positions_run_from_apex_to_base():
    assert stack_positions(3).tolist() == [0.0, 0.5, 1.0]
    assert np.isnan(stack_positions(1)).tolist() == [True]


def test_closed_ring():
    wall = np.zeros((5, 5), bool)
    wall[1:4, 1:4] = True
    wall[2, 2] = False
    inside = np.zeros_like(wall)
    assert not is_closed_ring(wall, inside)
    inside[2, 2] = True
    assert is_closed_ring(wall, inside)
    wall[2, 1] = False
    assert not is_closed_ring(wall, inside)


def test_a_slice_without_wall_is_not_usable_even_where_no_ring_is_asked_for():
    y, x = np.mgrid[:24, :24]
    radius = np.hypot(y - 12, x - 12)
    ring = np.where(radius < 4, 1, np.where(radius < 8, 2, 0)).astype(np.uint8)
    opened = np.where((y > 10) & (y < 14) & (x > 12), 0, ring).astype(np.uint8)
    maps = np.stack([ring, opened, np.zeros_like(ring)])
    assert usable_slices(maps, ((2, 3, 4), (1,))).tolist() == [True, False, False]
    assert usable_slices(maps, ()).tolist() == [True, True, False]


@pytest.mark.parametrize(("areas", "end"), [
    ([2, 3, 4, 5], "apex"), ([5, 4, 3, 2], "base"), ([0, 2, 3, 4, 5, 0], "apex"), ([2, 3, 5], ""), ([4, 4, 4, 4], ""),
    ([10, 10, 11, 11], ""), ([2, 9, 1, 3], ""), ([0, 0, 0, 0, 0], "")])
def test_the_heart_is_smaller_at_the_apex(areas: list[int], end: str) -> None:
    stack = np.zeros((len(areas), 1, 12), np.uint8)
    for labels, area in zip(stack, areas, strict=True):
        labels[0, :area] = 2
    assert first_end(stack) == end
