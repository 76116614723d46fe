"""One explicit training loop for every stage, on Lightning Fabric.

All randomness of a step is a function of (seed, step), so a run that was stopped and resumed computes what an
uninterrupted one computes. Several processes share the batch of a step: every one draws it whole and learns from its
part, so that a run computes what it computes in one process, but for the order of sums.
"""

import copy
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from cldm_runtime.errors import InputError, InterruptedRun

from ..config import OptimiserConfig, RunConfig
from . import checkpoint, faults, launch
from .batches import batch_rows, step_generator
from .log import Records
from .processes import any_of_them, in_first, join, total
from .run_folder import RunFolder
from .stop_request import StopRequest


@dataclass(frozen=True)
class Step:
    """What a task may use to compute the loss of one step.

    Every process draws all random numbers for the whole batch, and computes the loss of its share: a mean over
    samples, since the processes' gradients are averaged.
    """

    number: int
    rows: NDArray[np.int64]  # rows of the training data, of the whole batch
    generator: torch.Generator  # on the CPU: the same numbers on every machine, and in every process
    device: torch.device
    process: int = 0
    processes: int = 1

    @property
    def share(self) -> slice:
        """Which of `rows` are this process's: as many as every other's."""
        size = len(self.rows) // self.processes
        return slice(self.process * size, (self.process + 1) * size)

    def own(self, batch: Tensor) -> Tensor:
        """This process's share of something of the whole batch, on its device."""
        return batch[self.share].to(self.device)

    def whole(self, own: Tensor) -> Tensor:
        """Something of the whole batch from every process's share of it, for a loss that is no mean over samples."""
        missing = (self.share.start, len(self.rows) - self.share.stop)
        return total(functional.pad(own, (0, 0) * (own.ndim - 1) + missing))


class Task(Protocol):
    """What a stage gives to the loop. `critic` is trained against `model`, or is None."""

    @property
    def model(self) -> nn.Module: ...

    @property
    def critic(self) -> nn.Module | None: ...

    @property
    def critic_rate(self) -> float:
        """Peak learning rate of the critic."""

    @property
    def count(self) -> int:
        """How many training samples there are."""

    def loss(self, model: nn.Module, critic: nn.Module | None, step: Step) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss to go down, and the parts worth logging."""

    def critic_loss(self, critic: nn.Module, step: Step) -> Tensor | None:
        """The critic's loss on what `loss` has just made; None: not yet."""

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Figures of merit of the averaged model."""

    def picture(self, model: nn.Module, device: torch.device) -> NDArray[np.uint8]:
        """(H, W) or (H, W, 3): what the averaged model does."""


class MovingAverage:
    """Exponential moving average of weights; its memory is short at first: min(decay, (1 + n) / (10 + n))."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        for average, parameter in zip(self.module.parameters(), module.parameters(), strict=True):
            average.lerp_(parameter, 1.0 - decay)
        for copied, buffer in zip(self.module.buffers(), module.buffers(), strict=True):
            copied.copy_(buffer)


def learning_rate(config: OptimiserConfig, step: int, peak: float) -> float:
    """Linear warm-up, then a cosine from `peak` to `peak * final_rate` at the last step."""
    warm = min(1.0, (step + 1) / max(config.warmup_steps, 1))
    share = min(1.0, max(0, step - config.warmup_steps) / max(config.steps - config.warmup_steps, 1))
    return peak * warm * (config.final_rate + (1.0 - config.final_rate) * 0.5 * (1.0 + math.cos(math.pi * share)))


