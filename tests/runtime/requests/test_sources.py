"""What each sample is asked for: a pure function of source, seed and index."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.domains.attributes import Reason
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import InputError
from cldm_runtime.noise import Purpose, Stream
from cldm_runtime.requests.given_maps import ArrayMasks
from cldm_runtime.requests.grid import grid_from_mapping
from cldm_runtime.requests.sources import (
    Canvas,
    FreeRequests,
    GridRequests,
    mask_requests,
    measured_attributes,
    read_masks,
)
from cldm_runtime.store import DatasetSpec, create_dataset

DOMAIN = get_domain("lge")
CANVAS = Canvas(DOMAIN, (128, 128), (1.0, 1.0))


def drawn_masks(count: int) -> np.ndarray:
    source = GridRequests.spread(grid_from_mapping({"infarct_size": 0.2, "transmurality": 0.6}, DOMAIN), count, CANVAS)
    return np.stack([source.request(0, index).mask for index in range(count)])


def test_drawn_masks_meet_the_completed_request() -> None:
    grid = grid_from_mapping({"infarct_size": [0.1, 0.3], "transmurality": [0.5, 0.7]}, DOMAIN)
    source = GridRequests.spread(grid, 6, CANVAS)
    for index in range(6):
        request = source.request(seed=3, index=index)
        values, _ = measured_attributes(request.mask[None], [request.requested], DOMAIN)
        assert request.grid_row == index % 2
        assert (np.abs(values[0] - request.requested) <= DOMAIN.tolerances + 1e-6).all()


def test_a_request_depends_on_seed_and_index_alone() -> None:
    grid = grid_from_mapping({"infarct_size": 0.2, "transmurality": 0.6}, DOMAIN)
    alone, among = (GridRequests.spread(grid, samples, CANVAS).request(1, 2) for samples in (3, 9))
    assert np.array_equal(alone.mask, among.mask) and np.array_equal(alone.requested, among.requested)
    assert not np.array_equal(alone.mask, GridRequests.spread(grid, 3, CANVAS).request(2, 2).mask)


def test_a_row_without_infarct_asks_for_no_transmurality() -> None:
    request = GridRequests.spread(grid_from_mapping({"infarct_size": 0}, DOMAIN), 1, CANVAS).request(0, 0)
    assert request.requested[0] == 0 and np.isnan(request.requested[1]) and 3 not in request.mask


@pytest.mark.parametrize("angle", [13.7, 45.0, 123.4, -271.3, 359.9])
def test_any_rotation_turns_the_scar_and_keeps_the_attributes(angle: float) -> None:
    def scar(rotation: float) -> tuple[float, np.ndarray]:
        asked = {"infarct_size": 0.2, "transmurality": 0.6, "endocardial_surface_length": 0.3, "slice_position": 0.5}
        grid = grid_from_mapping({**asked, "rotation_deg": rotation}, DOMAIN)
        request = GridRequests.spread(grid, 1, CANVAS).request(4, 0)
        (y, x), (row, column) = np.nonzero(request.mask == 3), np.nonzero(request.mask == 1)
        error = np.abs(DOMAIN.measure(request.mask[None]).values[0] - request.requested)
        return float(np.degrees(np.arctan2(row.mean() - y.mean(), x.mean() - column.mean()))), error

    (upright, _), (turned, error) = scar(0.0), scar(angle)
    assert (turned - upright - angle + 180) % 360 - 180 == pytest.approx(0, abs=3)
    assert (error[:3] <= DOMAIN.tolerances[:3]).all()


def test_masks_are_taken_in_turn() -> None:
    masks = drawn_masks(2)
    source = mask_requests(ArrayMasks(masks), CANVAS, "masks")
    assert np.array_equal(source.request(0, 3).mask, masks[1])
    assert source.request(0, 3).requested[0] == pytest.approx(0.2, abs=0.02)
    assert np.isnan(source.request(0, 3).requested[3])  # one map does not tell its position


def test_positions_known_to_a_dataset_are_kept(tmp_path: Path) -> None:
    masks, path = drawn_masks(2), tmp_path / "cohort.h5"
    values, reasons = measured_attributes(masks, [np.array([np.nan, 0, 0, 0.25]), None], DOMAIN)
    assert values[0, 3] == 0.25 and reasons[:, 3].tolist() == [Reason.MEASURED, Reason.NEEDS_STACK]
    with create_dataset(path, DatasetSpec(DOMAIN, (128, 128), (1.0, 1.0))) as writer:
        writer.append(images=np.zeros((2, 1, 128, 128)), masks=masks, mask_attributes=values, mask_reasons=reasons)
    assert read_masks(path, CANVAS).request(0, 2).requested[3] == 0.25


def test_what_a_map_cannot_tell_is_drawn_for_bundles_that_take_attributes() -> None:
    masks = np.stack([drawn_masks(1)[0], np.where(drawn_masks(1)[0] > 0, 2, 0).astype(np.uint8)])
    masks[1, 60:68, 60:68] = 1
    source = mask_requests(ArrayMasks(masks), replace(CANVAS, maps=False, attributes=DOMAIN.attribute_names), "masks")
    first, again, other = (source.request(seed, 0).requested for seed in (0, 0, 1))
    assert np.array_equal(first, again) and first[3] != other[3] and np.array_equal(first[:3], other[:3])
    undefined = source.request(0, 1)
    assert np.isnan(undefined.requested).tolist() == [False, True, False, False] and undefined.mask is None
    both = mask_requests(ArrayMasks(masks), replace(CANVAS, attributes=DOMAIN.attribute_names), "masks").request(0, 0)
    assert np.array_equal(both.requested, first) and both.mask is not None


def test_masks_of_an_array_file(tmp_path: Path) -> None:
    np.save(tmp_path / "masks.npy", drawn_masks(2).astype(np.int64))
    assert len(read_masks(tmp_path / "masks.npy", CANVAS).rows) == 2


@pytest.mark.parametrize(("masks", "message"), [
    (np.zeros((2, 64, 64), np.uint8), r"masks have shape \(64, 64\), the bundle needs \(128, 128\)"),
    (np.full((2, 128, 128), 9, np.uint8), r"unknown label values \[9\]"),
    (np.full((2, 128, 128), -1), r"unknown label values \[-1\]"),
    (np.zeros((2, 128, 128), np.float32), "must be integers, found float32"),
    (np.zeros((128, 128), np.uint8), "expected an array of shape"),
    (np.zeros((0, 128, 128), np.uint8), "holds no masks"),
])
def test_faulty_mask_files_are_refused(tmp_path: Path, masks: np.ndarray, message: str) -> None:
    np.save(tmp_path / "masks.npy", masks)
    with pytest.raises(InputError, match=message):
        read_masks(tmp_path / "masks.npy", CANVAS)


def test_unreadable_mask_files_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "pickled.npy", np.array([{}], dtype=object), allow_pickle=True)
    (tmp_path / "text.h5").write_text("hello")
    for name in ("pickled.npy", "text.h5", "none.npy", "none.h5"):
        with pytest.raises(InputError, match=name):
            read_masks(tmp_path / name, CANVAS)


def test_masks_of_other_pixels_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "cohort.h5"
    with create_dataset(path, DatasetSpec(DOMAIN, (128, 128), (1.5, 1.5))) as writer:
        writer.append(images=np.zeros((1, 1, 128, 128)), masks=np.zeros((1, 128, 128), np.uint8))
    with pytest.raises(InputError, match="pixels are"):
        read_masks(path, CANVAS)


def test_without_conditions_nothing_is_asked_for() -> None:
    source = FreeRequests(DOMAIN)
    request = source.request(3, 5)
    assert (request.index, request.grid_row, request.mask, request.condition, request.draws) == (5, -1, None, None, 0)
    assert np.isnan(request.requested).tolist() == [True] * 4
    assert source.identity() == {"source": "none"} and source.notes() == []


def test_attributes_that_an_image_is_not_made_from_are_left_out() -> None:
    asked, values = ("infarct_size", "slice_position"), np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    conditions = replace(CANVAS, maps=False, attributes=asked).only_conditions(values)
    np.testing.assert_array_equal(conditions, np.array([0.1, np.nan, np.nan, 0.4], np.float32))
    assert CANVAS.only_conditions(values) is values


def test_attributes_that_a_bundle_does_not_take_are_refused() -> None:
    grid = grid_from_mapping({"infarct_size": [0.1, 0.2], "transmurality": 0.5}, DOMAIN)
    with pytest.raises(InputError) as error:
        GridRequests.spread(grid, 2, replace(CANVAS, maps=False, attributes=("infarct_size",)))
    assert str(error.value).count("transmurality is not a condition of this bundle. It takes: infarct_size") == 1


def test_sources_say_what_decides_them() -> None:
    grid = grid_from_mapping({"infarct_size": [0.1, 0.2], "rotation_deg": 30}, DOMAIN)
    drawn, alone = (GridRequests.spread(grid, 2, replace(CANVAS, maps=maps, attributes=DOMAIN.attribute_names))
                    for maps in (True, False))
    assert drawn.identity() == {"source": "grid", "grid_sha256": grid.sha256, "grid_rows": 2,
                                **DOMAIN.require_anatomy().identity()}
    assert alone.identity() == {"source": "grid", "grid_sha256": grid.sha256, "grid_rows": 2}
    assert drawn.notes() == [] and "rotation_deg has no effect" in alone.notes()[0]
    assert alone.request(0, 1).rotation_deg == drawn.request(0, 1).rotation_deg == 30
    masks = drawn_masks(3)
    given = mask_requests(ArrayMasks(masks.astype(np.int64)), CANVAS, "masks")
    assert given.identity() == {"source": "masks", "masks_sha256": hashlib.sha256(masks.tobytes()).hexdigest(),
                                "masks": 3}
    assert given.notes() == [] and len(replace(given, canvas=alone.canvas).notes()) == 1


def test_every_mask_is_checked_whatever_block_it_is_in(monkeypatch: pytest.MonkeyPatch) -> None:
    masks = np.concatenate([drawn_masks(2)] * 2)
    whole = mask_requests(ArrayMasks(masks), CANVAS, "masks").sha256
    monkeypatch.setattr("cldm_runtime.requests.sources.samples_in_block", lambda numbers: 3)
    assert mask_requests(ArrayMasks(masks), CANVAS, "masks").sha256 == whole
    masks[3, 0, 0] = 9
    with pytest.raises(InputError, match=r"masks, masks 3 to 3: .*unknown label values"):
        mask_requests(ArrayMasks(masks), CANVAS, "masks")


def test_attributes_are_tried_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    grid, tried = grid_from_mapping({"infarct_size": 0.2}, DOMAIN), []
    anatomy = DOMAIN.require_anatomy()

    class Stubborn:
        """Meets the fourth request."""

        complete, faults, identity = anatomy.complete, anatomy.faults, anatomy.identity

        def draw(self, asked, stream, **options):
            tried.append((stream.uniform(), options["rotation_deg"], options["shape"], options["spacing_mm"]))
            if len(tried) < self.enough:
                raise InputError("no anatomy.")
            return anatomy.draw(asked, stream, **options)

    for enough in (4, 5):
        Stubborn.enough = enough
        tried.clear()
        source = GridRequests.spread(grid, 1, replace(CANVAS, domain=replace(DOMAIN, anatomy=Stubborn())))
        if enough == 4:
            assert source.request(0, 0).mask is not None
        else:
            with pytest.raises(InputError, match=r"attributes, line 1, sample 0: no anatomy\. Or use another seed"):
                source.request(0, 0)
        expected = [Stream(0, 0, Purpose.ANATOMY, step).uniform() for step in range(4)]
        assert tried == [(number, 0.0, (128, 128), (1.0, 1.0)) for number in expected]
