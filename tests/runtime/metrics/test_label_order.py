"""Permuted label values, from confusion matrices that can be counted by hand."""

import numpy as np
import pytest

from cldm_runtime.domains.labels import LabelSet
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.metrics.label_order import confusion, find_permutation, region_dice

LGE = get_domain("lge").labels
MASK = np.array([[0, 0, 0, 0, 1, 1], [2, 2, 2, 3, 3, 0]], np.uint8)


def relabelled(mask: np.ndarray, order: list[int]) -> np.ndarray:
    """The map whose value order[v] stands where `mask` has v."""
    return np.array(order, np.uint8)[mask]


def test_a_confusion_matrix_by_hand():
    counts = confusion(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2]), 3)
    assert counts.tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]


def test_dice_of_regions_by_hand():
    """Of two voxels of label 3 one is found, of three of label 2 all, and one more."""
    found = region_dice(confusion(np.array([2, 2, 2, 2, 3]), np.array([2, 2, 2, 3, 3]), 5), LGE)
    assert found == {"myocardium": 1.0, "infarct": pytest.approx(2 / 3)}  # no cavity on either side


@pytest.mark.parametrize("order", [[0, 3, 1, 2, 4], [0, 1, 3, 2, 4], [1, 0, 2, 3, 4], [3, 0, 1, 2, 4], [0, 4, 1, 2, 3]])
@pytest.mark.parametrize("shape", [(1, 2, 6), (1, 2, 1, 6)])
def test_the_permutation_is_found_and_its_advice_mends_the_labels(order, shape):
    wrong = relabelled(MASK, order).reshape(shape)
    found = find_permutation(confusion(wrong, MASK.reshape(shape), 5), LGE, 1)
    assert found is not None and min(found.dice.values()) < 0.3
    assert np.array_equal(np.array(found.meant, np.uint8)[wrong], MASK.reshape(shape))
    assert set(found.dice_renumbered.values()) == {1.0}


def test_labels_that_are_nowhere_keep_their_value():
    found = find_permutation(confusion(relabelled(MASK, [0, 2, 1, 3, 4]), MASK, 5), LGE, 1)
    assert found is not None and found.meant == (0, 2, 1, 3, 4)


def test_eight_labels():
    labels = LabelSet(tuple("abcdefgh"), {name: (value,) for value, name in enumerate("bcdefgh", 1)}, ((0, 0, 0),) * 8)
    mask = np.repeat(np.arange(8, dtype=np.uint8), 5)
    found = find_permutation(confusion(relabelled(mask, [0, 2, 3, 4, 5, 6, 7, 1]), mask, 8), labels, 1)
    assert found is not None and found.meant == (0, 7, 1, 2, 3, 4, 5, 6)


@pytest.mark.parametrize("prediction", [
    MASK, np.zeros_like(MASK), np.full_like(MASK, 2), MASK[::-1], np.where(MASK == 3, 2, MASK)])
def test_a_good_an_empty_and_a_poor_segmentation_are_not_permuted(prediction):
    assert find_permutation(confusion(prediction, MASK, 5), LGE, 1) is None


def test_a_reference_without_any_region_says_nothing():
    empty = np.zeros_like(MASK)
    assert find_permutation(confusion(np.ones_like(MASK), empty, 5), LGE, 1) is None
    assert find_permutation(confusion(empty, empty, 5), LGE, 1) is None
