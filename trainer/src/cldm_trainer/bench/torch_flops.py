"""Operations of a torch module: twice the multiply-adds of its convolutions and matrix products."""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode


def call_flops(call: Callable[[], object]) -> int:
    """Operations of one call, as torch counts them for the same operators as `cldm_runtime.bench.onnx_flops`."""
    counter: Any = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        call()
    return int(counter.get_total_flops())
