"""Attributes of images that a request leaves out, from the training images."""

import numpy as np
import pytest

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.requests.canvas import Canvas, imaging_of
from cldm_runtime.requests.grid import GridRow

LGE = get_domain("lge")
SIZE = np.array([0.2, 0.5, 0.3, 0.5], np.float32)


def canvas(attributes: tuple[str, ...], contrast: float = 8.0, noise: float = 0.05) -> Canvas:
    """Of a bundle whose only training image has that contrast and noise, and a remote wall of half the blood."""
    limits = dict.fromkeys(LGE.image_attribute_names, (0.0, 50.0))
    return Canvas(LGE, (64, 64), (1.0, 1.0), np.array([SIZE]), True, attributes, limits,
                  np.array([[contrast, noise, 0.5]]))


def drawn(canvas: Canvas, **requested: float) -> list[float]:
    found = imaging_of(GridRow(2, {}, imaging=requested), SIZE, canvas, 0, 0)
    assert found is not None
    return found.tolist()


def test_contrast_noise_and_nulling_come_from_one_image() -> None:
    assert drawn(canvas(LGE.image_attribute_names)) == pytest.approx([8.0, 0.05, 0.5])


def test_where_noise_is_requested_the_signal_stays_that_of_the_image() -> None:
    assert drawn(canvas(LGE.image_attribute_names), noise_level=0.1) == pytest.approx([4.0, 0.1, 0.5])


def test_where_contrast_is_requested_the_noise_is_that_of_the_image() -> None:
    assert drawn(canvas(LGE.image_attribute_names), lesion_contrast=3.0) == pytest.approx([3.0, 0.05, 0.5])


def test_noise_that_is_no_condition_is_not_drawn_here() -> None:
    found = drawn(canvas(("lesion_contrast", "remote_nulling")))
    assert np.isnan(found[1]) and found[::2] == pytest.approx([8.0, 0.5])
