"""The latent diffusion model. What conditions it, and how, stands in `conditions` and `networks.denoiser`.

symbol   meaning
x0       standardised image latent, drawn anew each step: (mean + deviation * noise - m) / s per channel
a, sig   sqrt(abar_t) and sqrt(1 - abar_t)
x_t      a * x0 + sig * eps
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from cldm_runtime.diffusion.samplers import ddim, denoiser, no_noise
from cldm_runtime.diffusion.schedule import NoiseSchedule, PredictionType
from cldm_runtime.errors import InputError
from cldm_runtime.files.digest import sha256_of
from cldm_runtime.files.records import plain
from cldm_runtime.metrics.realism import latent_spread

from ..conditions.encoders import make_model
from ..config import Config, DiffusionConfig
from ..networks import Affine, AttributeTokens, Codec, Conditioned, Denoiser, LabelVectorEncoder, MaskEncoder
from ..training import checkpoint
from ..training.batches import in_batches, step_generator
from ..training.log import grey, montage
from ..training.loop import Step, train
from ..training.losses import diffusion_target, min_snr_weight
from . import label_vae
from . import latents as latents_stage
from .codec import IMAGE_STAGE, MASK_STAGE
from .condition_tables import SUBSETS, Rows, Sources, Table, prepare_encoder, tables
from .latents import Latents, load_affines, load_latents, trained_codec

STAGE = "diffusion"
_PICTURES = 8
_SPREAD_SLICES = 32
_OF_THE_TRUNK = ("channels", "residual_blocks", "norm_groups", "objective", "schedule", "timesteps", "beta_start",
                 "beta_end", "zero_terminal_snr")
_OF_THE_BASE = (*_OF_THE_TRUNK, "attention", "head_channels")


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
    return schedule.zero_terminal_snr() if config.zero_terminal_snr else schedule


class DiffusionTask:
    """Mean squared error on v, epsilon, x0 or a flow, optionally with min-SNR weights. x0 is never clipped."""

    critic = None
    critic_rate = 0.0

    def __init__(self, config: DiffusionConfig, model: nn.Module, latents: Mapping[str, Latents],
                 conditions: Mapping[str, Table], image: Affine, image_codec: Codec) -> None:
        """latents and conditions: of "train" and "val", in one order."""
        self.config, self.model, self.conditions = config, model, conditions
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
                own: Callable[[Tensor], Tensor], dropped: Tensor | None = None) -> Tensor:
        """Weighted squared error of each sample, of those that `own` takes to the model's device.

        dropped (N,): which samples are denoised without their condition.
        """
        eps = torch.randn(x0.shape, generator=generator)
        a, sig = (values[t].reshape(-1, 1, 1, 1) for values in (self.alpha, self.sigma))
        target = diffusion_target(self.config.objective, x0, eps, a, sig)
        inputs = [(a * x0 + sig * eps), t.float(), *sources]
        said = model(*(own(value) for value in inputs), dropped=None if dropped is None else own(dropped))
        weight = min_snr_weight(self.config.objective, a, sig, self.config.min_snr_gamma)
        errors: Tensor = own(weight) * (said - own(target)).square()
        return errors.mean((1, 2, 3))

    def loss(self, model: nn.Module, critic: nn.Module | None, step: Step) -> tuple[Tensor, dict[str, Tensor]]:
        x0, sources = self._batch("train", step.rows, step.generator)
        # Stratified over the batch: one timestep from each of N equal parts, in random order of samples.
        n = len(x0)
        u = (torch.arange(n) + torch.rand(n, generator=step.generator)) / n
        t = (_skewed(u, self.config.noisy_timesteps) * self.config.timesteps).long()
        t = t.clamp_max(self.config.timesteps - 1)
        sources = self._hide_values(sources, step.generator)
        share = self.config.condition_dropout
        dropped = torch.rand(n, generator=step.generator) < share if share > 0 else None
        return self._errors(model, x0, sources, t, step.generator, step.own, dropped).mean(), {}

    def _hide_values(self, sources: Sources, generator: torch.Generator) -> Sources:
        """Attributes and where they are defined, some of them as if they were not: what is unknown at generation, such
        as the position of a single slice, must have been unknown in training too."""
        share = self.config.value_dropout
        if self.config.condition != "attributes" or share == 0.0:
            return sources
        attributes, defined = sources
        kept = defined * (torch.rand(defined.shape, generator=generator) >= share)
        return attributes * kept, kept

    def critic_loss(self, critic: nn.Module, step: Step) -> Tensor | None:
        return None

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """The loss on unseen patients, and by quarters of the timesteps; the same noise every time."""
        errors, times = [], []
        for number, part in enumerate(in_batches(len(self.validation), 32)):
            generator = step_generator(0, number)
            x0, sources = self._batch("val", part, generator)
            t = torch.linspace(0, self.config.timesteps - 1, len(x0)).long()
            errors.append(self._errors(model, x0, sources, t, generator, lambda value: value.to(device)).cpu())
            times.append(t)
        error, quarter = torch.cat(errors), torch.cat(times) * 4 // self.config.timesteps
        parts = {f"loss_quarter_{q + 1}": float(error[quarter == q].mean()) for q in range(4)}
        return {"loss": float(error.mean()), **parts, "latent_spread": self._spread(model, device)}

    def _spread(self, model: nn.Module, device: torch.device) -> float:
        """Deviation of samples over that of real latents of the same slices: below 1 the samples have shrunk."""
        rows = np.linspace(0, len(self.validation) - 1, min(_SPREAD_SLICES, len(self.validation))).astype(int)
        real, sources = self._batch("val", rows, step_generator(0, 0))
        drawn = self.sample(model, sources, len(rows), 0, device)
        return float(np.mean(latent_spread(drawn.numpy(), real.numpy())))

    def sample(self, model: nn.Module, sources: Sources, count: int, seed: int, device: torch.device) -> Tensor:
        """Deterministic DDIM from the sources of `count` conditions to standardised image latents."""
        table = self.schedule.step_table(self.config.sample_steps, spacing="trailing")
        shape = (count, *self.training.mean.shape[1:])
        start = torch.randn(shape, generator=step_generator(seed, 0)).numpy()
        told = [source.to(device) for source in sources]

        def predict(x: NDArray[np.floating], timestep: int) -> NDArray[np.float32]:
            t = torch.full((len(x),), float(timestep), device=device)
            said = model(torch.as_tensor(x, dtype=torch.float32, device=device), t, *told)
            return np.asarray(said.cpu().numpy(), dtype=np.float32)

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


def make_task(config: Config) -> DiffusionTask:
    """The task on the latents of the run, or of the run that lends its codecs."""
    folder = config.codecs_folder / latents_stage.STAGE
    latents = {subset: load_latents(folder, subset) for subset in SUBSETS}
    told, image_codec, image = tables(config), trained_codec(config, IMAGE_STAGE), load_affines(folder)[0]
    model = make_model(config)
    if config.diffusion.start:
        _begin_with_trunk(config, model.denoiser if isinstance(model, Conditioned) else model)
    if isinstance(model, Conditioned):
        prepare_encoder(model.encoder, told["train"])
        if model.denoiser.controlnet is not None:
            model.denoiser.control(unconditional_base(config))
    return DiffusionTask(config.diffusion, model, latents, told, image, image_codec)


def run(config: Config) -> None:
    """Encode the cohort if that is not done, then train the denoiser."""
    latents_stage.run(config)
    folder = config.run_folder / STAGE
    resolved = plain(config.diffusion) | {"latents": latents_stage.fingerprint(config)} | _depends_on(config)
    train(lambda: make_task(config), config.diffusion.optimiser, config.run, folder, resolved)


def _depends_on(config: Config) -> dict[str, Any]:
    """What the weights depend on besides the latents."""
    facts: dict[str, Any] = {}
    if config.diffusion.start:
        facts["begun_with"] = sha256_of(_require_trunk(config) / checkpoint.MODEL)
    if config.diffusion.condition == "label-vae":
        label_vae.trained_label_vae(config)  # says what to run where there is none
        facts["label_vae"] = sha256_of(config.run_folder / label_vae.STAGE / checkpoint.MODEL)
    if config.diffusion.condition == "control":
        unconditional_base(config)
        facts["control"] = plain(config.control)
        facts["base"] = sha256_of(base_folder(config) / checkpoint.MODEL)
    return facts


def base_folder(config: Config) -> Path:
    """The diffusion stage of the run that `control.base` names."""
    return Path(config.run.folder) / config.control.base / STAGE


def unconditional_base(config: Config) -> Denoiser:
    """The trained unconditional denoiser that a ControlNet stands on.

    Raises InputError where it has not been trained, or differs in its architecture, schedule or latents from what this
    configuration says.
    """
    folder = _require_denoiser(config, config.control.base, _OF_THE_BASE)
    if _condition_of(folder) != "none":
        raise InputError(f"{folder}: its condition is {_condition_of(folder)}. Name a run with diffusion.condition = "
                         "\"none\" as control.base.")
    base = Denoiser(config.image_codec.latent_channels, (),
                    replace(config.diffusion, condition="none", condition_dropout=0.0))
    checkpoint.load_weights(base, folder, STAGE)
    return base


def _begin_with_trunk(config: Config, denoiser: Denoiser) -> None:
    """Fill a denoiser from the run that `diffusion.start` names. Raises InputError where that cannot be."""
    folder = _require_trunk(config)
    condition, weights = _condition_of(folder), load_file(folder / checkpoint.MODEL)
    if condition not in ("none", "mask"):
        raise InputError(f"{folder}: its condition is {condition}. Name a run whose diffusion.condition is none or "
                         "mask as diffusion.start.")
    was = checkpoint.begun_with(folder)
    section = replace(config.diffusion, condition=condition, condition_dropout=0.1 if "null" in weights else 0.0,
                      attention=tuple(was["attention"]), head_channels=was["head_channels"])
    shape = (len(weights["null"]),) if "null" in weights else (config.mask_codec.latent_channels,)
    trunk = Denoiser(config.image_codec.latent_channels, shape if condition == "mask" else (), section)
    try:
        trunk.load_state_dict(weights)
        denoiser.begin_with(trunk)
    except (ValueError, RuntimeError) as error:
        raise InputError(f"{folder}: cannot be diffusion.start of this run: {error}.") from error


def _require_trunk(config: Config) -> Path:
    """The diffusion stage that `diffusion.start` names; it may attend at other levels."""
    return _require_denoiser(config, config.diffusion.start, _OF_THE_TRUNK)


def _require_denoiser(config: Config, run: str, keys: Sequence[str]) -> Path:
    """The diffusion stage of another run, finished, with this run's latents and values of some keys."""
    folder = Path(config.run.folder) / run / STAGE
    same = {key: value for key, value in plain(config.diffusion).items() if key in keys}
    checkpoint.require(folder, STAGE, None, same | {"latents": latents_stage.fingerprint(config)})
    return folder


