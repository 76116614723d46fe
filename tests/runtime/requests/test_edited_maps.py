"""Edits of given label maps: which map each sample shows, what stays, what is left out, and what is refused."""

import pickle

import numpy as np
import pytest

from cldm_runtime.domains.edit_rules import EditRequest
from cldm_runtime.domains.lge.place import measure_place, turned
from cldm_runtime.domains.lge.scar_edit import healed
from cldm_runtime.domains.registry import get_domain, measure
from cldm_runtime.errors import InputError
from cldm_runtime.requests.edited_maps import EditedMapRequests
from cldm_runtime.requests.given_images import ArrayImages
from cldm_runtime.requests.given_maps import ArrayMasks
from cldm_runtime.requests.grid import Grid, GridRow
from cldm_runtime.requests.painted_images import PaintedImageRequests
from cldm_runtime.requests.repeats import repeated
from cldm_runtime.requests.sources import Canvas, mask_requests

DOMAIN = get_domain("lge")
CANVAS = Canvas(DOMAIN, (64, 64), (1.0, 1.0))


def ring(shift: int = 0, scar: bool = True, opened: bool = False) -> np.ndarray:
    """(64, 64): a wall of radii 12 to 21, with a scar on its right."""
    rows, columns = np.mgrid[:64, :64]
    right = columns - 31.5 - shift
    radius = np.hypot(rows - 31.5, right)
    labels = np.where(radius < 12, 1, np.where(radius < 21, 2, 0)).astype(np.uint8)
    labels[(labels == 2) & (right > 15) & scar] = 3
    labels[(right < -5) & opened] = 0
    return labels


def edited(maps: list[np.ndarray], rows: list[EditRequest], samples: int, **options) -> EditedMapRequests:
    grid = Grid("edits.csv", tuple(GridRow(2 + k, row.numbers, words=row.words) for k, row in enumerate(rows)), "0")
    masks = mask_requests(ArrayMasks(np.stack(maps)), CANVAS, "masks")
    return EditedMapRequests.spread(grid, samples, masks, DOMAIN.edit, 0, **options)


SIZES = [EditRequest({"infarct_size": size, "angle_deg": 270.0}) for size in (0.05, 0.1, 0.2)]


def test_rows_show_the_same_hearts_in_the_same_noise() -> None:
    maps = [ring(), ring(4)]
    source = edited(maps, SIZES, 12)
    shown = [source.request(3, index) for index in range(12)]
    assert [request.grid_row for request in shown] == [0, 1, 2] * 4
    assert [request.given_row for request in shown] == [0, 0, 0, 1, 1, 1] * 2
    assert [request.noise_index for request in shown] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    for request in shown:
        np.testing.assert_array_equal(healed(request.mask), healed(maps[request.given_row]))
        np.testing.assert_array_equal(request.before, maps[request.given_row])
        size = SIZES[request.grid_row].numbers["infarct_size"]
        assert request.requested[0] == measure(request.mask)["infarct_size"][0] == pytest.approx(size, abs=0.01)
        assert abs(turned(measure_place(request.mask).angle_deg - 270)) < 10


def test_requests_are_the_same_in_another_process_and_when_repeated() -> None:
    source = edited([ring(), ring(4)], SIZES, 6)
    again = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(source.request(1, 4).mask, again.request(1, 4).mask)
    twice = [repeated(source, 2).request(1, index) for index in range(4)]
    assert [request.noise_index for request in twice] == [0, 1, 0, 1]


def test_what_a_row_states_of_the_slice_is_its_request() -> None:
    source = edited([ring()], [EditRequest({"slice_position": 0.25})], 1)
    assert source.request(0, 0).requested[3] == 0.25


def test_maps_that_a_row_cannot_be_drawn_in_are_listed() -> None:
    maps = [ring(), ring(scar=False), ring(opened=True)]
    with pytest.raises(InputError) as error:
        edited(maps, [EditRequest({"infarct_size": 0.3}, {"operation": "grow"})], 3)
    assert "line 2, map 1: has no scar to grow" in str(error.value) and "map 2: has no closed wall" in str(error.value)
    assert "map 0" not in str(error.value) and "nothing was written" in str(error.value)


def test_skip_leaves_them_out_and_says_so() -> None:
    maps = [ring(opened=True), ring(), ring(4)]
    source = edited(maps, SIZES[:1], 4, skip=True)
    assert [source.request(0, index).given_row for index in range(4)] == [1, 2, 1, 2]
    assert "1 map(s) left out. line 2, map 0: has no closed wall" in source.notes()[0]
    with pytest.raises(InputError, match="map 0"):
        edited(maps[:1], SIZES[:1], 4, skip=True)


def test_a_bundle_without_maps_has_nothing_to_edit() -> None:
    masks = mask_requests(ArrayMasks(ring()[None]), Canvas(DOMAIN, (64, 64), (1.0, 1.0), maps=False), "masks")
    with pytest.raises(InputError, match="not made from label maps"):
        EditedMapRequests.spread(Grid("g", (GridRow(1, {}),), "0"), 1, masks, DOMAIN.edit, 0)


def test_a_given_image_goes_with_its_map() -> None:
    images = ArrayImages(np.stack([np.full((1, 64, 64), 0.1), np.full((1, 64, 64), 1.5)]))
    source = PaintedImageRequests.of(edited([ring(), ring(4)], SIZES[:1], 2), images, "ab", (0.0, 1.0))
    first, second = source.request(0, 0), source.request(0, 1)
    assert (first.painting.image == np.float32(0.1)).all() and (second.painting.image == 1.0).all()
    changed = first.before != first.mask
    assert first.painting.region[changed].all() and not first.painting.region.all()
    assert source.identity()["edit_sha256"] == "ab"
    with pytest.raises(InputError, match="gives 2 images, and there are 1 label maps"):
        PaintedImageRequests.of(edited([ring()], SIZES[:1], 1), images, "ab", (0.0, 1.0))
