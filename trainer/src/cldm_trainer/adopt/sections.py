"""The parts of a manifest of networks that were trained elsewhere, as JSON values. What is not known is not stated."""

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np

from cldm_runtime.domains.domain import Domain
from cldm_runtime.files.records import plain

from ..export.manifest_sections import INTENDED_USE, LAYOUTS, attribute_sections
from .description import Description
from .networks import Imported

_PACKAGES = ("cldm-trainer", "torch", "monai", "onnx", "onnxruntime", "numpy")


def generator_sections(description: Description, domain: Domain, networks: Imported,
                       condition: Mapping[str, Any] | None, name: str) -> dict[str, Any]:
    """Everything in a generator's manifest but its files and quality. condition: its entry in `conditions`."""
    latent, channels = description.latent, networks.latent[0]
    scale = latent.scale if description.autoencoder is not None else 1.0
    text = "Images from label maps" if condition and condition["source"] == "masks" else "Images"
    made = description.bundle.description or (
        f"{text}, by {networks.source}, trained elsewhere; labels of the domain {domain.name}.")
    return {
        "name": name,
        "bundle_version": description.bundle.version,
        "kind": "generator",
        "description": " ".join([made, *networks.notes]),
        **common_sections(description, domain, networks.source, networks.files),
        "latent": {"channels": channels, "shape": list(networks.latent[1:]), "mean": [0.0] * channels,
                   "std": [1.0 / scale] * channels},
        "schedule": {
            "prediction_type": networks.schedule.prediction_type,
            "train_timesteps": len(networks.schedule.alphas_cumprod),
            "alphas_cumprod": networks.schedule.alphas_cumprod.tolist(),
        },
        "conditions": [dict(condition)] if condition else [],
        "sampling": plain(description.sampling),
    }


def common_sections(description: Description, domain: Domain, source: str, files: Mapping[str, str]) -> dict[str, Any]:
    """What generators and segmenters share. files: name -> SHA-256 of what the weights were read from."""
    image, bundle = description.image, description.bundle
    nothing = np.empty((0, len(domain.attributes)), np.float32)
    return {
        **({"nature": bundle.nature} if bundle.nature else {}),
        "domain": domain.name,
        **({} if domain.declaration is None else {"declared_domain": dict(domain.declaration)}),
        "intended_use": INTENDED_USE,
        "licence": bundle.licence,
        "provenance": {
            "software": {name: version(name) for name in _PACKAGES},
            "python": platform.python_version(),
            "imported": {"source": source, "trained_on": bundle.trained_on or "not stated", "weights": dict(files)},
        },
        "image": {
            "channels": image.channels,
            "shape": list(image.shape),
            "layout": LAYOUTS[description.dims],
            "value_range": [0.0, 1.0],
            "spacing_mm": list(image.spacing_mm),
            "normalisation": {"kind": "percentile", "low": image.percentiles[0], "high": image.percentiles[1]},
        },
        "labels": {
            "names": list(domain.labels.names),
            "regions": {name: list(values) for name, values in domain.labels.regions.items()},
        },
        "attributes": attribute_sections(domain, nothing),
    }
