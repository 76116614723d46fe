"""The search for a request that can be met: it follows what was reached, and gives up after a few moves."""

from collections.abc import Mapping

from cldm_runtime.domains.nearest import UnmetRequest, nearest_request


def half_way(request: Mapping[str, float]) -> UnmetRequest | None:
    """Meets x up to 1; else reaches half of it."""
    return UnmetRequest("too much", {"x": request["x"] / 2, "free": 7.0}) if request["x"] > 1 else None


def test_it_moves_until_the_request_is_met() -> None:
    assert nearest_request({"x": 5.0, "y": 3.0}, half_way) == {"x": 0.625, "y": 3.0}


def test_a_request_that_is_met_stays() -> None:
    assert nearest_request({"x": 0.3}, half_way) == {"x": 0.3}


def test_it_gives_up() -> None:
    assert nearest_request({"x": 1.0}, lambda request: UnmetRequest("never", {"x": request["x"]})) is None
    assert nearest_request({"x": 1.0}, lambda request: UnmetRequest("never")) is None
