"""The latent diffusion model. `conditions` holds what conditions it, `networks.denoiser` how the U-Net takes that.

symbol   meaning
x0       standardised image latent, drawn again each step: (mean + deviation * noise - m) / s per channel
a, sig   sqrt(abar_t) and sqrt(1 - abar_t)
x_t      a * x0 + sig * eps
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cldm_runtime.diffusion.samplers import ddim, denoiser, no_noise
from cldm_runtime.diffusion.schedule import NoiseSchedule, PredictionType, clean_image
from cldm_runtime.files.digest import sha256_of
from cldm_runtime.files.records import plain
from cldm_runtime.metrics.realism import latent_spread

from ..conditions.kind import SUBSETS, Design, Rows, Table
from ..conditions.models import make_model
from ..conditions.registry import KINDS
from ..config import DiffusionConfig
from ..networks import Affine, Codec, Conditioned, Denoiser, IdentityCodec
from ..networks.rank import per_channel, spatial_axes
from ..training import checkpoint
from ..training.batches import in_batches, step_generator
from ..training.log import grey, montage
from ..training.loop import Step, train
from ..training.losses import diffusion_target, min_snr_weight
from ..training.run_folder import RunFolder
from . import latents as latents_stage
from . import reward as reward_stage
from .bases import STAGE, begin_with_trunk, require_trunk
from .codec import trained_image_codec
from .latents import Latents, load_affines, load_latents
from .lineage import INHERITED, inheritance
from .moved import label_maps
from .reward import Reward
from .trained import TrainedStages

_PICTURES = 8
_SPREAD_SLICES = 32
Sources = tuple[Tensor, ...]


def noise_schedule(config: DiffusionConfig) -> NoiseSchedule:
    """The schedule that training uses and that the manifest gets."""
    objective = cast(PredictionType, config.objective)  # load_config has checked it
    if config.schedule == "flow":
        return NoiseSchedule.flow(config.timesteps, prediction_type=objective)
    if config.schedule == "cosine":
        schedule = NoiseSchedule.cosine(config.timesteps, prediction_type=objective)
    else:
        make = NoiseSchedule.linear if config.schedule == "linear" else NoiseSchedule.scaled_linear
        schedule = make(config.timesteps, config.beta_start, config.beta_end, prediction_type=objective)
    schedule = schedule.shifted(config.shifted_for) if config.shifted_for else schedule
    return schedule.zero_terminal_snr() if config.zero_terminal_snr else schedule


class DiffusionTask:
    """Mean squared error on v, epsilon, x0 or a flow, optionally with min-SNR weights, and with a reward. x0 is never
    clipped."""

    critic = None
    critic_rate = 0.0

    def __init__(self, config: DiffusionConfig, model: nn.Module, latents: Mapping[str, Latents],
                 conditions: Mapping[str, Table], image: Affine,
                 image_codec: Codec | IdentityCodec, reward: Reward | None = None,
                 maps: Mapping[str, Tensor] | None = None) -> None:
        """latents, conditions and maps, the label maps that the reward needs: of "train" and "val", in one order."""
        self.reward, self.maps = reward, maps or {}
        self.config, self.kind, self.model, self.conditions = config, KINDS[config.condition], model, conditions
        self.training, self.validation = latents["train"], latents["val"]
        self.image_affine, self.image_codec = image, image_codec
        self.schedule = noise_schedule(config)
        # Rounded last: in single precision, 1 - abar would lose the sigma of the cleanest steps.
        self.alpha, self.sigma = (torch.from_numpy(values).float() for values in
                                  self.schedule.alpha_sigma(np.arange(config.timesteps)))
        self.count = len(self.training)

    def _batch(self, subset: str, rows: Rows, generator: torch.Generator) -> tuple[Tensor, Sources]:
        latents = self.training if subset == "train" else self.validation
        mean, deviation = latents.mean[rows].float(), latents.deviation[rows].float()
        z = mean + deviation * torch.randn(mean.shape, generator=generator)
        return self.image_affine.standardise(z), self.conditions[subset](rows)

    def _errors(self, model: nn.Module, x0: Tensor, sources: Sources, t: Tensor, generator: torch.Generator,
                own: Callable[[Tensor], Tensor], dropped: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Weighted squared error of each sample, and the clean latent that the step leads to, of those that `own` takes
        to the model's device.

        dropped (N,): which samples are denoised without their condition.
        """
        eps = torch.randn(x0.shape, generator=generator)
        a, sig = (per_channel(values[t][:, None], x0.ndim - 2) for values in (self.alpha, self.sigma))
        target = diffusion_target(self.config.objective, x0, eps, a, sig)
        inputs = [(a * x0 + sig * eps), t.float(), *sources]
        prediction = model(*(own(value) for value in inputs), dropped=None if dropped is None else own(dropped))
        config = self.config
        weight = min_snr_weight(config.objective, a, sig, config.min_snr_gamma, config.least_snr_weight)
        errors: Tensor = own(weight) * (prediction - own(target)).square()
        objective = cast(PredictionType, config.objective)
        denoised: Tensor = clean_image(objective, prediction, own(inputs[0]), own(a), own(sig))
        axes, places = (1, *spatial_axes(errors)), self._counted(sources, tuple(x0.shape[2:]))
        if places is None:
            return errors.mean(axes), denoised
        counted = own(places).expand_as(errors)
        return (errors * counted).sum(axes) / counted.sum(axes).clamp_min(1.0), denoised

    def _rewarded(self, subset: str, rows: Rows, sources: Sources, denoised: Tensor, counts: Tensor,
                  own: Callable[[Tensor], Tensor]) -> Tensor:
        """The reward's loss, a mean over the batch, of the samples that count."""
        assert self.reward is not None
        near, labels = own(counts), own(self.maps[subset][rows])
        if not bool(near.any()):
            return denoised.new_zeros(())
        places = self.kind.places(sources, tuple(labels.shape[1:]))
        there = None if places is None else own(places)[near]
        return self.reward.loss(denoised[near], labels[near], there) * near.to(denoised.dtype).mean()

    def _counted(self, sources: Sources, latent_shape: tuple[int, ...]) -> Tensor | None:
        """(N, 1, *latent) how much errors count at each place; None: everywhere as much. It depends on the condition
        alone, so the best prediction for a condition is the same; but what small regions need is learned sooner."""
        places, weight = self.kind.places(sources, latent_shape), self.config.region_weight
        if weight == 0.0 or not isinstance(self.model, Conditioned):
            return places
        regions = self.kind.regions(self.model.encoder, sources)
        return places if regions is None else 1.0 + weight * regions

    def loss(self, model: nn.Module, critic: nn.Module | None, step: Step) -> tuple[Tensor, dict[str, Tensor]]:
        x0, sources = self._batch("train", step.rows, step.generator)
        # Stratified over the batch: one timestep from each of N equal parts, in random order of samples.
        n = len(x0)
        u = (torch.arange(n) + torch.rand(n, generator=step.generator)) / n
        t = (_skewed(u, self.config.noisy_timesteps) * self.config.timesteps).long()
        t = t.clamp_max(self.config.timesteps - 1)
        sources = self.kind.hide(sources, self.config.value_dropout, step.generator)
        share = self.config.condition_dropout
        dropped = torch.rand(n, generator=step.generator) < share if share > 0 else None
        errors, denoised = self._errors(model, x0, sources, t, step.generator, step.own, dropped)
        if self.reward is None:
            return errors.mean(), {}
        counts = t < self.reward.section.below * self.config.timesteps
        counts = counts if dropped is None else counts & ~dropped
        rewarded = self._rewarded("train", step.rows, sources, denoised, counts, step.own)
        return errors.mean() + self.reward.section.weight * rewarded, {"reward": rewarded.detach()}

    def critic_loss(self, critic: nn.Module, step: Step) -> Tensor | None:
        return None

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """The loss on unseen patients, and by quarters of the timesteps; the same noise every time. Likewise the
        reward's, by eighths: there it shows up to which noise one step leads to an image that can be read."""
        errors, times, read = [], [], list[list[float]]()
        for number, part in enumerate(in_batches(len(self.validation), 32)):
            generator = step_generator(0, number)
            x0, sources = self._batch("val", part, generator)
            t = torch.linspace(0, self.config.timesteps - 1, len(x0)).long()
            error, denoised = self._errors(model, x0, sources, t, generator, lambda value: value.to(device))
            errors.append(error.cpu())
            times.append(t)
            if self.reward is not None:
                read.append(self._read("val", part, sources, denoised, t * 8 // self.config.timesteps, device))
        error, quarter = torch.cat(errors), torch.cat(times) * 4 // self.config.timesteps
        parts = {f"loss_quarter_{q + 1}": float(error[quarter == q].mean()) for q in range(4)}
        read_parts = {f"reward_eighth_{e + 1}": float(np.nanmean(column)) for e, column in
                      enumerate(zip(*read, strict=True)) if np.isfinite(column).any()}
        return {"loss": float(error.mean()), **parts, **read_parts, "latent_spread": self._spread(model, device)}

    def _read(self, subset: str, rows: Rows, sources: Sources, denoised: Tensor, eighth: Tensor,
              device: torch.device) -> list[float]:
        """The reward's loss by eighths of the timesteps; NaN for one without samples."""
        shares = [eighth == e for e in range(8)]
        return [float(self._rewarded(subset, rows, sources, denoised, share, lambda value: value.to(device)))
                / float(share.float().mean()) if bool(share.any()) else float("nan") for share in shares]

    def _spread(self, model: nn.Module, device: torch.device) -> float:
        """Deviation of samples over that of the same slices' latents: below 1 the samples have shrunk."""
        rows = np.linspace(0, len(self.validation) - 1, min(_SPREAD_SLICES, len(self.validation))).astype(int)
        reference, sources = self._batch("val", rows, step_generator(0, 0))
        drawn = self.sample(model, sources, len(rows), 0, device)
        return float(np.mean(latent_spread(drawn.numpy(), reference.numpy())))

    def sample(self, model: nn.Module, sources: Sources, count: int, seed: int, device: torch.device) -> Tensor:
        """Deterministic DDIM from the sources of `count` conditions to standardised image latents."""
        table = self.schedule.step_table(self.config.sample_steps, spacing="trailing")
        shape = (count, *self.training.mean.shape[1:])
        start = torch.randn(shape, generator=step_generator(seed, 0)).numpy()
        inputs = [source.to(device) for source in sources]

        def predict(x: NDArray[np.floating], timestep: int) -> NDArray[np.float32]:
            t = torch.full((len(x),), float(timestep), device=device)
            prediction = model(torch.as_tensor(x, dtype=torch.float32, device=device), t, *inputs)
            return np.asarray(prediction.cpu().numpy(), dtype=np.float32)

        drawn = ddim(denoiser(predict, self.schedule), start, table, no_noise)
        return torch.from_numpy(np.asarray(drawn, dtype=np.float32))

    @torch.no_grad()
    def picture(self, model: nn.Module, device: torch.device) -> NDArray[np.uint8]:
        """Reconstructions of validation slices, and two samples for the condition of each."""
        rows = np.linspace(0, len(self.validation) - 1, min(_PICTURES, len(self.validation))).astype(int)
        sources = self.conditions["val"](rows)
        drawn = [self.image_affine.restore(self.sample(model, sources, len(rows), seed, device)) for seed in (0, 1)]
        decoded = [0.5 * (self.image_codec.decode(z) + 1.0) for z in (self.validation.mean[rows].float(), *drawn)]
        return montage([grey(image.numpy()) for image in decoded])


def _skewed(u: Tensor, skew: float) -> Tensor:
    """Uniform numbers in 0..1 to numbers of density 1 + skew (2 x - 1): the inverse of (1 - skew) x + skew x^2."""
    if skew == 0.0:
        return u
    return ((1.0 - skew) ** 2 + 4.0 * skew * u).sqrt().sub(1.0 - skew) / (2.0 * skew)


def make_task(design: Design, run: RunFolder) -> DiffusionTask:
    """The task on the latents of the run, or of the run that lends its codecs."""
    kind, trained, codecs = KINDS[design.diffusion.condition], TrainedStages(design, run), design.codecs
    latents = {subset: load_latents(codecs, run, subset) for subset in SUBSETS}
    tables, image_codec = kind.tables(design, trained), trained_image_codec(design.codecs.image, run)
    image, model = load_affines(codecs, run)[0], make_model(design)
    denoiser = _denoiser_of(model)
    if design.diffusion.start:
        begin_with_trunk(design, run, denoiser)
    if isinstance(model, Conditioned):
        kind.fit(model.encoder, tables["train"])
    kind.start(denoiser, trained)
    reward = design.diffusion.reward
    if reward is None:
        return DiffusionTask(design.diffusion, model, latents, tables, image, image_codec)
    maps = {subset: label_maps(codecs.latents, run, subset) for subset in SUBSETS}
    return DiffusionTask(design.diffusion, model, latents, tables, image, image_codec,
                         reward_stage.trained_reward(reward, design, run), maps)


def run(design: Design, run: RunFolder) -> None:
    """Encode the cohort if that is not done, and train the reward's reader, then the denoiser."""
    latents_stage.run(design.codecs, run)
    if design.diffusion.reward:
        reward_stage.run(design.diffusion.reward, design, run)
    if design.diffusion.start:
        require_trunk(design, run)
    train(lambda: make_task(design, run), design.diffusion.optimiser, run.settings, run.own(STAGE),
          made_from(design, run))


def made_from(design: Design, run: RunFolder) -> dict[str, Any]:
    """What the weights depend on. The run that `diffusion.start` names is left out where it is gone."""
    kind = KINDS[design.diffusion.condition]
    made = {**plain(design.diffusion), "latents": latents_stage.fingerprint(design.codecs, run), **run.record,
            **kind.depends_on(design, TrainedStages(design, run))}
    start, parent = run.other(design.diffusion.start, STAGE) / checkpoint.MODEL, kind.parent(design)
    if design.diffusion.start and start.exists():
        made["begun_with"] = sha256_of(start)
    if parent and run.other(parent, STAGE).exists():
        made[INHERITED] = plain(inheritance(run, parent))
    return made


def trained_model(design: Design, run: RunFolder) -> Denoiser | Conditioned:
    """The trained denoiser, with its condition's encoder where that learned with it, frozen, in evaluation mode.

    Raises InputError if there is none.
    """
    model = make_model(design)
    checkpoint.load_weights(model, run.own(STAGE), STAGE, made_from(design, run))
    return model


def trained_denoiser(design: Design, run: RunFolder) -> Denoiser:
    """The trained denoiser, frozen, in evaluation mode. Raises InputError if there is none."""
    return _denoiser_of(trained_model(design, run))


def trained_condition_encoder(design: Design, run: RunFolder) -> nn.Module | None:
    """From what a user has, label maps or attributes, to what the denoiser takes; frozen. None: no condition."""
    model = trained_model(design, run)
    learned = model.encoder if isinstance(model, Conditioned) else None
    encoder = KINDS[design.diffusion.condition].trained_encoder(learned, TrainedStages(design, run))
    return None if encoder is None else encoder.eval().requires_grad_(False)


def _denoiser_of(model: Denoiser | Conditioned) -> Denoiser:
    return model.denoiser if isinstance(model, Conditioned) else model
