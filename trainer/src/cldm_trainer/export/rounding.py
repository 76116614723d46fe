"""Weights of a bundle in fewer bytes: rounded copies of its networks, and how much that changes what they compute."""

import copy
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from cldm_runtime.errors import list_faults

from ..graphs.write import round_to_bytes, round_to_half
from .parity import ParityError, evaluate

Module = TypeVar("Module", bound=nn.Module)
MOST_CHANGE = 0.05
"""Of a graph's output, as a share of its standard deviation. What 0.02 does to images: docs/engines.md."""


def rounded(module: Module, stored: str) -> Module:
    """A copy with large weights rounded for storage as "fp16" or "int8"; the module itself for "fp32"."""
    if stored == "fp32":
        return module
    module = copy.deepcopy(module)
    (round_to_bytes if stored == "int8" else round_to_half)(module)
    return module


@torch.no_grad()
def output_change(exact: nn.Module, stored: nn.Module, inputs: Mapping[str, Tensor]) -> float:
    """Root mean square of what rounding changes in a module's output for named inputs, over the output's standard
    deviation. 0 where nothing changes; infinite or NaN where a constant output changes or an output is not finite."""
    expected, found = evaluate(exact, inputs.values()), evaluate(stored, inputs.values())
    if (expected == found).all():
        return 0.0
    spread = float(expected.std())
    return float(((found - expected) ** 2).mean() ** 0.5) / spread if spread else float("inf")


def rounding_figures(stored: str, exact: Mapping[str, nn.Module], small: Mapping[str, nn.Module],
                     inputs: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Any]:
    """For the manifest's quality: how weights are stored, and the `output_change` of each role whose weights are not
    exact.

    Raises ParityError where a change is larger than `MOST_CHANGE`.
    """
    changes = {role: output_change(module, small[role], inputs[role]) for role, module in exact.items()
               if small[role] is not module}
    faults = [f"{role}: {change:.1%} of its output's standard deviation, allowed {MOST_CHANGE:.0%}"
              for role, change in changes.items() if not change <= MOST_CHANGE]
    if faults:
        advice = "fp16 or fp32" if stored == "int8" else "fp32"
        raise ParityError(list_faults(f"storing weights in {stored} changes what graphs compute. Nothing was written. "
                                      f"Set export.weights = {advice}:", faults))
    return {"stored": stored, "limit": MOST_CHANGE,
            "change": {role: float(f"{change:.2g}") for role, change in changes.items()}}
