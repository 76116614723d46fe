"""Tubes and trees."""

import numpy as np

from cldm_runtime.domains.organs.shapes import Points
from cldm_runtime.domains.organs.vessels import Branching, Tubes, grow
from cldm_runtime.noise import Purpose, Stream


def test_a_tube_across_the_plane_is_a_disc():
    tube = Tubes.through([(4.0, 0.0, -50.0), (4.0, 0.0, 50.0)], [3.0, 5.0])
    at = Points.of_plane(65, 1.0, 0.0)
    near = np.hypot(at.x - 4, at.y) < 12
    np.testing.assert_allclose(tube(at)[near], 4.0 - np.hypot(at.x - 4, at.y)[near], atol=1e-4)


def test_a_tube_ends():
    tube = Tubes.through([(0.0, 0.0, -50.0), (0.0, 0.0, -20.0)], [3.0, 3.0])
    assert (tube(Points.of_plane(33, 1.0, 0.0)) < -3).all()


def test_trees_branch_by_murrays_law_until_they_are_thin():
    tree = grow(Stream(0, 0, Purpose.COHORT), (0.0, 0.0, 0.0), (0.0, 0.0, 1.0), 6.0, Branching(8.0, 0.8, 1.0))
    origins = [np.flatnonzero((tree.starts == end).all(axis=1)) for end in tree.ends]
    forks = [(tree.radii[number, 0], tree.radii[children, 0])
             for number, children in enumerate(origins) if len(children) == 2]
    assert len(forks) > 10 and tree.radii[:, 0].min() >= 1.0
    np.testing.assert_allclose([radius**3 for radius, _ in forks], [np.sum(both**3) for _, both in forks], rtol=1e-6)
