"""Comparing engines with their module: whole batches and sample by sample, and what is said of a difference."""

import math

import numpy as np
import pytest
import torch

from cldm_trainer.export.parity import GraphParity, as_table, compare_engines, largest_difference


class Twice:
    """An engine that doubles its input, with an error in batches of one size."""

    def __init__(self, wrong_batch: int = 0) -> None:
        self.wrong_batch = wrong_batch

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = 2 * inputs["x"]
        found[-1:] += 0.5 * (len(found) == self.wrong_batch)
        return {"y": found}


class Double(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


@pytest.mark.parametrize(("wrong_batch", "worst"), [(0, 0.0), (3, 0.5), (1, 0.5)])
def test_batches_and_single_samples_are_compared(wrong_batch: int, worst: float) -> None:
    cases = {"real": {"x": torch.arange(6.0).reshape(3, 2)}}
    (found,) = compare_engines({"denoiser": Twice(wrong_batch)}, "y", Double(), cases, 0.4)
    assert found == GraphParity("denoiser", "real", 3, worst, 0.4) and found.holds == (worst == 0)


def test_a_difference_may_reach_the_tolerance() -> None:
    assert [GraphParity("a", "real", 1, worst, 0.5).holds for worst in (0.5, 0.501, math.nan)] == [True, False, False]


def test_the_largest_difference_is_absolute_and_infinite_between_shapes() -> None:
    assert largest_difference(np.array([1.0, 2.0]), np.array([1.5, 4.0])) == 2.0
    assert largest_difference(np.zeros(2), np.zeros((2, 1))) == math.inf


def test_the_table_has_three_digits() -> None:
    assert as_table([GraphParity("a", "real", 4, 1.23456e-5, 1e-4)]) == [
        {"what": "a", "inputs": "real", "samples": 4, "max_abs": 1.23e-5, "tolerance": 1e-4}]
