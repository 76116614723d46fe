"""What phantoms of several organs have in common: the seam of two shapes, and the signal of a spin echo.

| symbol | meaning | unit |
|---|---|---|
| t1, t2 | relaxation times | ms |
| dose | concentration of the agent in plasma | mM |
| uptake | share of it that a tissue takes up | |
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_RELAXIVITY = 4.5  # of common gadolinium agents, 1/(s mM): Rohrer et al., Invest Radiol 2005;40:715-724, about 4 to 5
Field = NDArray[np.floating[Any]]


def smooth_union(one: Field, other: Field, blend_mm: float) -> Field:
    """The depth in mm in the union of two shapes, whose seam is rounded over about `blend_mm`."""
    near = np.maximum(blend_mm - np.abs(one - other), 0.0) / blend_mm
    return np.asarray(np.maximum(one, other) + near**2 * (blend_mm / 4))


def t1_with_agent(t1: Field, dose: float, uptake: Field) -> Field:
    """What gadolinium shortens T1 to."""
    return np.asarray(1.0 / (1.0 / t1 + _RELAXIVITY * dose * uptake / 1000.0))


def spin_echo(density: Field, t1: Field, t2: Field, repetition_ms: float, echo_ms: float) -> Field:
    """The signal of a spin echo with 90 degrees of excitation."""
    return np.asarray(density * (1.0 - np.exp(-repetition_ms / t1)) * np.exp(-echo_ms / t2))