def inherited_steps(config: Config) -> dict[str, int]:
    """Steps of the denoisers whose weights this one began with or stands on, by run, the nearest first."""
    steps: dict[str, int] = {}
    control = config.diffusion.condition == "control"
    run = config.control.base if control else config.diffusion.start
    while run and run not in steps:
        folder = Path(config.run.folder) / run / STAGE
        steps[run] = int(checkpoint.metadata(folder / checkpoint.MODEL).get("step", 0))
        run = str(checkpoint.begun_with(folder).get("start", ""))
    return steps


def _condition_of(folder: Path) -> str:
    return str(checkpoint.begun_with(folder).get("condition", "mask"))  # older runs had masks only


def trained_model(config: Config) -> Denoiser | Conditioned:
    """The trained denoiser, with its condition's encoder where that learned with it, frozen, in evaluation mode.

    Raises InputError if there is none.
    """
    model = make_model(config)
    checkpoint.load_weights(model, config.run_folder / STAGE, STAGE)
    return model


def trained_denoiser(config: Config) -> Denoiser:
    """The trained denoiser, frozen, in evaluation mode. Raises InputError if there is none."""
    model = trained_model(config)
    return model.denoiser if isinstance(model, Conditioned) else model


def trained_condition_encoder(config: Config) -> nn.Module | None:
    """From what a user has, label maps or attributes, to what the denoiser takes; frozen. None: no condition."""
    kind, model = config.diffusion.condition, trained_model(config)
    encoder: nn.Module | None = model.encoder if isinstance(model, Conditioned) else None
    if kind == "mask":
        affine = load_affines(config.codecs_folder / latents_stage.STAGE)[1]
        encoder = MaskEncoder(trained_codec(config, MASK_STAGE), affine)
    if kind == "label-vae":
        assert isinstance(encoder, AttributeTokens)
        encoder = LabelVectorEncoder(label_vae.trained_label_vae(config), encoder)
    return None if encoder is None else encoder.eval().requires_grad_(False)