class _Trainer:
    """The modules, optimisers and state of one stage while it is trained."""

    def __init__(self, task: Task, config: OptimiserConfig, run: RunConfig, folder: Path) -> None:
        self.task, self.config, self.run, self.folder = task, config, run, folder
        self.fabric = join(run)
        self.module = task.model
        if run.channels_last:
            volumes = any(parameter.ndim == 5 for parameter in self.module.parameters())
            layout = torch.channels_last_3d if volumes else torch.channels_last
            self.module.to(memory_format=layout)  # type: ignore[call-overload]  # missing in torch's stubs
        self.average = MovingAverage(self.module, config.ema_decay)
        self.critic_module = task.critic
        if task.critic is not None and launch.several(run) and self.fabric.device.type == "cuda":
            # torch has no batch norm over the whole batch on CPUs: there a critic's is over its process's share.
            self.critic_module = nn.SyncBatchNorm.convert_sync_batchnorm(task.critic)  # type: ignore[no-untyped-call]
        self.optimiser = self._optimiser(self.module)
        self.model, self.optimiser = self.fabric.setup(self.module, self.optimiser)
        self.average.module.to(self.fabric.device)
        self.critic: nn.Module | None = None
        if self.critic_module is not None:
            self.critic, self.critic_optimiser = self.fabric.setup(self.critic_module,
                                                                   self._optimiser(self.critic_module))
        self.step = 0
        self._saved: int | None = None

    def _optimiser(self, module: nn.Module) -> torch.optim.Optimizer:
        config, learned = self.config, [parameter for parameter in module.parameters() if parameter.requires_grad]
        return torch.optim.AdamW(learned, lr=config.learning_rate, betas=(config.momentum, config.second_momentum),
                                 weight_decay=config.weight_decay)

    def restore(self) -> None:
        """Go on from the last checkpoint, if there is one."""
        path = self.folder / checkpoint.STATE
        if not in_first(path.exists):
            return
        state = checkpoint.load_state(path)
        with checkpoint.fitting(path):
            self.module.load_state_dict(state["model"])
            self.average.module.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            if self.critic_module is not None and "critic" in state:  # an adopted model comes without its critic
                self.critic_module.load_state_dict(state["critic"])
                self.critic_optimiser.load_state_dict(state["critic_optimiser"])
            self.step = self._saved = int(state["step"])

    def save(self) -> None:
        in_first(self._write)
        self._saved = self.step

    def _write(self) -> None:
        average = self.average.module.state_dict()
        state = {"step": self.step, "model": self.module.state_dict(), "average": average,
                 "optimiser": self.optimiser.state_dict()}
        if self.critic_module is not None:
            state |= {"critic": self.critic_module.state_dict(), "critic_optimiser": self.critic_optimiser.state_dict()}
        # The state last: a crash in between leaves an older state that computes the same weights again.
        checkpoint.save_tensors(self.folder / checkpoint.MODEL, average, {"step": str(self.step)})
        checkpoint.save_state(self.folder / checkpoint.STATE, state)

    def advance(self) -> dict[str, Tensor]:
        """One step. Returns what is worth logging."""
        config, fabric = self.config, self.fabric
        rows = batch_rows(self.task.count, config.batch_size, self.step, self.run.seed)
        step = Step(self.step, rows, step_generator(self.run.seed, self.step), fabric.device, fabric.global_rank,
                    fabric.world_size)
        loss, parts = self.task.loss(self.model, self.critic, step)
        norm = self._descend(self.model, self.optimiser, loss, config.learning_rate)
        if self.critic is not None:
            critic_loss = self.task.critic_loss(self.critic, step)
            if critic_loss is not None:
                self._descend(self.critic, self.critic_optimiser, critic_loss, self.task.critic_rate)
                parts["critic"] = critic_loss
        self.average.update(self.module, self.step)
        self.step += 1
        return {"loss": loss.detach(), **{key: value.detach() for key, value in parts.items()}, "gradient_norm": norm}

    def _descend(self, model: nn.Module, optimiser: Any, loss: Tensor, peak: float) -> Tensor:
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(self.config, self.step, peak)
        optimiser.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        norm = torch.as_tensor(self.fabric.clip_gradients(model, optimiser, max_norm=self.config.gradient_clip,
                                                          error_if_nonfinite=False))
        self._require_finite(loss, norm, peak, critic=model is self.critic)
        optimiser.step()
        return norm

    def _require_finite(self, loss: Tensor, norm: Tensor, peak: float, *, critic: bool) -> None:
        """After the gradients were averaged: what is not finite in one process is so in all."""
        whose = "critic's " if critic else ""
        faults.require_finite({f"{whose}loss": float(loss.detach()),
                               f"norm of the {whose}gradients": float(norm)},
                              faults.rate_setting(self.folder.name, peak, critic=critic), self.step,
                              faults.Checkpoint(self.folder / checkpoint.STATE, self._saved))


