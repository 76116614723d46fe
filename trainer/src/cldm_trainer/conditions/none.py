"""No condition: the base of a ControlNet, the start of another training, or label maps that are drawn freely. Images
without a condition are not exported."""

from ..config import Config
from .kind import Condition


class NoCondition(Condition):
    name = "none"
    draws_labels = True

    def faults(self, config: Config) -> list[str]:
        dropout = config.diffusion.condition_dropout
        return [f"diffusion.condition_dropout: found {dropout}, expected 0: there is no condition to drop."] \
            if dropout > 0.0 else []
