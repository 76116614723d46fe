"""Lesions are hidden and cleaned pixel by pixel."""

from dataclasses import replace

import numpy as np
import pytest

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import InputError
from cldm_trainer.config.validity import HiddenLesions, SegmenterRecipe
from cldm_trainer.results.validity.lesions import clean, hide, surrounding_label

DOMAIN = get_domain("lge")
MASK = np.array([[[1, 2, 3, 4], [2, 2, 2, 2], [3, 2, 2, 2]]], dtype=np.uint8)
IMAGE = np.full((1, 1, 3, 4), 0.9, dtype=np.float32)
ALL_WALL = [[1, 2, 2, 2], [2, 2, 2, 2], [2, 2, 2, 2]]


def test_the_label_around_a_lesion_is_that_of_the_smallest_region_around_it() -> None:
    assert surrounding_label(DOMAIN) == 2


@pytest.mark.parametrize(("size", "expected"), [(0.1, ALL_WALL), (0.2, MASK[0].tolist()), (0.05, ALL_WALL)])
def test_lesions_of_a_range_are_hidden(size: float, expected: list[list[int]]) -> None:
    attributes = np.array([[size, 0.5, 0.5, 0.5]])
    hidden = hide(MASK, IMAGE, attributes, HiddenLesions("infarct_size", 0.0, 0.2), DOMAIN)
    assert hidden[0].tolist() == expected


def test_dark_pixels_of_the_lesion_are_hidden_and_no_others() -> None:
    image = IMAGE.copy()
    image[0, 0, 0] = 0.3  # cavity, wall, both pixels of a lesion
    hidden = hide(MASK, image, np.zeros((1, 4)), HiddenLesions(darker_than=0.5), DOMAIN)
    assert hidden[0].tolist() == [[1, 2, 2, 2], [2, 2, 2, 2], [3, 2, 2, 2]]


def test_post_processing_keeps_the_largest_piece_or_large_ones() -> None:
    largest = clean(MASK, IMAGE, SegmenterRecipe(largest_piece=True), DOMAIN)
    assert largest[0].tolist() == [[1, 2, 3, 4], [2, 2, 2, 2], [2, 2, 2, 2]]
    assert clean(MASK, IMAGE, SegmenterRecipe(fewest_pixels=3), DOMAIN)[0].tolist() == ALL_WALL
    assert clean(MASK, IMAGE, SegmenterRecipe(fewest_pixels=2), DOMAIN)[0].tolist() == largest[0].tolist()
    assert clean(MASK, IMAGE, SegmenterRecipe(darker_than=0.95), DOMAIN)[0].tolist() == ALL_WALL
    assert clean(MASK, IMAGE, SegmenterRecipe(), DOMAIN) is MASK


def test_an_unknown_attribute_is_named() -> None:
    with pytest.raises(InputError, match=r"hidden\.attribute is 'size', expected one of infarct_size"):
        hide(MASK, IMAGE, np.zeros((1, 4)), HiddenLesions("size"), DOMAIN)


def test_a_domain_without_a_lesion_has_none_to_clean() -> None:
    with pytest.raises(InputError, match="has no lesion"):
        surrounding_label(replace(DOMAIN, lesion=None))
