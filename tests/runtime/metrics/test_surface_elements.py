"""Areas of surface elements against DeepMind's surface-distance, and percentiles by hand."""

import numpy as np
import pytest

from cldm_runtime.metrics.surface_elements import _element_areas, weighted_hd95_mm

SPACING = (1.0, 1.0, 1.0)
surface_distance = pytest.importorskip("surface_distance")
pytestmark = pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")  # of that package


def test_every_area_of_a_cubic_voxel_is_that_of_surface_distance():
    """Its codes count the eight voxels from the other end."""
    other = np.array(surface_distance.lookup_tables.create_table_neighbour_code_to_surface_area([1.0, 1.0, 1.0]))
    reversed_bits = [int(f"{code:08b}"[::-1], 2) for code in range(256)]
    np.testing.assert_allclose(_element_areas(SPACING), other[reversed_bits], atol=1e-12)


def test_areas_of_other_voxels_differ_little():
    other = np.array(surface_distance.lookup_tables.create_table_neighbour_code_to_surface_area([3.0, 1.0, 1.0]))
    ours = _element_areas((3.0, 1.0, 1.0))
    reversed_bits = [int(f"{code:08b}"[::-1], 2) for code in range(256)]
    np.testing.assert_allclose(ours, other[reversed_bits], rtol=0.08)


@pytest.mark.parametrize("spacing", [SPACING, (2.969, 2.969, 2.969)])
def test_percentiles_are_those_of_surface_distance(spacing):
    rng = np.random.default_rng(3)
    for _ in range(12):
        a, b = (np.kron(rng.random((4, 5, 4)) > 0.6, np.ones((3, 3, 3))) > 0 for _ in range(2))
        b[rng.random(b.shape) > 0.8] = False
        found = surface_distance.compute_surface_distances(b, a, spacing)
        expected = surface_distance.compute_robust_hausdorff(found, 95)
        assert weighted_hd95_mm(a, b, spacing) == pytest.approx(expected, abs=1e-9)


def test_two_planes_are_their_distance_apart_and_empty_masks_are_defined():
    one, other = np.zeros((2, 9, 6, 6), bool)
    one[2], other[5] = True, True
    assert weighted_hd95_mm(one, other, (2.0, 1.0, 1.0)) == 6.0
    nothing = np.zeros_like(one)
    assert weighted_hd95_mm(nothing, nothing, SPACING) == 0.0
    assert weighted_hd95_mm(nothing, one, SPACING) == weighted_hd95_mm(one, nothing, SPACING) == np.inf
