"""Short-axis stacks: closed rings and positions."""

import numpy as np

from cldm_runtime.domains.lge.stack import is_closed_ring, stack_positions, usable_slices


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
