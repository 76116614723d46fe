"""Sweeps that hold the heart: along the rows nothing changes outside the wall, and the noise is equal."""

import pickle

import numpy as np
import pytest

from cldm_runtime.domains.lge.scar_edit import healed
from cldm_runtime.domains.registry import get_domain, measure
from cldm_runtime.errors import InputError
from cldm_runtime.requests.grid import Grid, GridRow, grid_from_mapping
from cldm_runtime.requests.held_anatomy import HeldAnatomyRequests
from cldm_runtime.requests.pairs import PairedRequests, both_of_each, paired
from cldm_runtime.requests.sources import Canvas, FreeRequests, GridRequests

DOMAIN = get_domain("lge")
CANVAS = Canvas(DOMAIN, (128, 128), (1.0, 1.0))
SIZES = [0.0, 0.05, 0.15, 0.3]


def held(samples: int, **columns) -> HeldAnatomyRequests:
    return HeldAnatomyRequests.spread(grid_from_mapping(columns, DOMAIN), samples, CANVAS)


def test_nothing_outside_the_wall_changes_along_a_sweep_and_the_noise_is_equal() -> None:
    source = held(12, infarct_size=SIZES)
    shown = [source.request(2, index) for index in range(12)]
    for turn in range(3):
        sweep = shown[4 * turn:4 * turn + 4]
        assert [request.grid_row for request in sweep] == [0, 1, 2, 3]
        assert {request.noise_index for request in sweep} == {turn}
        assert len({request.requested[3] for request in sweep}) == 1
        for request, size in zip(sweep, SIZES, strict=True):
            np.testing.assert_array_equal(healed(request.mask), sweep[0].mask)
            assert measure(request.mask)["infarct_size"][0] == pytest.approx(size, abs=0.02)
            assert request.requested[0] == np.float32(size)
    assert not np.array_equal(shown[0].mask, shown[4].mask)


def test_a_request_does_not_depend_on_those_before_it_nor_on_the_process() -> None:
    source = held(8, infarct_size=SIZES)
    alone = pickle.loads(pickle.dumps(source)).request(2, 6)
    np.testing.assert_array_equal(alone.mask, [source.request(2, index) for index in range(7)][6].mask)


def test_a_position_in_the_grid_is_met() -> None:
    shown = [held(2, infarct_size=0.1, slice_position=[0.1, 0.9]).request(0, index) for index in range(2)]
    assert [request.requested[3] for request in shown] == [np.float32(0.1), np.float32(0.9)]
    assert (shown[0].mask > 0).sum() < (shown[1].mask > 0).sum()


def test_rows_that_no_heart_takes_and_turns_are_refused() -> None:
    with pytest.raises(InputError, match="does not hold it"):
        held(1, infarct_size=0.1, rotation_deg=10.0)
    impossible = Grid("g.csv", (GridRow(2, {"infarct_size": 0.3, "transmurality": 0.9,
                                            "endocardial_surface_length": 0.01}),), "0")
    with pytest.raises(InputError, match="takes the lesions of all rows"):
        HeldAnatomyRequests.spread(impossible, 1, CANVAS).request(0, 0)
    with pytest.raises(InputError, match="Leave it out"):
        HeldAnatomyRequests.spread(impossible, 1, Canvas(DOMAIN, (128, 128), (1.0, 1.0), maps=False))


def test_pairs_differ_in_the_scar_alone() -> None:
    source = paired(GridRequests.spread(grid_from_mapping({"infarct_size": [0.1, 0.2]}, DOMAIN), 2, CANVAS), CANVAS, 4)
    assert isinstance(source, PairedRequests)
    for pair in range(2):
        without, scarred = source.request(5, 2 * pair), source.request(5, 2 * pair + 1)
        assert without.pair == scarred.pair == pair and without.index + 1 == scarred.index
        assert without.noise_index == scarred.noise_index and without.grid_row == scarred.grid_row
        np.testing.assert_array_equal(without.mask, healed(scarred.mask))
        np.testing.assert_array_equal(scarred.mask, source.source.request(5, pair).mask)
        assert without.painting is None and scarred.painting.region[without.mask != scarred.mask].all()
        assert without.requested[0] == 0 and scarred.requested[0] > 0.05
        assert without.requested[3] == scarred.requested[3]


def test_the_two_of_a_pair_are_drawn_once() -> None:
    drawn: list[int] = []

    class Counted(GridRequests):
        def request(self, seed, index):
            drawn.append(index)
            return super().request(seed, index)

    grid = grid_from_mapping({"infarct_size": [0.1]}, DOMAIN)
    source = paired(Counted.spread(grid, 2, CANVAS), CANVAS, 4)
    shown = [source.request(5, index) for index in range(4)]
    assert drawn == [0, 1]
    again = pickle.loads(pickle.dumps(paired(GridRequests.spread(grid, 2, CANVAS), CANVAS, 4)))  # as workers get it
    np.testing.assert_array_equal(again.request(5, 1).mask, shown[1].mask)
    assert source.request(6, 3).mask is not shown[3].mask  # another seed, another heart
    assert not np.array_equal(source.request(6, 3).mask, shown[3].mask)


def test_pairs_need_even_numbers_and_label_maps() -> None:
    assert both_of_each(6) == 3
    with pytest.raises(InputError, match="Pass an even number"):
        both_of_each(5)
    with pytest.raises(InputError, match="--batch-size 3 would part them"):
        paired(FreeRequests(DOMAIN), CANVAS, 3)
    with pytest.raises(InputError, match="takes no map"):
        paired(FreeRequests(DOMAIN), Canvas(DOMAIN, (8, 8), (1.0, 1.0), maps=False), 2)
