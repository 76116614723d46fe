"""[diffusion.reward]: a frozen reader of label maps that judges what is denoised."""

from dataclasses import dataclass

from .optimiser import OptimiserConfig


@dataclass(frozen=True)
class RewardConfig:
    """A loss on the clean latent that one step leads to: what a frozen network reads in it against the label map."""

    weight: float = 0.1  # of the loss; 0: it is measured, and nothing learns from it
    below: float = 0.3  # share of the timesteps, from the clean end, that it counts at
    size_weight: float = 1.0  # in the loss, of the error in the lesion's size, against the reading of each label
    channels: int = 48  # of the reader
    blocks: int = 4  # of the reader
    optimiser: OptimiserConfig = OptimiserConfig(steps=800, batch_size=16, learning_rate=1e-3)  # of the reader
