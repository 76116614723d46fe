"""The student's last training: its finished latents against those of the cohort's slices.

Guidance gives a teacher's latents more power than the cohort's have. A student as good as its teacher is therefore
distinguished from the cohort's slices as easily. Here training continues: the teacher's latents stay the target, and a
critic sees finished latents next to those of the cohort's slices with the same label maps. Later steps start where the
student's earlier steps led, as they do in generation.

Several such trainings improve different things first. The bundle gets the mean of their weights, which has some of
each (Wortsman et al., "Model soups", ICML 2022).
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cldm_runtime.diffusion.schedule import NoiseSchedule
from cldm_runtime.errors import InputError
from cldm_runtime.files.records import plain

from ..conditions.kind import Design
from ..config import DistilConfig, FinishConfig
from ..networks import Denoiser
from ..training import checkpoint
from ..training.loop import train
from ..training.run_folder import RunFolder
from . import distil, slice_latents, trajectories
from .distil import DistilTask, spatial_channels
from .from_bundle import teacher_bundle
from .trajectories import Trajectories

STAGE = "finish"


class FinishTask(DistilTask):
    """See the module. slices (N, C, *latent): latents of slices with the label maps of the trajectories."""

    def __init__(self, config: DistilConfig, student: Denoiser, schedule: NoiseSchedule, training: Trajectories,
                 unseen: Trajectories, slices: Tensor) -> None:
        super().__init__(config, student, schedule, training, unseen)
        self.slices = slices

    @torch.no_grad()
    def before(self, model: nn.Module, rows: Tensor, k: Tensor, condition: Tensor) -> Tensor:
        """Where the student's own steps lead from the noise of trajectories `rows`."""
        x = self.training.x[rows, 0].float().to(condition.device)
        for number in range(int(k.max())):
            going = torch.nonzero(k > number)[:, 0].to(x.device)
            after = self.advance(model, x[going], torch.full((len(going),), number), condition[going])
            x = x.index_copy(0, going, after)
        return x

    @staticmethod
    def seen_with(channels: int, spatial: int) -> int:
        return spatial

    def seen(self, rows: Tensor, k: Tensor, x: Tensor, x0: Tensor, target: Tensor,
             condition: Tensor) -> tuple[Tensor, Tensor]:
        """Finished latents, of slices and of the student, with a spatial condition."""
        finished = k == len(self.table) - 1
        here = finished.to(x.device)
        whose = spatial_channels(condition[here], x.shape[2:])
        slices = self.slices[rows[finished]].float().to(x.device)
        return torch.cat([slices, whose], dim=1), torch.cat([x0[here], whose], dim=1)


def run(sections: Sequence[FinishConfig], distilled: DistilConfig, design: Design, run: RunFolder) -> None:
    """Train every student of [[finish]], each from the one that [distil] left; none without such a section."""
    if not sections:
        return
    bundle, latents = teacher_bundle(distilled.bundle), design.codecs.latents
    slice_latents.run(latents, run, bundle)
    for number, section in enumerate(sections):
        train(partial(make_task, section, distilled, design, run), section.optimiser, run.settings,
              folder(run, number), made_from(section, distilled, design, run))


def made_from(section: FinishConfig, distilled: DistilConfig, design: Design, run: RunFolder) -> dict[str, Any]:
    """What the weights depend on."""
    latents, student = design.codecs.latents, distil.made_from(distilled, design, run)
    return {**plain(section), "start": checkpoint.weights_sha256(run.own(distil.STAGE), distil.STAGE, student),
            "trajectories": student["trajectories"],
            "slices": slice_latents.fingerprint(latents, run, teacher_bundle(distilled.bundle)), **run.record}


def folder(run: RunFolder, number: int) -> Path:
    """Where a student is trained: `finish-<number>` in the run's folder."""
    return run.own(f"{STAGE}-{number}")


def make_task(section: FinishConfig, distilled: DistilConfig, design: Design, run: RunFolder) -> FinishTask:
    """The task of a [[finish]] section. Raises InputError where [distil] has left no student, or where the processes
    would not have equally many finished latents to show to the critic."""
    bundle, settings, moved = teacher_bundle(distilled.bundle), run.settings, design.codecs.latents
    processes = settings.devices * settings.nodes
    if processes > 1 and section.optimiser.batch_size % (processes * distilled.steps):
        raise InputError(f"finish: found batch_size {section.optimiser.batch_size} for {processes} processes, expected "
                         f"a multiple of {processes * distilled.steps}: of their number times distil.steps.")
    assert bundle.manifest.schedule is not None  # a generator has it: the manifest was checked
    training, unseen = (trajectories.load_trajectories(distilled, moved, run, subset)
                        for subset in trajectories.SUBSETS)
    latents = slice_latents.load(moved, run, bundle)
    order = trajectories.order_told(settings.seed, len(latents))
    slices = latents[order[np.arange(len(training)) % len(latents)]]
    how = replace(distilled, optimiser=section.optimiser, critic_weight=section.critic_weight, critic_start=0,
                  critic_channels=section.critic_channels, critic_penalty=section.critic_penalty)
    return FinishTask(how, distil.trained_student(distilled, design, run),
                      bundle.manifest.schedule.noise_schedule(), training, unseen, slices)


def trained_student(sections: Sequence[FinishConfig], distilled: DistilConfig, design: Design, run: RunFolder
                    ) -> Denoiser:
    """The student of the bundle, frozen, in evaluation mode: the mean of those of [[finish]], or that of [distil] where
    there are none. Raises InputError for one that has not been trained, or was made from something else."""
    student = distil.trained_student(distilled, design, run)
    if not sections:
        return student
    for number, section in enumerate(sections):  # that each is there and fits
        checkpoint.load_weights(student, folder(run, number), STAGE, made_from(section, distilled, design, run))
    parts = [checkpoint.load_tensors(folder(run, number) / checkpoint.MODEL) for number in range(len(sections))]
    mean = {name: torch.stack([part[name].double() for part in parts]).mean(0) for name in parts[0]}
    student.load_state_dict({name: value.to(parts[0][name].dtype) for name, value in mean.items()})
    return student
