"""A VAE of label maps, whose latent vector conditions the denoiser (strategy 1.2 of the cLDM paper); with
`attribute_weight` above 0 an AR-VAE, whose first dimensions follow the attributes one by one (strategy 1.3).

It sees what the denoiser will see: the label maps as they are, and their moved copies.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor, nn

from cldm_runtime.domains.domain import Domain
from cldm_runtime.errors import InputError
from cldm_runtime.files.records import plain

from ..config import LabelVaeConfig, LatentsConfig
from ..networks import LabelVae
from ..training import checkpoint
from ..training.batches import in_batches, one_hot
from ..training.log import montage, planes
from ..training.loop import Step, train
from ..training.losses import attribute_order, cross_entropy, kl_divergence, soft_dice
from ..training.run_folder import RunFolder
from .label_scores import score_labels
from .moved import label_maps, measured_attributes

STAGE = "label-vae"
_PICTURES = 8
_TRAVERSALS = 8

Values = tuple[Tensor, Tensor]  # attributes (N, A), 0 where undefined, and where they are defined


class LabelVaeTask:
    """Cross-entropy + soft Dice + KL on one-hot label maps, and the order of the attributes in the latent vector."""

    critic = None
    critic_rate = 0.0

    def __init__(self, config: LabelVaeConfig, domain: Domain, maps: tuple[Tensor, Tensor],
                 values: tuple[Values, Values] | None, spacing_mm: tuple[float, ...] | None = None) -> None:
        """maps (N, *spatial) uint8 and values, each of the training and of the validation subset; values None: a VAE.
        """
        self.config, self.domain, self.values, self.spacing_mm = config, domain, values, spacing_mm
        self.training, self.validation = maps
        self.model: nn.Module = LabelVae(len(domain.labels), self.training.shape[1:], config)
        self.count = len(self.training)

    def loss(self, model: nn.Module, critic: nn.Module | None, step: Step) -> tuple[Tensor, dict[str, Tensor]]:
        labels = step.own(self.training[step.rows])
        noise = step.own(torch.randn((len(step.rows), self.config.dimensions), generator=step.generator))
        x = one_hot(labels, len(self.domain.labels))
        logits, z, mean, deviation = model(x, noise)
        parts = {"cross_entropy": cross_entropy(logits, labels), "dice_loss": soft_dice(logits, x),
                 "kl": kl_divergence(mean, deviation)}
        loss = parts["cross_entropy"] + self.config.dice_weight * parts["dice_loss"]
        loss = loss + self.config.kl_weight * parts["kl"]
        if self.values is not None:
            attributes, defined = (column[step.rows].to(step.device) for column in self.values[0])
            parts["attribute_order"] = attribute_order(step.whole(z), attributes, defined,
                                                       self.config.attribute_delta)
            loss = loss + self.config.attribute_weight * parts["attribute_order"]
        return loss, parts

    def critic_loss(self, critic: nn.Module, step: Step) -> Tensor | None:
        return None

    def validate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Dice of each label that occurs, wrong pixels of a map, mean absolute errors of the attributes measured on
        reconstructions, and how well each regularised dimension tells its attribute."""
        names = self.domain.labels.names
        dice, wrong = score_labels(lambda maps: self._reconstruct(model, maps, device), self.validation, len(names))
        figures = {f"dice_{names[label]}": value for label, value in dice.items()} | {"wrong_pixels": wrong}
        drawn = torch.cat([self._reconstruct(model, self.validation[part], device)
                           for part in in_batches(len(self.validation), 32)])
        truth, measured = (self.domain.measure(maps.numpy(), self.spacing_mm).values
                           for maps in (self.validation, drawn))
        for name, error in zip(self.domain.attribute_names, np.abs(measured - truth).T, strict=True):
            if np.isfinite(error).any():
                figures[f"error_{name}"] = float(np.nanmean(error))
        return figures | self._interpretability(model, device)

    def _interpretability(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """For each regularised dimension |Spearman| of its mean with the attribute, and Pati and Lerch's score: R2 of
        the linear regression of the attribute on it."""
        if self.values is None:
            return {}
        means, (attributes, defined) = self._means(model, device).numpy(), self.values[1]
        figures = {}
        for a, name in enumerate(self.domain.attribute_names):
            has_value = defined[:, a].numpy() > 0
            x, y = means[has_value, a], attributes[has_value, a].numpy()
            if has_value.sum() > 2 and np.ptp(x) > 0 and np.ptp(y) > 0:
                figures[f"spearman_{name}"] = abs(float(stats.spearmanr(x, y).statistic))
                figures[f"r2_{name}"] = float(np.corrcoef(x, y)[0, 1] ** 2)
        return figures

    @torch.no_grad()
    def _means(self, model: nn.Module, device: torch.device) -> Tensor:
        """Of the validation maps: (N, d)."""
        assert isinstance(model, LabelVae)
        parts = [model.encode(one_hot(self.validation[part], len(self.domain.labels)).to(device))[0].cpu()
                 for part in in_batches(len(self.validation), 32)]
        return torch.cat(parts)

    @torch.no_grad()
    def _reconstruct(self, model: nn.Module, maps: Tensor, device: torch.device) -> Tensor:
        assert isinstance(model, LabelVae)
        x = one_hot(maps, len(self.domain.labels)).to(device)
        return model.decode(model.encode(x)[0]).argmax(1).to(torch.uint8).cpu()

    @torch.no_grad()
    def picture(self, model: nn.Module, device: torch.device) -> NDArray[np.uint8]:
        """Label maps, their reconstructions, and a row for each regularised dimension (for a VAE: each dimension),
        which walks from its least to its largest value while the others stay as they are in one validation map."""
        assert isinstance(model, LabelVae)
        rows = np.linspace(0, len(self.validation) - 1, _PICTURES).astype(int)
        rows_of_maps = [self.validation[rows], self._reconstruct(model, self.validation[rows], device)]
        means = self._means(model, device)
        walked = self.config.dimensions if self.values is None else len(self.domain.attributes)
        for dimension in range(min(walked, _TRAVERSALS)):
            z = means[len(means) // 2].repeat(_PICTURES, 1)
            z[:, dimension] = torch.linspace(float(means[:, dimension].min()), float(means[:, dimension].max()),
                                             _PICTURES)
            rows_of_maps.append(model.decode(z.to(device)).argmax(1).cpu())
        colours = np.array(self.domain.labels.colours, dtype=np.uint8)
        return montage([colours[planes(labels.numpy())] for labels in rows_of_maps])


def make_task(section: LabelVaeConfig, latents: LatentsConfig, run: RunFolder) -> LabelVaeTask:
    """The task on the label maps of the cohort and their moved copies."""
    domain, values = run.cohort.domain, None
    if section.attribute_weight > 0:
        if section.dimensions < len(domain.attributes):
            raise InputError(f"label_vae.dimensions: found {section.dimensions}, expected at least "
                             f"{len(domain.attributes)}, one for each attribute of domain {domain.name}.")
        values = (measured_attributes(latents, run, "train"), measured_attributes(latents, run, "val"))
    maps = label_maps(latents, run, "train"), label_maps(latents, run, "val")
    return LabelVaeTask(section, domain, maps, values, run.cohort.spacing_mm)


def run(section: LabelVaeConfig, latents: LatentsConfig, run: RunFolder) -> None:
    """Train the label VAE."""
    train(lambda: make_task(section, latents, run), section.optimiser, run.settings, run.own(STAGE),
          made_from(section, latents, run))


def made_from(section: LabelVaeConfig, latents: LatentsConfig, run: RunFolder) -> dict[str, Any]:
    """What the weights depend on."""
    return {**plain(section), "latents": plain(latents), **run.record}


def trained_label_vae(section: LabelVaeConfig, latents: LatentsConfig, run: RunFolder) -> LabelVae:
    """The trained VAE, frozen, in evaluation mode. Raises InputError if there is none."""
    vae = LabelVae(run.cohort.classes, run.cohort.shape, section)
    checkpoint.load_weights(vae, run.own(STAGE), STAGE, made_from(section, latents, run))
    return vae
