"""The rim of one exact value is found, whatever the value and the sides; anything else is no padding."""

import numpy as np
import pytest

from cldm_runtime.metrics.padding import inner_box, padding, without_padding

GRID = np.arange(1.0, 21.0).reshape(4, 5)


@pytest.mark.parametrize("value", [0.0, -1024.0, 7.0])
@pytest.mark.parametrize("widths", [((1, 0), (0, 0)), ((0, 1), (2, 0)), ((1, 1), (0, 1))])
def test_the_rim_is_found_on_any_side(value: float, widths: tuple[tuple[int, int], ...]) -> None:
    image = np.pad(GRID, widths, constant_values=value)
    (top, _), (left, _) = widths
    assert inner_box(image) == (slice(top, top + 4), slice(left, left + 5))
    assert (~padding(image)).sum() == 20 and (image[padding(image)] == value).all()


@pytest.mark.parametrize("image", [GRID, np.zeros((3, 4)), np.where(GRID == 7, 0, GRID), np.eye(4),
                                   GRID[:1], GRID[:, :3].T])
def test_what_is_no_rim(image: np.ndarray) -> None:
    assert inner_box(image) is None and not padding(image).any() and without_padding(image) is image


def test_a_rim_of_more_than_half_of_the_image_is_its_background() -> None:
    assert inner_box(np.pad(GRID, ((4, 0), (0, 0)))) == (slice(4, 8), slice(0, 5))
    assert inner_box(np.pad(GRID, ((5, 0), (0, 0)))) is None


def test_zeros_within_are_no_padding() -> None:
    image = np.pad(np.where(GRID == 7, 0, GRID), ((1, 0), (1, 1)))
    assert padding(image).sum() == image.size - 20


def test_the_planes_of_a_volume() -> None:
    volume = np.pad(np.arange(1.0, 25.0).reshape(2, 3, 4), ((0, 1), (1, 0), (0, 0)))
    assert inner_box(volume) == (slice(0, 2), slice(1, 4), slice(0, 4))


def test_the_nearest_pixels_take_the_place_of_the_rim() -> None:
    image = np.pad(GRID[:3, :3], ((1, 0), (0, 1)))
    assert without_padding(image).tolist() == [[1, 2, 3, 3], [1, 2, 3, 3], [6, 7, 8, 8], [11, 12, 13, 13]]
