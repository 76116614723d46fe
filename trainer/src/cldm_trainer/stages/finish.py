"""The student's last training: its finished latents against those of real slices, where the teacher's are no match.

Guidance gives a teacher's latents more power than real ones have, and a student that is as good as its teacher is told
from real slices as easily. Here it learns on, with the teacher's latents still wanted, against a critic that sees
finished latents beside those of the cohort's slices with the same label maps. Later steps begin where the student's own
earlier steps led, as they will when it generates.

Several such trainings differ in what they mend first; the mean of their weights, which is what the bundle gets, has
some of each (Wortsman et al., "Model soups", ICML 2022).
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.diffusion.schedule import NoiseSchedule
from cldm_runtime.errors import InputError
from cldm_runtime.files.digest import sha256_of
from cldm_runtime.files.records import plain

from ..config import Config, DistilConfig
from ..networks import Denoiser
from ..training import checkpoint
from ..training.loop import train
from . import distil, slice_latents, trajectories
from .distil import DistilTask, spatial_channels
from .from_bundle import teacher_bundle
from .trajectories import Trajectories

STAGE = "finish"


class FinishTask(DistilTask):
    """See the module. slices (N, C, h, w): latents of slices with the label maps that the trajectories were told."""

    def __init__(self, config: DistilConfig, student: Denoiser, schedule: NoiseSchedule, training: Trajectories,
                 unseen: Trajectories, slices: Tensor) -> None:
        super().__init__(config, student, schedule, training, unseen)
        self.slices = slices

    @torch.no_grad()
    def before(self, model: nn.Module, rows: Tensor, k: Tensor, told: Tensor) -> Tensor:
        """Where the student's own steps lead from the noise of trajectories `rows`."""
        x = self.training.x[rows, 0].float().to(told.device)
        for number in range(int(k.max())):
            going = torch.nonzero(k > number)[:, 0].to(x.device)
            x = x.index_copy(0, going, self.advance(model, x[going], torch.full((len(going),), number), told[going]))
        return x

    @staticmethod
    def seen_with(channels: int, spatial: int) -> int:
        return spatial

    def seen(self, rows: Tensor, k: Tensor, x: Tensor, x0: Tensor, wanted: Tensor,
             told: Tensor) -> tuple[Tensor, Tensor]:
        """Finished latents, of slices and of the student, with a spatial condition."""
        finished = k == len(self.table) - 1
        here = finished.to(x.device)
        whose = spatial_channels(told[here], x.shape[2:])
        slices = self.slices[rows[finished]].float().to(x.device)
        return torch.cat([slices, whose], dim=1), torch.cat([x0[here], whose], dim=1)


def run(config: Config) -> None:
    """Train every student of [[finish]], each from the one that [distil] left; none without such a section."""
    if not config.finish:
        return
    bundle = teacher_bundle(config)
    slice_latents.run(config, bundle)
    start = sha256_of(config.run_folder / distil.STAGE / checkpoint.MODEL)
    for number, section in enumerate(config.finish):
        resolved = plain(section) | {"start": start, "trajectories": trajectories.recipe(config),
                                     "slices": slice_latents.fingerprint(config, bundle)}
        train(partial(make_task, config, number), section.optimiser, config.run,
              folder(config, number), resolved)


def folder(config: Config, number: int) -> Path:
    """Where a student is trained: `finish-<number>` in the run's folder."""
    return config.run_folder / f"{STAGE}-{number}"


def make_task(config: Config, number: int) -> FinishTask:
    """The task of a [[finish]] section. Raises InputError where [distil] has left no student, or where the processes
    would not have equally many finished latents to show to the critic."""
    bundle, section = teacher_bundle(config), config.finish[number]
    processes = config.run.devices * config.run.nodes
    if processes > 1 and section.optimiser.batch_size % (processes * config.distil.steps):
        raise InputError(f"finish: found batch_size {section.optimiser.batch_size} for {processes} processes, expected "
                         f"a multiple of {processes * config.distil.steps}: of their number times distil.steps.")
    assert bundle.manifest.schedule is not None  # a generator has it: the manifest was checked
    training, unseen = (trajectories.load_trajectories(config, subset) for subset in trajectories.SUBSETS)
    latents = slice_latents.load(config, bundle)
    order = trajectories.order_told(config, len(latents))
    slices = latents[order[np.arange(len(training)) % len(latents)]]
    how = replace(config.distil, optimiser=section.optimiser, critic_weight=section.critic_weight, critic_start=0,
                  critic_channels=section.critic_channels, critic_penalty=section.critic_penalty)
    return FinishTask(how, distil.trained_student(config, bundle), bundle.manifest.schedule.noise_schedule(),
                      training, unseen, slices)


def trained_student(config: Config, bundle: Bundle) -> Denoiser:
    """The student of the bundle, frozen, in evaluation mode: the mean of the finished ones, or that of [distil] where
    there are none. Raises InputError for one that has not been trained."""
    student = distil.trained_student(config, bundle)
    if not config.finish:
        return student
    for number in range(len(config.finish)):
        checkpoint.load_weights(student, folder(config, number), STAGE)  # that each is there and fits
    parts = [load_file(folder(config, number) / checkpoint.MODEL) for number in range(len(config.finish))]
    mean = {name: torch.stack([part[name].double() for part in parts]).mean(0) for name in parts[0]}
    student.load_state_dict({name: value.to(parts[0][name].dtype) for name, value in mean.items()})
    return student
