"""A denoiser of few steps from one of many: a student learns where a bundle's trajectories lead.

symbol      meaning
x, x_next   states of a trajectory at two neighbouring steps of the student (`trajectories.py`), (N, C, *latent)
a, s        alpha and sigma of the first; a_next, s_next: of the second, which is 1, 0 at the end
x0          clean latent that leads from x to x_next in one DDIM step: x_next = a_next x0 + s_next (x - a x0) / s

That is progressive distillation (Salimans and Ho, arXiv 2202.00512) in a single round, on trajectories of the guided
teacher instead of noised data, so that guidance is distilled as well (Meng et al., arXiv 2210.03142). A squared
error alone shrinks what the student cannot follow; a critic of x0 given (x, condition, step), trained against the
student as the texture's is, gives it back.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from cldm_runtime.diffusion.schedule import NoiseSchedule, StepTable, clean_image
from cldm_runtime.files.records import plain

from ..conditions.kind import Design
from ..config import DistilConfig
from ..networks import Denoiser
from ..networks.latent_critic import LatentCritic
from ..networks.rank import per_channel, spatial_axes
from ..training import checkpoint
from ..training.batches import in_batches
from ..training.log import grey, montage
from ..training.loop import Step, train
from ..training.losses import fooled, relativistic_critic
from ..training.run_folder import RunFolder
from . import trajectories as trajectories_stage
from .from_bundle import load_denoiser, teacher_bundle
from .trajectories import Trajectories, load_trajectories

STAGE = "distil"
_PICTURES = 8
_BATCH = 32
_HIGH = 0.25  # cycles per latent pixel: above is what shrinks first


class DistilTask:
    """See the module. `schedule` is the teacher's."""

    def __init__(self, config: DistilConfig, student: Denoiser, schedule: NoiseSchedule,
                 training: Trajectories, unseen: Trajectories) -> None:
        self.config, self.schedule = config, schedule
        self.model: nn.Module = student.train().requires_grad_(True)
        self.table = schedule.step_table(config.steps, "trailing")
        every = config.states // config.steps
        self.training, self.unseen = (Trajectories(part.x[:, ::every], part.condition) for part in (training, unseen))
        self.count = len(training)
        channels, condition = training.x.shape[2], training.condition
        self.critic: nn.Module | None = None
        if config.critic_weight > 0:
            dims = training.x.ndim - 3
            seen_with = self.seen_with(channels, condition.shape[1] if condition.ndim == dims + 2 else 0)
            self.critic = LatentCritic(channels + seen_with, config.critic_channels, dims)
        self.critic_rate = config.optimiser.learning_rate
        self._pair: tuple[Tensor, Tensor] | None = None  # what the critic saw last: the preferred, and the student's

    def loss(self, model: nn.Module, critic: nn.Module | None, step: Step) -> tuple[Tensor, dict[str, Tensor]]:
        n, steps = len(step.rows), len(self.table)
        first = int(torch.randint(0, steps, (1,), generator=step.generator))
        k = ((torch.arange(n) + first) % steps)[step.share]  # every step of the student as often as the others
        rows = torch.from_numpy(step.rows[step.share])
        condition = self.training.condition[rows].float().to(step.device)
        x = self.before(model, rows, k, condition)
        x_next = self.training.x[rows, k + 1].float().to(step.device)
        a, s, a_next, s_next = (value.to(step.device) for value in levels(self.table, k, x.ndim - 2))
        x0 = self.predict(model, x, k, condition)
        target = (x_next - s_next / s * x) / (a_next - a * s_next / s)
        # One unit of x0 moves the next state by (a_next - a s_next / s), one unit of v moves x0 by s.
        error = ((x0 - target) / s).square().mean()
        parts = {"error": error.detach()}
        if critic is None or step.number < self.config.critic_start:
            self._pair = None
            return error, parts
        seen_target, seen = self.seen(rows, k, x, x0, target, condition)
        if not len(seen):  # a batch of fewer samples than steps
            self._pair = None
            return error, parts
        self._pair = seen_target, seen.detach()
        deceit = fooled(critic, seen, seen_target)
        return error + self.config.critic_weight * deceit, parts | {"fooled": deceit.detach()}

    def critic_loss(self, critic: nn.Module, step: Step) -> Tensor | None:
        if self._pair is None:
            return None
        preferred, seen = self._pair
        return relativistic_critic(critic, preferred, seen, step.number, self.config.critic_penalty)

    def before(self, model: nn.Module, rows: Tensor, k: Tensor, condition: Tensor) -> Tensor:
        """States (N, C, *latent) before steps k of trajectories `rows`: the teacher's."""
        return self.training.x[rows, k].float().to(condition.device)

    @staticmethod
    def seen_with(channels: int, spatial: int) -> int:
        """How many channels the critic sees in addition to the `channels` of a clean latent."""
        return channels + spatial + 1

    def seen(self, rows: Tensor, k: Tensor, x: Tensor, x0: Tensor, target: Tensor,
             condition: Tensor) -> tuple[Tensor, Tensor]:
        """What the critic is shown, as channels: the preferred latents and the student's, with the state, a spatial
        condition, and how far the run has come."""
        far = per_channel((k / len(self.table)).to(x)[:, None], x.ndim - 2).expand(-1, 1, *x.shape[2:])
        whose = torch.cat([x, spatial_channels(condition, x.shape[2:]), far], dim=1)
        return torch.cat([target, whose], dim=1), torch.cat([x0, whose], dim=1)

    def predict(self, model: nn.Module, x: Tensor, k: Tensor, condition: Tensor) -> Tensor:
        """x0 (N, C, *latent) at steps k (N,) of the student."""
        t = torch.from_numpy(self.table.timesteps)[k].float().to(x.device)
        a, s, _, _ = (value.to(x.device) for value in levels(self.table, k, x.ndim - 2))
        x0: Tensor = clean_image(self.schedule.prediction_type, model(x, t, condition).float(), x, a, s)
        return x0

    @torch.no_grad()
    def sample(self, model: nn.Module, rows: slice | NDArray[np.int64], device: torch.device) -> Tensor:
        """Finished latents from the noise and conditions of some unseen trajectories."""
        x = self.unseen.x[rows, 0].float().to(device)
        condition = self.unseen.condition[rows].float().to(device)
        for number in range(len(self.table)):
            x = self.advance(model, x, torch.full((len(x),), number), condition)
        return x.cpu()

    def advance(self, model: nn.Module, x: Tensor, k: Tensor, condition: Tensor) -> Tensor:
        """The states (N, C, *latent) behind steps k (N,) of the student."""
        a, s, a_next, s_next = (value.to(x.device) for value in levels(self.table, k, x.ndim - 2))
        x0 = self.predict(model, x, k, condition)
        return a_next * x0 + s_next * (x - a * x0) / s

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Whole runs against the teacher's: mean squared distance, and deviation and high-frequency power as shares of
        the teacher's."""
        teacher_latents = self.unseen.x[:, -1].float()
        drawn = torch.cat([self.sample(model, part, device) for part in in_batches(len(teacher_latents), _BATCH)])
        axes = (0, *spatial_axes(drawn))
        return {"distance": float((drawn - teacher_latents).square().mean()),
                "latent_spread": float((drawn.std(axes) / teacher_latents.std(axes)).mean()),
                "high_frequency": high_power(drawn) / high_power(teacher_latents)}

    def picture(self, model: nn.Module, device: torch.device) -> NDArray[np.uint8]:
        """The first channel of latents: the teacher's and the student's."""
        rows = np.linspace(0, len(self.unseen) - 1, min(_PICTURES, len(self.unseen))).astype(np.int64)
        pair = self.unseen.x[rows, -1].float(), self.sample(model, rows, device)
        return montage([grey(0.5 + 0.2 * latents[:, :1].numpy()) for latents in pair])


