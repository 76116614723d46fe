"""Generic attributes of squares, cubes and annuli whose values are known by hand."""

import numpy as np
import pytest

from cldm_runtime.domains.attributes import Measurement
from cldm_runtime.domains.declared import Declaration
from cldm_runtime.domains.generic import mean_thickness_mm
from cldm_runtime.errors import InputError

SLICE = Declaration("organ", 2, {"organ": 1, "tumour": 2}, {"all": ("organ", "tumour"), "tumour": ("tumour",)}).domain()
VOLUME = Declaration("organ", 3, {"organ": 1}).domain()


def square() -> np.ndarray:
    """8 rows, 10 columns; 4 x 6 of label 1 from row 2 and column 2, in it 2 x 2 of label 2 from row 3 and column 3."""
    labels = np.zeros((1, 8, 10), np.uint8)
    labels[0, 2:6, 2:8] = 1
    labels[0, 3:5, 3:5] = 2
    return labels


def measured(labels: np.ndarray, spacing_mm: tuple[float, ...]) -> Measurement:
    return (SLICE if labels.ndim == 3 else VOLUME).measure(labels, spacing_mm)


def test_names_are_those_of_the_domain() -> None:
    assert measured(square(), (1.0, 1.0)).names == SLICE.attribute_names
    assert measured(np.ones((1, 2, 2, 2), np.uint8), (1.0, 1.0, 1.0)).names == VOLUME.attribute_names


@pytest.mark.parametrize(("name", "value"), [
    ("all_area", 24 * 1.0), ("tumour_area", 4 * 1.0), ("all_share", 1.0), ("tumour_share", 4 / 24),
    ("all_components", 1), ("all_centroid_y", 0.5), ("all_centroid_x", 0.5), ("tumour_centroid_x", 0.4),
    ("all_extent_y", 8.0), ("all_extent_x", 3.0), ("tumour_thickness", 1.0)])
def test_rectangle_of_pixels_of_2_by_half_mm(name: str, value: float) -> None:
    assert measured(square(), (2.0, 0.5))[name][0] == pytest.approx(value)


def test_cube_of_anisotropic_voxels() -> None:
    labels = np.zeros((1, 6, 10, 10), np.uint8)
    labels[0, 1:3, 2:8, 2:8] = 1  # 2 x 6 x 6 voxels of 5 x 1 x 1 mm
    found = measured(labels, (5.0, 1.0, 1.0))
    assert found["organ_volume"][0] == 2 * 6 * 6 * 5
    assert [found[f"organ_extent_{axis}"][0] for axis in "zyx"] == [10, 6, 6]
    assert found["organ_thickness"][0] == pytest.approx(6.0)


def test_volume_of_a_region_is_the_sum_over_its_slices() -> None:
    labels = np.random.default_rng(0).integers(0, 2, (1, 5, 8, 8)).astype(np.uint8)
    flat = Declaration("organ", 2, {"organ": 1}).domain().measure(labels[0], (1.0, 0.5))
    assert measured(labels, (3.0, 1.0, 0.5))["organ_volume"][0] == pytest.approx(3.0 * flat["organ_area"].sum())


@pytest.mark.parametrize("across", [1, 2, 3, 4, 7])
def test_a_slab_is_as_thick_as_it_is(across: int) -> None:
    slab = np.zeros((across + 4, 40), bool)
    slab[2 : 2 + across] = True
    assert mean_thickness_mm(slab, (1.5, 1.0)) == pytest.approx(1.5 * across, rel=0.02)  # its ends are round


@pytest.mark.parametrize("side", [1, 2, 5, 6])
def test_squares_and_cubes_are_as_thick_as_their_side(side: int) -> None:
    assert mean_thickness_mm(np.ones((side, side), bool), (1.0, 1.0)) == side
    assert mean_thickness_mm(np.ones((side,) * 3, bool), (2.0, 2.0, 2.0)) == 2 * side


def test_annulus_is_as_thick_as_its_wall() -> None:
    y, x = np.mgrid[:128, :128] - 63.5
    radius = np.hypot(y, x)
    assert mean_thickness_mm((radius >= 24) & (radius < 40), (1.0, 1.0)) == pytest.approx(16, abs=1)


def test_pieces_that_touch_at_a_corner_are_one() -> None:
    labels = np.zeros((1, 6, 6), np.uint8)
    labels[0, [0, 1, 5], [0, 1, 5]] = 1
    assert measured(labels, (1.0, 1.0))["all_components"][0] == 2


def test_absent_region_has_size_0_and_no_place() -> None:
    labels = np.minimum(square(), 1)
    found = measured(labels, (1.0, 1.0))
    reasons = dict(zip(found.names, found.reasons[0].tolist(), strict=True))
    assert found["tumour_area"][0] == found["tumour_share"][0] == found["tumour_components"][0] == 0
    assert np.isnan(found["tumour_centroid_x"][0]) and SLICE.reason_names[reasons["tumour_centroid_x"]] == "no_region"
    empty = measured(np.zeros_like(labels), (1.0, 1.0))
    assert np.isnan(empty["all_share"][0]) and 2 in empty.reasons[0]


def test_without_spacing_nothing_is_measured() -> None:
    with pytest.raises(InputError, match="Pass spacing_mm"):
        SLICE.measure(square())


def test_units_ranges_and_tolerances_of_the_attributes() -> None:
    found = {item.name: (item.unit, item.low, item.high, item.tolerance) for item in VOLUME.attributes}
    assert found == {
        "organ_volume": ("mm3", 0, 1e7, pytest.approx(2e5)), "organ_share": ("fraction", 0, 1, 0.02),
        "organ_components": ("count", 0, 1000, 1.0), "organ_thickness": ("mm", 0, 200, 4.0),
        **{f"organ_centroid_{axis}": ("fraction", 0, 1, 0.02) for axis in "zyx"},
        **{f"organ_extent_{axis}": ("mm", 0, 1000, 20.0) for axis in "zyx"}}
    area = next(item for item in SLICE.attributes if item.name == "tumour_area")
    assert (area.unit, area.high, area.tolerance) == ("mm2", 1e5, pytest.approx(2e3))
