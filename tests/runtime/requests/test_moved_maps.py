"""Given label maps combined with a grid: which map each sample shows, how it is changed, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime import Generator
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import InputError
from cldm_runtime.requests.given_maps import ArrayMasks
from cldm_runtime.requests.grid import Grid, grid_from_mapping, read_grid
from cldm_runtime.requests.moved_maps import MaskGridRequests
from cldm_runtime.requests.sources import Canvas, mask_requests, read_masks
from cldm_runtime.store import DatasetSpec, create_dataset

DOMAIN = get_domain("lge")
CANVAS = Canvas(DOMAIN, (128, 128), (1.0, 1.0))
ROOT = Path(__file__).parents[3]


def ring(shift: int = 0, down: int = 0) -> np.ndarray:
    """(128, 128): a ring of wall, radii 12 and 20, with infarct on its right and MVO inside it."""
    rows, columns = np.mgrid[-down:128 - down, :128]
    radius, right = np.hypot(rows - 63.5, columns - 63.5 - shift), columns - 63.5 - shift
    labels = np.where(radius < 12, 1, np.where(radius < 20, 2, 0)).astype(np.uint8)
    labels[(labels == 2) & (right > 14)] = 3
    labels[(labels == 3) & (radius < 15) & (np.abs(rows - 63.5) < 2)] = 4
    return labels


def combined(masks: np.ndarray, samples: int, canvas: Canvas = CANVAS, **columns: object) -> MaskGridRequests:
    grid = grid_from_mapping(columns, DOMAIN, for_masks=True)
    return MaskGridRequests.spread(grid, samples, mask_requests(ArrayMasks(masks), canvas, "masks"))


def test_each_map_passes_through_all_rows_before_the_next() -> None:
    source = combined(np.stack([ring(), ring(7)]), 8, rotation_deg=[0, 90])
    shown = [source.request(0, index) for index in range(8)]
    assert [request.grid_row for request in shown] == [0, 1] * 4
    expected = [ring(), np.rot90(ring()), ring(7), np.rot90(ring(7))] * 2
    assert all(np.array_equal(request.mask, mask) for request, mask in zip(shown, expected, strict=True))


def test_weights_decide_how_often_a_row_is_used() -> None:
    masks = np.stack([ring(), ring(5), ring(7)])
    source = combined(masks, 4, rotation_deg=[0, 180], weight=[3, 1])
    shown = [source.request(0, index) for index in range(4)]
    assert [request.grid_row for request in shown] == [0, 1, 0, 0]
    assert np.array_equal(shown[3].mask, masks[2]) and np.array_equal(shown[1].mask, masks[0][::-1, ::-1])


def test_attributes_are_measured_on_the_changed_map() -> None:
    source = combined(ring()[None], 3, widening_mm=[-2, 0, 3], rotation_deg=37.5)
    sizes = [source.request(0, index).requested[0] for index in range(3)]
    for index in range(3):
        request = source.request(0, index)
        assert request.requested[0] == DOMAIN.measure(request.mask[None])["infarct_size"][0]
    assert sizes[1] == pytest.approx(DOMAIN.measure(ring()[None])["infarct_size"][0], abs=0.01)
    assert sizes[0] + 0.02 < sizes[1] < sizes[2] - 0.02


def test_microvascular_obstruction_stays_inside_a_wider_infarct() -> None:
    mask = combined(ring()[None], 1, widening_mm=3).request(0, 0).mask
    assert np.array_equal(mask == 4, ring() == 4) and (mask == 3).sum() > (ring() == 3).sum()


def test_bundles_that_take_attributes_are_asked_for_those_of_the_changed_map() -> None:
    canvas = replace(CANVAS, maps=False, attributes=DOMAIN.attribute_names)
    source = combined(ring()[None], 2, canvas, widening_mm=[0, 3], rotation_deg=45)
    plain, wide = (source.request(0, index) for index in range(2))
    assert plain.mask is None and wide.requested[0] > plain.requested[0] + 0.02
    assert plain.requested[0] == DOMAIN.measure(ring()[None])["infarct_size"][0]  # not turned
    assert np.isfinite(plain.requested[3]) and "rotation_deg has no effect" in source.notes()[1]


def test_maps_that_would_leave_the_image_are_named() -> None:
    masks = np.stack([ring(), ring(40, 40), ring(40, 40)])
    with pytest.raises(InputError) as error:
        combined(masks, 5, rotation_deg=[0, 45, 180])
    # Its centre comes to lie 56.6 mm to the right, its outermost pixel 19.8 further; the image ends at 64.
    assert str(error.value).splitlines()[1:] == ["  - line 2: map 1, turned by 45 degrees, by 12.4 mm"]
    assert combined(masks, 4, rotation_deg=[0, 45, 180]).counts.tolist() == [2, 1, 1]  # that pair does not occur


def test_positions_of_a_subset_are_kept(tmp_path: Path) -> None:
    path, known = tmp_path / "cohort.h5", np.full((3, 4), np.nan, np.float32)
    known[:, 3] = [0.1, 0.2, 0.3]
    with create_dataset(path, DatasetSpec(DOMAIN, (128, 128), (1.0, 1.0))) as writer:
        writer.append(images=np.zeros((3, 1, 128, 128)), masks=np.stack([ring(), ring(5), ring(7)]),
                      mask_attributes=known, subset=["d8", "test", "d8"])
    masks = read_masks(path, CANVAS, "d8")
    assert len(masks.rows) == 2 and np.array_equal(masks.request(0, 1).mask, ring(7))
    assert [masks.request(0, index).requested[3] for index in range(3)] == pytest.approx([0.1, 0.3, 0.1])
    assert masks.sha256 == mask_requests(ArrayMasks(np.stack([ring(), ring(7)])), CANVAS, "masks").sha256
    with pytest.raises(InputError, match=r"has no subset 'd9'\. Found: d8, test"):
        read_masks(path, CANVAS, "d9")


def test_masks_of_another_domain_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "cohort.h5"
    with create_dataset(path, DatasetSpec(replace(DOMAIN, name="brain"), (128, 128), (1.0, 1.0))) as writer:
        writer.append(images=np.zeros((1, 1, 128, 128)), masks=ring()[None])
    with pytest.raises(InputError, match="is of the domain 'brain', the bundle of 'lge'"):
        read_masks(path, CANVAS)


def read(folder: Path, text: str, for_masks: bool = True) -> Grid:
    (folder / "grid.csv").write_text(text)
    return read_grid(folder / "grid.csv", DOMAIN, for_masks)


@pytest.mark.parametrize(("text", "for_masks", "fault"), [
    ("infarct_size,rotation_deg,transmurality\n0.1,0,0.5\n", True,
     "line 1: infarct_size, transmurality cannot be requested of given masks"),
    ("weight,label\n1,a\n", True, "line 1: no transformation column. Expected at least one of: rotation_deg, widening"),
    ("rotation,widening_mm\n1,1\n", True, "unknown column 'rotation'. Known: rotation_deg, widening_mm, weight, label"),
    ("widening_mm\n51\n", True, "line 2: widening_mm = 51 is outside -50..50"),
    ("", True, "Expected a header with some of: rotation_deg, widening_mm"),
    ("infarct_size,widening_mm\n0.1,2\n", False, "line 1: widening_mm changes given label maps"),
    ("rotation_deg\n90\n", False, "no attribute column"),
])
def test_columns_that_do_not_fit_are_named(tmp_path: Path, text: str, for_masks: bool, fault: str) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path, text, for_masks)
    assert fault in str(error.value) and "1 fault(s)" in str(error.value)


def test_a_domain_without_a_way_to_widen_says_so(tmp_path: Path) -> None:
    (tmp_path / "grid.csv").write_text("widening_mm\n2\n")
    with pytest.raises(InputError, match="has nothing that could be widened"):
        read_grid(tmp_path / "grid.csv", replace(DOMAIN, widen=None), for_masks=True)


def test_the_example_crosses_five_angles_with_two_widths() -> None:
    rows = read_grid(ROOT / "examples" / "rotations.csv", DOMAIN, for_masks=True).rows
    assert {(row.rotation_deg, row.widening_mm) for row in rows} == {
        (angle, width) for angle in (0, 37.5, 90, 180, 270) for width in (0, 2)} and len(rows) == 10


def test_python_combines_every_map_with_every_row(tiny_generator: Path) -> None:
    masks = np.stack([ring(), ring(7)])
    images, shown = Generator.load(tiny_generator).sample(attributes={"rotation_deg": [0, 90, 180]}, masks=masks)
    assert images.shape == (6, 1, 128, 128) and np.array_equal(shown[4], np.rot90(ring(7)))