def levels(table: StepTable, k: Tensor, dims: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """alpha and sigma at steps k (N,) of a table, and at the next ones, each (N, 1, *1) with `dims` axes of size 1."""
    alpha, sigma = (per_channel(torch.from_numpy(values).float()[:, None], dims)
                    for values in (table.alpha, table.sigma))
    return alpha[k], sigma[k], alpha[k + 1], sigma[k + 1]


def high_power(latents: Tensor) -> float:
    """Mean power of latents (N, C, *latent) above `_HIGH` cycles per pixel."""
    sizes = latents.shape[2:]
    power = torch.fft.fftn(latents, dim=spatial_axes(latents)).abs().square().mean((0, 1))
    grid = torch.meshgrid(*(torch.fft.fftfreq(size) for size in sizes), indexing="ij")
    return float(power[torch.stack(grid).square().sum(0).sqrt() > _HIGH].mean())


def spatial_channels(condition: Tensor, size: Sequence[int]) -> Tensor:
    """A condition as channels (N, C, *size); none of a vector."""
    if condition.ndim == len(size) + 2:
        return functional.interpolate(condition, tuple(size))
    return condition.new_empty((len(condition), 0, *size))


def make_task(section: DistilConfig, design: Design, run: RunFolder) -> DistilTask:
    """The task on the run's trajectories; the student begins as the teacher."""
    bundle = teacher_bundle(section.bundle)
    assert bundle.manifest.schedule is not None  # a generator has it: the manifest was checked
    training, unseen = (load_trajectories(section, design.codecs.latents, run, subset)
                        for subset in trajectories_stage.SUBSETS)
    schedule = bundle.manifest.schedule.noise_schedule()
    return DistilTask(section, load_denoiser(design.diffusion, bundle), schedule, training, unseen)


def run(section: DistilConfig, design: Design, run: RunFolder) -> None:
    """Walk the trajectories if that is not done, then train the student."""
    trajectories_stage.run(section, design, run)
    train(lambda: make_task(section, design, run), section.optimiser, run.settings, run.own(STAGE),
          made_from(section, design, run))


def made_from(section: DistilConfig, design: Design, run: RunFolder) -> dict[str, Any]:
    """What the student's weights depend on."""
    recipe = trajectories_stage.recipe(section, design.codecs.latents, run)
    return {**plain(section), "trajectories": recipe, **run.record}


def trained_student(section: DistilConfig, design: Design, run: RunFolder) -> Denoiser:
    """The trained student, frozen, in evaluation mode. Raises InputError if there is none."""
    student = load_denoiser(design.diffusion, teacher_bundle(section.bundle))
    checkpoint.load_weights(student, run.own(STAGE), STAGE, made_from(section, design, run))
    return student
