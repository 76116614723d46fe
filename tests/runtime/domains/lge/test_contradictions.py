"""Contradictions leave a request with the smallest change that the messages advise."""

import pytest

from cldm_runtime.domains.lge.contradictions import contradictions, without_contradictions

SIZE, DEPTH, SURFACE = "infarct_size", "transmurality", "endocardial_surface_length"


@pytest.mark.parametrize(("request_", "expected"), [
    ({SIZE: 0.0, DEPTH: 0.5}, {SIZE: 0.0}),
    ({SIZE: 0.0, SURFACE: 0.3}, {SIZE: 0.0, SURFACE: 0.0}),
    ({DEPTH: 0.0}, {SIZE: 0.0}),
    ({DEPTH: 0.0, SURFACE: 0.3}, {SURFACE: 0.3}),
    ({SIZE: 0.4, DEPTH: 0.1}, {SIZE: 0.4, DEPTH: 0.4}),
    ({SIZE: 0.4, DEPTH: 0.0, SURFACE: 0.4}, {SIZE: 0.4, DEPTH: 0.4, SURFACE: 0.4}),
])
def test_contradictions_are_taken_out(request_: dict[str, float], expected: dict[str, float]) -> None:
    assert contradictions(request_) and not contradictions(expected)
    assert without_contradictions(request_) == expected


@pytest.mark.parametrize("consistent", [{}, {SIZE: 0.3}, {SIZE: 0.3, DEPTH: 0.5}, {DEPTH: 0.5}, {SURFACE: 0.4}])
def test_other_requests_stay(consistent: dict[str, float]) -> None:
    assert not contradictions(consistent) and without_contradictions(consistent) == consistent
