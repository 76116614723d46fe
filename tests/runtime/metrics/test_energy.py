"""The generalised energy distance against a sum over all pairs."""

from itertools import product

import numpy as np
import pytest

from cldm_runtime.errors import InputError
from cldm_runtime.metrics.energy import energy


def apart(a, b):
    """1 - IoU by sets of voxels."""
    one, other = (set(zip(*np.nonzero(each), strict=True)) for each in (a, b))
    return 1 - len(one & other) / len(one | other) if one | other else 0.0


def mean_apart(first, second):
    return np.mean([apart(a, b) for a, b in product(first, second)])


def test_it_is_that_of_all_pairs():
    rng = np.random.default_rng(0)
    drawn, annotations = rng.random((5, 3, 4, 2)) > 0.6, rng.random((3, 3, 4, 2)) > 0.5
    drawn[1] = annotations[2] = False
    found = energy(drawn, annotations)
    expected = mean_apart(drawn, annotations), mean_apart(drawn, drawn), mean_apart(annotations, annotations)
    assert (found.between, found.drawn, found.annotated) == pytest.approx(expected)
    assert found.distance == pytest.approx(2 * expected[0] - expected[1] - expected[2])


def test_equal_sets_are_0_and_two_single_maps_that_share_nothing_2():
    one = np.array([[True, False, False]])
    both = np.concatenate([one, ~one])
    assert energy(both, both[::-1]).distance == pytest.approx(0.0)
    assert energy(one, ~one).distance == pytest.approx(2.0)
    assert energy(one & False, one & False).distance == 0.0
    # an ensemble of both readers is nearer to them than one that always draws the same
    assert energy(both, both).distance < energy(np.concatenate([one, one]), both).distance


@pytest.mark.parametrize(("drawn", "annotations"), [((0, 4), (1, 4)), ((1, 4), (0, 4)), ((2, 4), (2, 5))])
def test_nothing_to_compare_is_refused(drawn, annotations):
    with pytest.raises(InputError, match="expected one or more of each, of one shape"):
        energy(np.zeros(drawn, bool), np.zeros(annotations, bool))
