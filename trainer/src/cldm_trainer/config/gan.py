"""The section [gan] of a configuration: a SPADE network in place of the denoiser, for comparison."""

from dataclasses import dataclass

from .optimiser import OptimiserConfig


@dataclass(frozen=True)
class GanConfig:
    """`cldm-train gan`. The codecs are identities and the condition is mask; of [diffusion] nothing else counts."""

    optimiser: OptimiserConfig = OptimiserConfig(steps=4000, batch_size=16, learning_rate=2e-4, momentum=0.0,
                                                 second_momentum=0.99)
    channels: tuple[int, ...] = ()  # of SPADE's blocks, coarse to fine, each doubles the resolution; empty: diffusion
    hidden_channels: int = 16  # at full resolution, behind the last block
    mask_channels: int = 32  # of the label map inside each normalisation
    style: int = 64  # numbers that decide what the label map does not
    critic_channels: int = 32  # of the critic's first level
    critic_rate: float = 4e-4  # its learning rate
    feature_weight: float = 10.0  # of the distance in the critic's features; the adversarial loss has weight 1
