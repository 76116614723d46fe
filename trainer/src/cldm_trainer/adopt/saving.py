"""The files of a stage whose weights come from elsewhere."""

from pathlib import Path

import torch
from torch import nn

from ..config import OptimiserConfig
from ..training import checkpoint


def save_stage(folder: Path, module: nn.Module, step: int, optimiser: OptimiserConfig | None) -> None:
    """A stage's files; without an optimiser it can be used but not trained on. What needs no gradient is frozen."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = module.state_dict()
    checkpoint.save_tensors(folder / checkpoint.MODEL, weights, {"step": str(step)})
    if optimiser is not None:
        learned = [parameter for parameter in module.parameters() if parameter.requires_grad]
        fresh = torch.optim.AdamW(learned, lr=optimiser.learning_rate, weight_decay=optimiser.weight_decay)
        state = {"step": step, "model": weights, "average": weights, "optimiser": fresh.state_dict()}
        checkpoint.save_state(folder / checkpoint.STATE, state)
