"""Figures of drawn slices that can be worked out by hand."""

import numpy as np
import pytest

from cldm_runtime.domains.lge.appearance import FIGURES, NAMES, measure_appearance
from cldm_runtime.errors import InputError

Y, X = np.mgrid[:128, :128] - 63.5
RHO = np.hypot(Y, X)
RING = np.where(RHO < 20, 1, np.where(RHO < 30, 2, 0)).astype(np.uint8)
INFARCT = np.where((RING == 2) & (X > 20), 3, RING).astype(np.uint8)
STRIPES = 0.05 * 1.5**0.5 * (np.indices((128, 128)).sum(axis=0) % 3 - 1)  # median 0, SD .05


def slice_of(labels: np.ndarray, beyond: float = 0.1) -> np.ndarray:
    """Blood .5, infarct .48, wall .3 +- .05 in stripes, `beyond` outside."""
    image = np.choose(labels, [beyond, 0.5, 0.3, 0.48])
    return np.where(labels == 2, image + STRIPES, image).astype(np.float32)


def figures(labels: np.ndarray, image: np.ndarray) -> dict[str, float]:
    measured = measure_appearance(image[None], labels[None], (1.0, 1.0))
    return {name: float(values[0]) for name, values in measured.items()}


def test_levels_and_steps():
    found = figures(INFARCT, slice_of(INFARCT))
    expected = {"step": 0.2, "wall_to_blood": 0.6, "step_to_sd": 4.0, "sd_to_step": 0.25, "infarct_to_step": 0.9,
                "infarct_to_sd": 3.6, "infarct_below_blood": 1.0}
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=0.01)


def test_dark_pixels_in_the_cavity_are_counted():
    image = slice_of(RING)
    papillary = (RHO < 20) & (X > 10)
    image[papillary] = 0.3
    assert figures(RING, image)["dark_in_cavity"] == pytest.approx(papillary.sum() / (RHO < 20).sum())


def test_rings_outside_the_heart():
    """Bright to the right: half of each ring. A slope of .02 a mm along y has the gradient .02 / step."""
    image = np.where(RING > 0, slice_of(RING), np.where(X > 0, 0.9, 0.1)).astype(np.float32)
    found = figures(RING, image)
    assert all(found[name] == pytest.approx(0.5, abs=0.01) for name in ("bright_1_4", "bright_4_10", "bright_10_20"))
    slope = np.where(RING > 0, slice_of(RING), 0.02 * Y).astype(np.float32)
    found = figures(RING, slope)
    assert found["gradient_4_10"] == pytest.approx(0.02 / found["step"], rel=1e-3)


def test_percentiles_of_the_slice():
    image = np.arange(128 * 128, dtype=np.float32).reshape(128, 128) / (128 * 128 - 1)
    found = figures(RING, image)
    assert (found["quarter"], found["half"]) == pytest.approx((0.25, 0.5), abs=1e-4)


def test_what_a_slice_does_not_show_is_nan():
    found = figures(RING, slice_of(RING))
    assert all(np.isnan(found[name]) for name in NAMES if name.startswith("infarct"))
    assert np.isfinite([found[name] for name in NAMES if not name.startswith("infarct") and "outer" not in name]).all()
    empty = figures(np.zeros_like(RING), slice_of(RING))
    assert {name for name in NAMES if np.isfinite(empty[name])} == {"quarter", "half"}


def test_a_wall_brighter_than_blood_has_a_negative_step_alone():
    found = figures(RING, 1 - slice_of(RING))
    assert found["step"] < 0 and np.isnan(found["wall_to_blood"])


def test_every_figure_has_a_range_about_its_typical_value():
    assert all(figure.low < figure.typical < figure.high for figure in FIGURES)


@pytest.mark.parametrize("shape, spacing", [((1, 1, 128, 128), (1.0, 1.0)), ((1, 128, 128), (1.0, 1.2))])
def test_other_images_are_refused(shape, spacing):
    with pytest.raises(InputError, match="appearance is measured on"):
        measure_appearance(np.zeros(shape, np.float32), np.zeros((1, 128, 128), np.uint8), spacing)
