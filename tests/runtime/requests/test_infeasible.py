"""Rows that no anatomy can meet: left out or moved, with a note for each, and never silently."""

from collections.abc import Mapping

import pytest

from cldm_runtime.domains.domain import Domain
from cldm_runtime.domains.labels import LabelSet
from cldm_runtime.errors import InputError
from cldm_runtime.requests.grid import Grid, GridRow
from cldm_runtime.requests.infeasible import settle


class Anatomy:
    """Meets sizes up to 0.5; beyond 0.9 there is nothing near."""

    def faults(self, request: Mapping[str, float]) -> list[str]:
        return ["size is above 0.5"] if request["size"] > 0.5 else []

    def nearest(self, request: Mapping[str, float]) -> dict[str, float] | None:
        return None if request["size"] > 0.9 else {"size": min(request["size"], 0.5)}


DOMAIN = Domain("toy", LabelSet(("background",), {}, ()), (), measure=None,  # type: ignore[arg-type]
                anatomy=Anatomy())  # type: ignore[arg-type]


def grid(*sizes: float) -> Grid:
    return Grid("grid.csv", tuple(GridRow(line, {"size": size}) for line, size in enumerate(sizes, 2)), "")


def test_rows_are_left_out_and_the_others_keep_their_numbers() -> None:
    settled = settle(grid(0.6, 0.2, 0.7, 0.3), DOMAIN, "skip")
    assert settled.counts(5).tolist() == [0, 3, 0, 2]
    assert settled.notes == ("line 2 is left out: size is above 0.5", "line 4 is left out: size is above 0.5")
    assert settled.infeasible == "skip"


def test_rows_are_moved() -> None:
    settled = settle(grid(0.6, 0.2), DOMAIN, "nearest")
    assert [row.request["size"] for row in settled.rows] == [0.5, 0.2] and settled.counts(4).tolist() == [2, 2]
    assert settled.notes == ("line 2 is moved to size = 0.5: size is above 0.5",)


@pytest.mark.parametrize("policy", ["error", "skip", "nearest"])
def test_a_grid_that_can_be_met_stays_as_it_is(policy: str) -> None:
    assert settle(grid(0.1, 0.2), DOMAIN, policy) == grid(0.1, 0.2)


def test_no_row_left_is_an_error() -> None:
    with pytest.raises(InputError, match="no anatomy can meet any row") as error:
        settle(grid(0.6, 0.7), DOMAIN, "skip")
    assert "line 3 is left out" in str(error.value)


def test_a_row_without_values_nearby_is_an_error() -> None:
    with pytest.raises(InputError, match=r"line 3: size is above 0\.5\. No values nearby"):
        settle(grid(0.1, 0.95), DOMAIN, "nearest")
