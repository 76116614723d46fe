"""Image codec and mask codec: KL autoencoders on slices and on one-hot label maps."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cldm_runtime.domains.domain import Domain
from cldm_runtime.domains.label_channels import LabelChannels
from cldm_runtime.errors import InputError
from cldm_runtime.files.digest import sha256_of
from cldm_runtime.files.records import plain

from ..config import CodecConfig, CodecSections
from ..networks import Codec, IdentityCodec, discriminator, make_image_codec
from ..training import checkpoint
from ..training.batches import (
    Slices,
    in_batches,
    load_slices,
    one_hot,
    permute_labels,
    samples_at_once,
    turn_and_mirror,
    windows,
)
from ..training.log import grey, montage, planes
from ..training.loop import Step, train_shared
from ..training.losses import (
    channel_dice,
    cross_entropy,
    gradient_l1,
    kl_divergence,
    least_squares_critic,
    least_squares_generator,
    soft_dice,
)
from ..training.run_folder import RunFolder
from .label_scores import Reconstruct, score_labels

IMAGE_STAGE, MASK_STAGE = "image-codec", "mask-codec"
_PICTURES = 8
_VALIDATED = 32  # samples at once, at most


def _noise(codec: CodecConfig, x: Tensor, generator: torch.Generator) -> Tensor:
    """Of the latent's shape for images or label maps (N, channels, *spatial)."""
    sizes = (size // codec.stride for size in x.shape[2:])
    return torch.randn((len(x), codec.latent_channels, *sizes), generator=generator)


def _scripted(path: str) -> nn.Module:
    try:
        network: nn.Module = torch.jit.load(path).eval()  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError) as error:
        raise InputError(f"image_codec.perceptual_network = {path!r}: not a TorchScript file. Save one with torch.jit, "
                         "or set perceptual_weight = 0.") from error
    return network


class ImageCodecTask:
    """L1 + gradients + KL, optionally perceptual and adversarial; soft Dice too where label maps are drawn.

    drawn_labels: what the channels of the samples stand for, where they are label maps.
    """

    def __init__(self, config: CodecConfig, training: Slices, validation: Slices,
                 drawn_labels: LabelChannels | None = None) -> None:
        self.config, self.training, self.validation, self.labels = config, training, validation, drawn_labels
        channels, dims = training.images.shape[1], training.images.ndim - 2
        codec = Codec(channels, config, dims)
        if drawn_labels is not None:
            codec.begin_certain()
        if codec.components is not None:
            codec.components.fit(training.images)
        self.model: nn.Module = codec
        self.critic = discriminator(channels, dims) if config.adversarial_weight > 0 else None
        self.critic_rate = config.adversarial_rate
        self.perceptual = _scripted(config.perceptual_network) if config.perceptual_weight > 0 else None
        self.count = len(training)
        self._pair: tuple[Tensor, Tensor] | None = None  # what the critic is to tell apart

    def loss(self, model: nn.Module, critic: nn.Module | None, step: Step) -> tuple[Tensor, dict[str, Tensor]]:
        c = self.config
        x = self.training.images[step.rows]
        x = windows(x, self.training.masks[step.rows], c.window, step.generator) if c.window else x
        x = 2.0 * x - 1.0
        x = turn_and_mirror(x, step.generator) if c.augment else x
        noise, x = step.own(_noise(c, x, step.generator)), step.own(x)
        y, mu, s = model(x, noise)
        d = y - x
        parts = {"l1": d.abs().mean(), "mse": d.square().mean()}
        parts |= {"gradient": gradient_l1(y, x), "kl": kl_divergence(mu, s)}
        weights = {"l1": c.l1_weight, "mse": c.mse_weight, "gradient": c.gradient_weight, "kl": c.kl_weight}
        if self.labels is not None:
            parts["dice_loss"] = channel_dice(0.5 * (y + 1.0), 0.5 * (x + 1.0))
            weights["dice_loss"] = c.dice_weight
        loss = torch.stack([weight * parts[name] for name, weight in weights.items()]).sum()
        if self.perceptual is not None:
            perceptual = self.perceptual.to(step.device)
            parts["perceptual"] = (perceptual(y) - perceptual(x)).square().mean()
            loss = loss + c.perceptual_weight * parts["perceptual"]
        if critic is not None and step.number >= c.adversarial_start:
            parts["adversarial"] = least_squares_generator(critic(y)[-1])
            loss = loss + c.adversarial_weight * parts["adversarial"]
        self._pair = (x, y.detach())
        return loss, parts

    def critic_loss(self, critic: nn.Module, step: Step) -> Tensor | None:
        if step.number < self.config.adversarial_start or self._pair is None:
            return None
        x, y = self._pair
        return least_squares_critic(critic(x)[-1], critic(y)[-1])

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        total, shared = torch.zeros(2, dtype=torch.float64), []
        for part in in_batches(len(self.validation), samples_at_once(self.validation.images, _VALIDATED)):
            x = self.validation.images[part]
            y = _reconstruct(model, x, device)
            total += torch.stack([(y - x).abs().sum(), (y - x).square().sum()]).double()
            if self.labels is not None:
                shared.append(_overlap(self.labels.binary(y.numpy()), x.numpy() > 0.5))
        l1, mse = (total / self.validation.images.numel()).tolist()
        dice = {} if self.labels is None else dict(zip(self.labels.names, _dice(np.sum(shared, axis=0)), strict=True))
        return {"l1": l1, "psnr_db": -10.0 * float(np.log10(max(mse, 1e-12))),
                **{f"dice_{name}": value for name, value in dice.items()}}

    def picture(self, model: nn.Module, device: torch.device) -> NDArray[np.uint8]:
        """Slices, their reconstructions, and five times the difference."""
        x = _spread(self.validation.images)
        y = _reconstruct(model, x, device)
        return montage([grey(x.numpy()), grey(y.numpy()), grey((0.5 + 5.0 * (y - x)).numpy())])


