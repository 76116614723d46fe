"""The smallest task of the training loop: a line through points."""

import os
import signal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cldm_trainer.config import OptimiserConfig, RunConfig
from cldm_trainer.training.loop import Step

RUN = RunConfig("run", threads=1)
SHORT = OptimiserConfig(steps=6, batch_size=2, learning_rate=0.1, warmup_steps=2, log_every=1, validate_every=3,
                        checkpoint_every=3)


class Line:
    """Fits y = w x + b to y = 2 x, with noise from the step's generator. Asks for a stop at step `stop_at`."""

    critic = None
    critic_rate = 0.0
    count = 5

    def __init__(self, stop_at: int = -1) -> None:
        self.model: nn.Module = nn.Linear(1, 1)
        self.stop_at = stop_at

    def loss(self, model: nn.Module, critic: nn.Module | None, step: Step) -> tuple[Tensor, dict[str, Tensor]]:
        if step.number == self.stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        x = torch.tensor(step.rows, dtype=torch.float32)[:, None] + torch.rand((2, 1), generator=step.generator)
        loss = (model(x) - 2.0 * x).square().mean()
        return loss, {"copy": loss}

    def critic_loss(self, critic: nn.Module, step: Step) -> Tensor | None:
        return None

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        return {"weight": float(next(model.parameters()))}

    def picture(self, model: nn.Module, device: torch.device) -> NDArray[np.uint8]:
        return np.zeros((4, 4), np.uint8)
