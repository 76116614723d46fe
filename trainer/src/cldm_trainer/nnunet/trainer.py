"""nnU-Net's trainer with a schedule of our choosing, our records, and checkpoints that survive a kill.

Import this module only after `nnunet_plan.use_folders`. Network, loss, optimiser and learning rates are nnU-Net's,
and so is the augmentation unless the configuration asks for a stronger one.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.training.logging.nnunet_logger import MetaLogger
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from cldm_runtime.errors import InputError, InterruptedRun
from cldm_runtime.files.atomic import whole_file

from ..config import STRONG, RunConfig, SegmenterConfig
from ..training.faults import Checkpoint, diverged, rate_setting
from ..training.log import Records
from .augmentation import strengthen


class _QuietLogger(MetaLogger):  # type: ignore[misc]
    """nnU-Net redraws a picture of its curves every epoch, which takes longer than a short epoch of ours."""

    def plot_progress_png(self, output_folder: str) -> None:
        """Nothing: the curves are in log.csv and TensorBoard."""


class CohortTrainer(nnUNetTrainer):  # type: ignore[misc]
    """Configured by `configure` after construction, because nnU-Net's constructors have fixed arguments."""

    records: Records | None = None
    stop = False
    strong = False
    bfloat16 = False
    channels_last = False
    training_cases: Sequence[str] | None = None  # that are drawn from, some of them often; None: each case once
    _step = 0

    def configure(self, config: SegmenterConfig, run: RunConfig) -> None:
        """Take over the schedule and how the network computes. Call it before `initialize`."""
        self.num_epochs = config.epochs
        self.num_iterations_per_epoch = config.iterations_per_epoch
        self.num_val_iterations_per_epoch = config.validation_iterations_per_epoch
        self.initial_lr = config.learning_rate
        self.strong = config.augmentation == STRONG
        self.save_every = 1
        self.seed = run.seed
        self.bfloat16, self.channels_last = run.precision.startswith("bf16"), run.channels_last
        self.logger = _QuietLogger(self.output_folder, False)

    def initialize(self) -> None:
        """nnU-Net's, which computes in single precision on CPUs; here in bfloat16 where the run's precision says so."""
        super().initialize()
        if self.channels_last:
            volumes = len(self.configuration_manager.patch_size) == 3
            self.network.to(memory_format=torch.channels_last_3d if volumes else torch.channels_last)
        if self.bfloat16:
            self.network.forward = _in_bfloat16(self.network.forward, self.device.type)

    def print_to_log_file(self, *args: Any, also_print_to_console: bool = True, add_timestamp: bool = True) -> None:
        """Everything goes to nnU-Net's log file and nothing to stdout, which belongs to results."""
        super().print_to_log_file(*args, also_print_to_console=False, add_timestamp=add_timestamp)

    def get_tr_and_val_datasets(self) -> tuple[Any, Any]:
        """nnU-Net's, whose loader draws evenly from the training set's list of cases."""
        training, validation = super().get_tr_and_val_datasets()
        if self.training_cases is not None:
            training.identifiers = list(self.training_cases)
        return training, validation

    def get_training_transforms(self, *arguments: Any, **options: Any) -> Any:
        """nnU-Net's, strengthened where the configuration says so."""
        transforms = nnUNetTrainer.get_training_transforms(*arguments, **options)
        return strengthen(transforms) if self.strong else transforms

    def plot_network_architecture(self) -> None:
        """Nothing: hiddenlayer, which it needs, no longer works."""

    def set_deep_supervision_enabled(self, enabled: bool) -> None:
        """As nnU-Net does, also for a network without a decoder of its own."""
        network: Any = getattr(self.network, "_orig_mod", self.network)  # of a compiled network
        getattr(network, "decoder", network).deep_supervision = enabled

    def save_checkpoint(self, filename: str) -> None:
        """As nnU-Net does, but the file appears whole or not at all. Raises InputError where the weights are not
        finite: the checkpoint of the epoch before stays."""
        if not all(bool(torch.isfinite(weight).all()) for weight in self.network.parameters()):
            raise self._diverged("weights are not finite")
        with whole_file(Path(filename)) as partial:
            super().save_checkpoint(str(partial))

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        np.random.seed(self.seed + self.current_epoch)
        torch.manual_seed(self.seed + self.current_epoch)
        self._step = self.current_epoch * self.num_iterations_per_epoch

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        if self.stop:
            raise InterruptedRun(f"segmenter stopped in epoch {self.current_epoch + 1} of {self.num_epochs}; the same "
                                 "command goes on from the end of the epoch before.")
        result: dict[str, Any] = super().train_step(batch)
        if self.grad_scaler is None and not np.isfinite(result["loss"]):  # a scaler skips such steps
            raise self._diverged(f"the loss is {float(result['loss'])}")
        self._step += 1
        if self.records is not None:
            self.records.count(self._step)
        return result

    def _diverged(self, what: str) -> InputError:
        folder, epoch = Path(self.output_folder), self.current_epoch
        latest = folder / "checkpoint_latest.pth"
        stage = next(parent for parent in folder.parents if parent.name == "segmenter")
        last = Checkpoint(latest, epoch * self.num_iterations_per_epoch if latest.exists() else None)
        return diverged(stage, f"{what} at step {self._step}, in epoch {epoch + 1} of {self.num_epochs}",
                        rate_setting("segmenter", self.initial_lr), last)

    def on_validation_epoch_end(self, val_outputs: list[dict[str, Any]]) -> None:
        with np.errstate(invalid="ignore"):  # a label that no validation slice holds has Dice NaN
            super().on_validation_epoch_end(val_outputs)

    def on_epoch_end(self) -> None:
        super().on_epoch_end()
        if self.records is None:
            return
        loss, validation_loss, dice = (self.logger.get_value(key, step=-1)
                                       for key in ("train_losses", "val_losses", "dice_per_class_or_region"))
        self.records.training(self._step, {"learning_rate": self.optimizer.param_groups[0]["lr"], "loss": float(loss)})
        names = [name for name, value in self.dataset_json["labels"].items() if value != 0]
        dice_by_label = {f"dice_{name}": float(value) for name, value in zip(names, dice, strict=True)}
        self.records.validation(self._step, {"loss": float(validation_loss), **dice_by_label})


def _in_bfloat16(forward: Callable[..., Any], device: str) -> Callable[..., Any]:
    """A network's forward with its convolutions in bfloat16. The outputs, one or one of each resolution, are in single
    precision: so is the loss."""
    def computed(*inputs: torch.Tensor) -> Any:
        with torch.autocast(device, torch.bfloat16):
            outputs = forward(*inputs)
        if isinstance(outputs, torch.Tensor):
            return outputs.float()
        return [output.float() for output in outputs]

    return computed


# Predictors look the trainer up by the name in the checkpoint, in nnU-Net's own package. The network is that of
# nnUNetTrainer, so its name makes our result folders work with nnU-Net's own tools.
CohortTrainer.__name__ = "nnUNetTrainer"
