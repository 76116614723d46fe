"""The grid of an image on that of a bundle: padding and cropping, and exactly back."""

import numpy as np
import pytest

from cldm_runtime.errors import InputError
from cldm_runtime.generation.placement import place


@pytest.mark.parametrize("shape", [(6, 8, 10), (5, 8, 3), (1, 1, 1), (6, 20, 9), (30, 20, 25)])
def test_what_is_shown_comes_back_where_it_was(shape: tuple[int, ...]) -> None:
    rng, size = np.random.default_rng(0), (6, 8, 10)
    image = np.zeros((2, *shape), np.float32)
    inner = tuple(slice(length - min(length, room), None) for length, room in zip(shape, size, strict=True))
    image[:, *inner] = rng.uniform(0.1, 1.0, image[:, *inner].shape)
    placed = place(image, size)
    assert placed.cut(image).shape == (2, *size)
    assert np.array_equal(placed.put_back(placed.cut(image)), image)


def test_shorter_axes_are_centred() -> None:
    placed = place(np.ones((1, 3, 4), np.float32), (4, 8))
    assert placed.cut(np.ones((1, 3, 4), np.float32))[0].astype(int).tolist() == [
        [0, 0, 1, 1, 1, 1, 0, 0]] * 3 + [[0] * 8]


def test_a_longer_axis_keeps_the_middle_of_what_is_shown() -> None:
    image = np.zeros((1, 1, 10), np.float32)
    image[0, 0, 7:9] = 1
    assert place(image, (1, 4)).image[1] == slice(6, 10)
    image[0, 0, 0:3] = 1
    with pytest.raises(InputError, match="is 9 voxels long along axis 1, the bundle draws 4"):
        place(image, (1, 4))


def test_an_empty_image_is_refused() -> None:
    with pytest.raises(InputError, match="the image is empty"):
        place(np.zeros((4, 2, 2, 2), np.float32), (2, 2, 2))
