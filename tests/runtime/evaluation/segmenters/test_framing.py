"""How images are scaled and placed in a network's frame: numbers by hand, and scikit-image and numpy as references."""

import numpy as np
import pytest

from cldm_runtime.evaluation.segmenters.description import Intensity, NetworkInput
from cldm_runtime.evaluation.segmenters.framing import framed, scaled, turned, turned_back, unframed


def test_percentiles_of_the_pixels_that_are_not_zero() -> None:
    """Non-zero 10, 20, 30, 40: the 50th percentile is 25, the 100th is 40; 10 becomes -1, 40 becomes 1."""
    image = np.array([[[0, 0, 10], [20, 30, 40]]], np.float32)
    rule = Intensity("percentile", over="nonzero", percentiles=(50, 100))
    assert scaled(image, rule)[0].ravel().tolist() == pytest.approx([-5 / 3, -5 / 3, -1, -1 / 3, 1 / 3, 1])
    clipped = scaled(image, Intensity("percentile", "nonzero", (50, 100), clip=(0, 1), range=(-1, 1)))
    assert clipped[0].ravel().tolist() == pytest.approx([-1, -1, -1, -1, -1 / 3, 1])


def test_z_score_over_all_or_over_those_that_are_not_zero() -> None:
    """0, 0, 1, 3: all have mean 1, deviation sqrt(1.5); the others mean 2, deviation 1."""
    image = np.array([[[0, 0], [1, 3]]], np.float32)
    assert scaled(image, Intensity("z-score"))[0].ravel() == pytest.approx(np.array([-1, -1, 0, 2]) / np.sqrt(1.5))
    assert scaled(image, Intensity("z-score", over="nonzero"))[0].ravel().tolist() == [-2, -2, -1, 1]


def test_fixed_numbers_are_those_of_each_channel() -> None:
    image = np.ones((2, 1, 1), np.float32)
    assert scaled(image, Intensity("fixed", mean=(0, 3), std=(2, 4))).ravel().tolist() == [0.5, -0.5]


def test_an_empty_image_stays_as_it_is() -> None:
    for scale in ("percentile", "z-score"):
        assert not scaled(np.zeros((1, 3, 3), np.float32), Intensity(scale, over="nonzero")).any()


def test_axes_are_turned_and_turned_back() -> None:
    array = np.arange(6).reshape(2, 3)
    frame = NetworkInput(transpose=True, flip=("rows",))
    assert turned(array, frame).tolist() == [[2, 5], [1, 4], [0, 3]]
    assert turned_back(turned(array, frame), frame).tolist() == array.tolist()


def place(image: np.ndarray, size: tuple[int, ...], spacing: tuple[float, float] = (1, 1), **settings: object):
    return framed(image[None].astype(np.float32), image != 0, spacing, NetworkInput(**settings), size)


def test_the_image_lies_in_the_centre_and_the_rest_is_filled() -> None:
    found = place(np.ones((2, 2)), (4, 5), place=(2, 2), pad=-1)
    assert found.image[0].tolist() == [[-1] * 5, [-1, 1, 1, -1, -1], [-1, 1, 1, -1, -1], [-1] * 5]


def test_fills_by_edge_and_by_reflection() -> None:
    image = np.array([[1, 2, 3]])
    assert place(image, (1, 7), place=(1, 3), pad="edge").image[0, 0].tolist() == [1, 1, 1, 2, 3, 3, 3]
    assert place(image, (1, 7), place=(1, 3), pad="reflect").image[0, 0].tolist() == [3, 2, 1, 2, 3, 2, 1]


def test_the_box_of_pixels_that_are_not_zero_and_its_centre_square() -> None:
    image = np.zeros((6, 9))
    image[1:5, 2:9] = np.arange(1, 29).reshape(4, 7)
    found = place(image, (4, 4), crop="nonzero", square=True)
    assert found.box == (slice(1, 5), slice(3, 7)) and found.image[0].tolist() == image[1:5, 3:7].tolist()


def test_the_spacing_decides_the_size_and_what_is_larger_than_the_frame_is_cut() -> None:
    """10 pixels of 1 mm are 20 of 0.5 mm; the frame shows the middle 8, which are the middle 4 of the image."""
    found = place(np.arange(100.0).reshape(10, 10), (8, 8), spacing_mm=(0.5, 0.5), order=0)
    assert found.placed == (20, 20) and found.image[0, 0, ::2].tolist() == [33, 34, 35, 36]
    back, inside = unframed(found.image, found, 0)
    assert inside.sum() == 16 and inside[3:7, 3:7].all()
    assert back[0][inside].tolist() == np.arange(100.0).reshape(10, 10)[3:7, 3:7].ravel().tolist()


def test_a_frame_and_back_leaves_label_maps_as_they_are() -> None:
    image = np.random.default_rng(0).integers(1, 5, (12, 10)).astype(np.float32)
    for settings in ({}, {"place": (24, 20)}, {"spacing_mm": (0.5, 0.5)}):
        found = place(image, (30, 30) if settings else (36, 30), order=0, **settings)
        back, inside = unframed(found.image, found, 0)
        assert inside.all() and np.array_equal(back[0], image)


@pytest.mark.parametrize("shape", [(20, 30), (90, 64)])
def test_resampling_is_that_of_scikit_image(shape: tuple[int, int]) -> None:
    """scikit-image 0.26, away from the border, where the two extend the image differently."""
    resize = pytest.importorskip("skimage.transform").resize
    image = np.random.default_rng(1).random(shape).astype(np.float32)
    found = place(image, (48, 48), antialias=True).image[0]
    wanted = resize(image, (48, 48), order=1, anti_aliasing=True)
    assert np.abs(found - wanted)[3:-3, 3:-3].max() < 1e-5
