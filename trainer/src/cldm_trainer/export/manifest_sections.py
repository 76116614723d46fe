"""The parts of a manifest that tell where a bundle comes from, as JSON values."""

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cldm_runtime.bundle.nature import NOT_STATED, joined_nature
from cldm_runtime.diffusion.schedule import NoiseSchedule
from cldm_runtime.domains.attributes import Attribute
from cldm_runtime.domains.domain import Domain

from ..networks import Affine
from .settings import BundleSettings

LICENCE = "Apache-2.0"
INTENDED_USE = (
    "Research: to test and compare segmentation methods on controlled images. Not a medical device; not for diagnosis, "
    "treatment or any other clinical decision."
)
DISTRIBUTION_ROWS = 512
LAYOUTS = {2: "NCHW", 3: "NCDHW"}
_PACKAGES = ("cldm-trainer", "torch", "monai", "lightning-fabric", "onnx", "onnxruntime", "numpy")


@dataclass(frozen=True)
class TrainingFacts:
    """Facts about the cohort that go into the bundle, and its slices that parity and quality are measured on.

    attributes: (N, A) measured on the training slices, in the domain's order, NaN where undefined; then those of images
    that are named in `image_attributes`.
    validation: figures of merit of each stage on the validation patients. steps: optimiser steps of each stage.
    natures: of all images that the weights learned from, also before, each "phantom" or "patients"; "": not stated.
    cohort_sha256: of the cohort's content.
    images (n, C, *spatial) in [0, 1] and one_hot (n, classes, *spatial), n >= 2, are not written anywhere.
    """

    counts: Mapping[str, int]
    attributes: NDArray[np.float32]
    images: Tensor
    one_hot: Tensor
    steps: Mapping[str, int] = field(default_factory=dict)
    validation: Mapping[str, Any] = field(default_factory=dict)
    natures: tuple[str, ...] = ("",)
    cohort_sha256: str = ""
    image_attributes: tuple[str, ...] = ()

    @property
    def nature(self) -> str:
        """One for all of them."""
        return joined_nature(self.natures)


def generator_sections(
    settings: BundleSettings, affine: Affine, latent_shape: Sequence[int], schedule: NoiseSchedule,
    training: TrainingFacts, description: str, conditions: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Everything in a generator's manifest but its files and quality. conditions: the section of that name."""
    export = settings.export
    return {
        "name": export.generator.rstrip("/").rsplit("/", 1)[-1],
        "bundle_version": export.version,
        "kind": "generator",
        "description": description,
        **common_sections(settings, training),
        "latent": {
            "channels": affine.mean.numel(),
            "shape": list(latent_shape),
            "mean": affine.mean.flatten().tolist(),
            "std": affine.std.flatten().tolist(),
        },
        "schedule": {
            "prediction_type": schedule.prediction_type,
            "train_timesteps": len(schedule.alphas_cumprod),
            "alphas_cumprod": schedule.alphas_cumprod.tolist(),
        },
        "conditions": [dict(condition) for condition in conditions],
        "sampling": {
            "sampler": export.sampler,
            "steps": export.steps,
            "spacing": export.spacing,
            "eta": export.eta,
            "guidance": export.guidance,
            "guidance_interval": list(export.guidance_interval),
            "batch_size": export.batch_size,
        },
    }


def common_sections(settings: BundleSettings, training: TrainingFacts) -> dict[str, Any]:
    """What generators and segmenters of one cohort share."""
    cohort, (low, high) = settings.run.cohort, settings.percentiles
    domain = cohort.domain
    return {
        **({"nature": training.nature} if training.nature else {}),
        "domain": domain.name,
        **({} if domain.declaration is None else {"declared_domain": dict(domain.declaration)}),
        "intended_use": INTENDED_USE,
        "licence": LICENCE,
        "provenance": {
            "software": {name: version(name) for name in _PACKAGES},
            "python": platform.python_version(),
            "cohort": dict(training.counts),
            **({"cohort_sha256": training.cohort_sha256} if training.cohort_sha256 else {}),
            "steps": dict(training.steps),
            **({"natures": [nature or NOT_STATED for nature in training.natures]} if len(training.natures) > 1 else {}),
            "config": dict(settings.config),
        },
        "image": {
            "channels": training.images.shape[1],
            "shape": list(cohort.shape),
            "layout": LAYOUTS[cohort.dims],
            "value_range": [0.0, 1.0],
            "spacing_mm": list(cohort.spacing_mm),
            "normalisation": {"kind": "percentile", "low": low, "high": high,
                              **({} if cohort.drawn_labels is None else {"outside": settings.padding})},
        },
        "labels": {
            "names": list(domain.labels.names),
            "regions": {name: list(values) for name, values in domain.labels.regions.items()},
        },
        "attributes": attribute_sections(domain, training.attributes, training.image_attributes),
        "attribute_distribution": distribution_section(domain, training.attributes, training.image_attributes),
    }


def attribute_sections(domain: Domain, values: NDArray[np.float32],
                       of_images: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Unit, range and the training slices' mean and deviation of each attribute. The range of one of images is that of
    all but the outermost hundredth of the training slices on each side."""
    sections = []
    columns = values.T.astype(np.float64)
    named = {attribute.name: attribute for attribute in domain.image_attributes}
    attributes = [*domain.attributes,
                  *(_within(named[name], column) for name, column in zip(of_images, columns[len(domain.attributes):],
                                                                         strict=True))]
    for attribute, column in zip(attributes, columns, strict=True):
        finite = column[np.isfinite(column)]
        mean = float(finite.mean()) if finite.size else 0.5 * (attribute.low + attribute.high)
        deviation = float(finite.std()) if finite.size else 0.0
        sections.append(
            {
                "name": attribute.name,
                "unit": attribute.unit,
                "low": attribute.low,
                "high": attribute.high,
                "mean": mean,
                "std": deviation if deviation > 0 else attribute.high - attribute.low,
            }
        )
    return sections


def _within(attribute: Attribute, column: NDArray[np.float64]) -> Attribute:
    """The attribute with the range of the training slices."""
    finite = column[np.isfinite(column)]
    if not finite.size:
        return attribute
    low, high = (round(float(edge), 4) for edge in np.quantile(finite, (0.01, 0.99)))
    return replace(attribute, low=low, high=max(high, low + 1e-3))


def distribution_section(domain: Domain, values: NDArray[np.float32], of_images: Sequence[str] = ()) -> dict[str, Any]:
    """Measured attributes of at most `DISTRIBUTION_ROWS` training slices, evenly picked and sorted, so that no row can
    be traced to its place in a patient's stack."""
    picked = values[np.unique(np.linspace(0, max(len(values) - 1, 0), DISTRIBUTION_ROWS).astype(int))[: len(values)]]
    rows = [[None if math.isnan(number) else round(float(number), 4) for number in row] for row in picked]
    return {
        "columns": [*domain.attribute_names, *of_images],
        "rows": sorted(rows, key=lambda row: [-1.0 if number is None else number for number in row]),
    }
