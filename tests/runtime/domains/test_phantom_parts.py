"""What phantoms share: seams of shapes and the spin echo, by hand."""

import numpy as np
import pytest

from cldm_runtime.domains.phantom_parts import smooth_union, spin_echo, t1_with_agent


def test_a_seam_is_filled_where_both_shapes_are_near() -> None:
    near, far = np.array([-1.0, -1.0]), np.array([-1.0, -50.0])
    np.testing.assert_allclose(smooth_union(near, far, 8.0), [1.0, -1.0])


def test_the_agent_shortens_t1() -> None:
    """1000 ms are 1 per second; 1 mM adds 4.5."""
    found = t1_with_agent(np.array([1000.0, 1000.0, 500.0]), 2.0, np.array([0.5, 0.0, 0.5]))
    assert found == pytest.approx([1000 / 5.5, 1000.0, 1000 / 6.5])


def test_a_spin_echo_recovers_and_decays() -> None:
    t1, t2 = np.array([1000.0]), np.array([100.0])
    assert spin_echo(np.array([2.0]), t1, t2, 1e9, 0.0) == pytest.approx([2.0])
    assert spin_echo(np.array([2.0]), t1, t2, 1000.0 * np.log(2), 100.0 * np.log(4)) == pytest.approx([0.25])
