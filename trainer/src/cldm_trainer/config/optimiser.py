"""How a network is trained."""

from dataclasses import dataclass


@dataclass(frozen=True)
class OptimiserConfig:
    steps: int  # of training in all; a higher number continues a run that is finished
    batch_size: int  # [samples] of one step, over all devices
    learning_rate: float  # of AdamW, after the warm-up
    warmup_steps: int = 100  # over which the rate rises from 0
    final_rate: float = 0.0  # of the cosine decay, as a share of learning_rate; 1 holds the rate constant
    weight_decay: float = 0.0  # of AdamW
    momentum: float = 0.9  # Adam's first beta; 0 where a critic is trained against the model
    second_momentum: float = 0.999  # Adam's second beta
    gradient_clip: float = 1.0  # largest norm of the gradient; a larger one is shortened to it
    ema_decay: float = 0.999  # of the moving average of the weights, which is what is exported
    log_every: int = 50  # [steps] between rows of log.csv
    validate_every: int = 500  # [steps] between measurements on the subset val
    picture_every: int = 1000  # [steps] between pictures in samples/
    checkpoint_every: int = 500  # [steps] between checkpoints