def _reconstruct(model: nn.Module, images: Tensor, device: torch.device) -> Tensor:
    """Images in [0, 1] through the mean of the latent."""
    assert isinstance(model, Codec)
    return 0.5 * (model.decode(model.encode(2.0 * images.to(device) - 1.0)[0]) + 1.0).cpu()


def _overlap(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(3, C) voxels of each channel in both, and in each, of maps (N, C, *spatial)."""
    axes = (0, *range(2, found.ndim))
    return np.stack([(found & truth).sum(axes), found.sum(axes), truth.sum(axes)])


def _dice(overlap: NDArray[np.int64]) -> list[float]:
    """Of each channel, pooled; NaN where it is empty in both."""
    both, found, truth = overlap.astype(np.float64)
    with np.errstate(invalid="ignore"):
        return list((2.0 * both / (found + truth)).tolist())


def _spread(x: Tensor) -> Tensor:
    """A few samples, from all over the subset."""
    return x[np.linspace(0, len(x) - 1, min(_PICTURES, len(x))).astype(int)]


class MaskCodecTask:
    """Cross-entropy + soft Dice + KL on one-hot label maps, never on raw label numbers."""

    critic = None
    critic_rate = 0.0

    def __init__(self, config: CodecConfig, domain: Domain, training: Slices, validation: Slices) -> None:
        self.config, self.training, self.validation = config, training, validation
        self.labels = domain.labels
        self.model: nn.Module = Codec(len(self.labels), config, training.masks.ndim - 1)
        self.count = len(training)

    def loss(self, model: nn.Module, critic: nn.Module | None, step: Step) -> tuple[Tensor, dict[str, Tensor]]:
        maps = self.training.masks[step.rows][:, None]
        maps = turn_and_mirror(maps, step.generator) if self.config.augment else maps
        labels = permute_labels(maps[:, 0], len(self.labels), self.config.relabel, step.generator)
        noise, labels = step.own(_noise(self.config, maps, step.generator)), step.own(labels)
        x = one_hot(labels, len(self.labels))
        logits, mu, s = model(x, noise)
        entropy, dice, kl = cross_entropy(logits, labels), soft_dice(logits, x), kl_divergence(mu, s)
        loss = entropy + self.config.dice_weight * dice + self.config.kl_weight * kl
        return loss, {"cross_entropy": entropy, "dice_loss": dice, "kl": kl}

    def critic_loss(self, critic: nn.Module, step: Step) -> Tensor | None:
        return None

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Dice of each label that occurs, pooled over the subset, and the wrong pixels of a slice.

        worst_dice_relabelled: the least Dice of a label after the foreground labels have been shifted by one, so that
        labels which do not occur in the subset are tried too.
        """
        masks, names = self.validation.masks, self.labels.names
        shifted = torch.where(masks > 0, masks % (len(names) - 1) + 1, masks)
        dice, wrong = score_labels(self._reconstruct(model, device), masks, len(names))
        worst = min(score_labels(self._reconstruct(model, device), shifted, len(names))[0].values())
        figures = {f"dice_{names[label]}": value for label, value in dice.items()}
        return figures | {"wrong_pixels": wrong, "worst_dice_relabelled": worst}

    def _reconstruct(self, model: nn.Module, device: torch.device) -> Reconstruct:
        return lambda masks: _reconstruct_labels(model, masks, len(self.labels), device)

    def picture(self, model: nn.Module, device: torch.device) -> NDArray[np.uint8]:
        """Label maps, their reconstructions, and where they differ."""
        labels = _spread(self.validation.masks)
        labels_in, labels_out = planes(labels.numpy()), planes(self._reconstruct(model, device)(labels).numpy())
        colours = np.array(self.labels.colours, dtype=np.uint8)
        return montage([colours[labels_in], colours[labels_out], 255 * (labels_in != labels_out).astype(np.uint8)])


def _reconstruct_labels(model: nn.Module, labels: Tensor, classes: int, device: torch.device) -> Tensor:
    assert isinstance(model, Codec)
    x = one_hot(labels, classes).to(device)
    return model.decode(model.encode(x)[0]).argmax(1).to(torch.uint8).cpu()


def run_image_codec(section: CodecConfig, run: RunFolder) -> None:
    """Train the codec of what the generator draws, images or label maps, on the training subset. Raises InputError for
    an identity."""
    _require_network(section, IMAGE_STAGE)
    cohort = run.cohort
    train_shared(lambda: ImageCodecTask(section, cohort.drawn("train"), cohort.drawn("val"), cohort.drawn_labels),
                 IMAGE_STAGE, section.optimiser, run, image_codec_made_from(section, run))


def image_codec_made_from(section: CodecConfig, run: RunFolder) -> dict[str, Any]:
    """What the weights depend on, with the content of the perceptual network."""
    used = section.perceptual_weight > 0 and Path(section.perceptual_network).is_file()
    perceptual = {"perceptual_sha256": sha256_of(Path(section.perceptual_network))} if used else {}
    drawn = {} if run.cohort.drawn_labels is None else {"drawn": list(run.cohort.drawn_labels.names)}
    return {**plain(section), **perceptual, **drawn, **run.record}


def run_mask_codec(section: CodecConfig, run: RunFolder) -> None:
    """Train the mask codec on the training subset. Raises InputError for an identity."""
    _require_network(section, MASK_STAGE)
    path, domain = run.cohort.file, run.cohort.domain
    train_shared(lambda: MaskCodecTask(section, domain, load_slices(path, "train"), load_slices(path, "val")),
                 MASK_STAGE, section.optimiser, run, mask_codec_made_from(section, run))


def mask_codec_made_from(section: CodecConfig, run: RunFolder) -> dict[str, Any]:
    """What the weights depend on."""
    return {**plain(section), **run.record}


def _require_network(section: CodecConfig, stage: str) -> None:
    if section.is_identity:
        raise InputError(f"{stage}: the codec is the identity, which has nothing to train. Leave the stage out.")


def codec_stages(sections: CodecSections, run: RunFolder) -> dict[str, CodecConfig]:
    """The stages that train a codec of the run, and their sections; none for identities, and none of label maps where
    these are drawn."""
    stages = {IMAGE_STAGE: sections.image} | ({MASK_STAGE: sections.mask} if run.cohort.drawn_labels is None else {})
    return {stage: section for stage, section in stages.items() if not section.is_identity}


def trained_image_codec(section: CodecConfig, run: RunFolder) -> Codec | IdentityCodec:
    """The trained image codec, frozen, in evaluation mode. Raises InputError if there is none, or if an identity is
    for another number of channels than the cohort's images have."""
    codec = make_image_codec(section, run.cohort.drawn_channels, run.cohort.dims)
    if isinstance(codec, IdentityCodec):
        if codec.latent_channels != section.latent_channels:
            raise InputError(f"image_codec.latent_channels: found {section.latent_channels}, but the images of "
                             f"{run.cohort.file} have {codec.latent_channels} channel(s), and the codec is the "
                             f"identity. Set latent_channels = {codec.latent_channels}.")
        return codec.eval()
    checkpoint.load_weights(codec, run.lent(IMAGE_STAGE), IMAGE_STAGE, image_codec_made_from(section, run))
    return codec


def trained_mask_codec(section: CodecConfig, run: RunFolder) -> Codec:
    """The trained mask codec, frozen, in evaluation mode. Raises InputError if there is none."""
    codec = Codec(run.cohort.classes, section, run.cohort.dims)
    checkpoint.load_weights(codec, run.lent(MASK_STAGE), MASK_STAGE, mask_codec_made_from(section, run))
    return codec