def train(make_task: Callable[[], Task], config: OptimiserConfig, run: RunConfig, folder: Path,
          resolved: Mapping[str, Any]) -> None:
    """Train a stage to its last step, from wherever it stands; returns at once, without its data, if it is finished.

    `resolved` is the configuration that the weights depend on. Raises InterruptedRun after saving when SIGTERM or
    Ctrl-C arrives at any of the run's processes, InputError when `folder` was begun with another configuration, the
    batch cannot be split among the processes or the training diverges, and CldmError for what `faults.explain` knows.
    """
    if in_first(lambda: _finished(config, run, folder, resolved)):
        return
    torch.manual_seed(run.seed)  # of the initial weights
    with faults.explained(lambda: f"{folder.name}, before its first step"):
        trainer = _Trainer(make_task(), config, run, folder)
        trainer.restore()
    if trainer.step >= config.steps:
        trainer.save()  # only the file of the finished weights is missing
    writes = trainer.fabric.is_global_zero
    with (faults.explained(lambda: f"{folder.name}, step {trainer.step}"), StopRequest() as stop,
          Records(folder, trainer.step, config.steps, writes) as records):
        while trainer.step < config.steps:
            _report(trainer, records, trainer.advance())
            last, stopping = trainer.step == config.steps, any_of_them(stop.requested)
            if last or stopping or trainer.step % config.checkpoint_every == 0:
                trainer.save()
            if stopping and not last:
                raise InterruptedRun(f"{folder.name} stopped at step {trainer.step} of {config.steps}; "
                                     "the same command goes on from there.")


def _finished(config: OptimiserConfig, run: RunConfig, folder: Path, resolved: Mapping[str, Any]) -> bool:
    """Whether a stage needs no training; if it does, with this configuration and in these processes."""
    checkpoint.agree_on_config(folder, {"seed": run.seed, **resolved})
    processes = run.devices * run.nodes
    if checkpoint.finished(folder, config.steps):
        return True
    if config.batch_size % processes:
        raise InputError(f"{folder.name}: its batch_size {config.batch_size} cannot be split among {processes} "
                         f"processes ({run.devices} devices x {run.nodes} nodes). Take a number that divides it, or "
                         "another batch_size.")
    return False


def train_shared(make_task: Callable[[], Task], stage: str, section: OptimiserConfig, run: RunFolder,
                 resolved: Mapping[str, Any]) -> None:
    """`train` for a stage that other runs may use. Where `run.codecs` names another run, its stage must be finished
    and is left alone: raises InputError that says what to run if it is not."""
    folder, resolved = run.lent(stage), {**resolved, **run.cohort.record}
    if run.settings.codecs:
        checkpoint.require(folder, stage, section.steps, {"seed": run.settings.seed, **resolved})
    else:
        train(make_task, section, run.settings, folder, resolved)


def _report(trainer: _Trainer, records: Records, figures: dict[str, Tensor]) -> None:
    """Log, validate and draw when it is time."""
    config, step = trainer.config, trainer.step
    records.count(step)
    if _due(config.log_every, trainer):
        means: Any = trainer.fabric.all_reduce(figures)  # over the processes; as many and as named as `figures`
        if trainer.fabric.is_global_zero:
            rate = trainer.optimiser.param_groups[0]["lr"]
            records.training(step, {"learning_rate": rate} | {key: float(value) for key, value in means.items()})
    if _due(config.validate_every, trainer) or _due(config.picture_every, trainer):
        in_first(lambda: _show(trainer, records))


def _due(every: int, trainer: _Trainer) -> bool:
    return trainer.step == trainer.config.steps or trainer.step % every == 0


@torch.no_grad()
def _show(trainer: _Trainer, records: Records) -> None:
    """Validate and draw when it is time."""
    config, average, device, started = trainer.config, trainer.average.module, trainer.fabric.device, time.monotonic()
    if _due(config.validate_every, trainer):
        records.validation(trainer.step, trainer.task.validate(average, device))
    if _due(config.picture_every, trainer):
        records.picture(trainer.step, trainer.task.picture(average, device))
    records.pause(time.monotonic() - started)
