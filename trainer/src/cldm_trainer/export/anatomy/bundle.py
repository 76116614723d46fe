"""A trained VAE of label maps to an anatomy bundle: from attributes to label maps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.bundle.latent_prior_spec import LatentPriorSpec
from cldm_runtime.bundle.manifest import TensorSpec
from cldm_runtime.bundle.reference import Reference, ReferenceCase
from cldm_runtime.files.records import plain
from cldm_runtime.generation.learned_anatomy import KIND, LearnedAnatomy
from cldm_runtime.noise import Purpose, normals
from cldm_runtime.store import open_dataset

from ...config import LabelVaeConfig, LatentsConfig
from ...graphs.write import BATCH, export_graph, round_to_half, trace
from ...stages import label_vae
from ...training.batches import load_slices
from ..bundle_writer import GraphFile, Picture, ReferenceFile, refuse_to_overwrite, write_bundle
from ..checkpoints import read_training
from ..manifest_sections import common_sections
from ..model_card import anatomy_card
from ..parity import as_table, compare_graph, compare_reference, require
from ..settings import BundleSettings
from .prior import drawn_columns, encode, fit_prior
from .quality import MeasuredSlices, measure_anatomy
from .traversal import traversal_of

SEED = 20242
PARITY_SLICES = 8
_ELSEWHERE_FACTOR = 5  # what another machine or provider may add to the tolerance at export
_DESCRIPTION = ("Label maps from attributes: the decoder of a variational autoencoder of label maps, and the "
                "distribution of its latent vector given the attributes.")


class SmoothDecoder(nn.Module):
    """A decoder whose logits are averaged over 5 pixels along each axis with binomial weights: (N, d) -> (N, K,
    *spatial).

    A decoder that ends in a pixel-shuffle frays the borders at every second pixel; the weights remove exactly that.
    """

    def __init__(self, decoder: nn.Module, classes: int, dims: int = 2) -> None:
        super().__init__()
        line = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16.0
        self.decoder, self.classes = decoder, classes
        kernel = torch.outer(line, line) if dims == 2 else torch.einsum("i,j,k->ijk", line, line, line)
        self.register_buffer("kernel", kernel.repeat(classes, *(1,) * (dims + 1)))

    def forward(self, z: Tensor) -> Tensor:
        kernel = self.get_buffer("kernel")
        padded = nn.functional.pad(self.decoder(z), (2, 2) * (kernel.ndim - 2), mode="replicate")
        convolve = nn.functional.conv2d if kernel.ndim == 4 else nn.functional.conv3d
        return convolve(padded, kernel, groups=self.classes)


@dataclass(frozen=True)
class AnatomyExport:
    """What is exported, and what it is checked on.

    decoder: latent vectors (N, d) -> logits (N, K, H, W). sections: the manifest but for what follows from the files.
    latent: (n, d) of validation slices, slices: training and validation slices; neither is written anywhere.
    """

    decoder: nn.Module
    prior: LatentPriorSpec
    sections: Mapping[str, Any]
    latent: Tensor
    slices: MeasuredSlices
    validation: Mapping[str, Any]
    tolerance: float
    torchscript: bool = True
    pictures: Mapping[str, Picture] = field(default_factory=dict)

    def write(self, target: Path, *, force: bool = False) -> Path:
        """Write the bundle. Raises ParityError, and writes nothing, where the graph differs from torch."""
        refuse_to_overwrite(target, force=force)
        z = torch.from_numpy(normals(SEED, np.arange(2), Purpose.ANATOMY, (self.prior.dimensions,)))
        with torch.no_grad():
            logits = self.decoder(z)
        expected = Reference({"decoder": ReferenceCase({"z": z.numpy()}, {"logits": logits.numpy()})})
        reference = ReferenceFile(expected.to_arrays(), SEED, {"decoder/logits": _ELSEWHERE_FACTOR * self.tolerance})

        def check(bundle: Bundle) -> Mapping[str, Any]:
            cases = {"random": {"z": z}, "cohort": {"z": self.latent}}
            parities = compare_reference(bundle, self.tolerance, self.tolerance)
            parities += compare_graph(bundle, "decoder", self.decoder, cases, self.tolerance)
            require(parities)
            measured = measure_anatomy(LearnedAnatomy.load(bundle), self.slices)
            return {"parity": as_table(parities), "validation": dict(self.validation), "measured": measured}

        sections = {**self.sections, "name": target.name, "latent_prior": plain(self.prior)}
        return write_bundle(target, sections, [self._graph(z, logits)], reference, anatomy_card, check=check,
                            pictures=self.pictures, force=force)

    def _graph(self, z: Tensor, logits: Tensor) -> GraphFile:
        return GraphFile(
            "decoder", export_graph(self.decoder, {"z": z}, ["logits"]),
            (TensorSpec("z", "float32", (BATCH, *z.shape[1:]), "latent vector, distributed as latent_prior says"),),
            (TensorSpec("logits", "float32", (BATCH, *logits.shape[1:]), "one channel for each of labels.names; the "
                        "largest is the label"),),
            torchscript=trace(self.decoder, {"z": z}) if self.torchscript else None)


def export_anatomy(settings: BundleSettings, section: LabelVaeConfig, latents: LatentsConfig, target: Path, *,
                   force: bool = False, torchscript: bool = True) -> Path:
    """Export this run's label VAE. Raises InputError where it has not been trained, ParityError where the bundle would
    not do what torch does."""
    run, stage, export = settings.run, label_vae.STAGE, settings.export
    domain, classes = run.cohort.domain, run.cohort.classes
    vae = label_vae.trained_label_vae(section, latents, run)
    if export.weights != "fp32":
        round_to_half(vae.decoder)
    training = read_training(run, {stage: run.own(stage)})
    slices = read_slices(run.cohort.file)
    means, deviations = encode(vae, torch.from_numpy(slices.training), classes)
    latent = encode(vae, torch.from_numpy(slices.validation[:PARITY_SLICES]), classes)[0]
    common = common_sections(settings, training)
    del common["attribute_distribution"]  # the prior holds it
    common["attributes"] = [common["attributes"][column] for column in drawn_columns(domain)]
    sections = {**common, "bundle_version": export.version, "kind": KIND, "description": _DESCRIPTION}
    prior = fit_prior(means, deviations, slices.training_attributes, domain)
    decoder = SmoothDecoder(vae.decoder, classes, run.cohort.dims).eval()
    bundle = AnatomyExport(
        decoder, prior, sections, torch.from_numpy(latent).float(), slices, training.validation,
        export.parity_tolerance, torchscript, traversal_of(run.cohort, vae, decoder) if domain.declaration is None
        else {})  # the picture has a row for each attribute, and these are dozens
    return bundle.write(target, force=force)


def read_slices(cohort: Path) -> MeasuredSlices:
    """Label maps and attributes of the training and validation slices. Raises DatasetError where there are none."""
    maps = {subset: load_slices(cohort, subset).masks.numpy() for subset in ("train", "val")}
    with open_dataset(cohort) as dataset:
        values, train, val = dataset.mask_attributes, dataset.rows("train"), dataset.rows("val")
    assert values is not None  # read_training has asked for them
    return MeasuredSlices(maps["train"], values[train], maps["val"], values[val])
