"""The TOML file that describes networks of another program. docs/weights-from-elsewhere.md explains every key.

A state dict holds numbers and their names. What they were trained for, it does not say: that is in this file.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from cldm_runtime.bundle.declarations import find_domain
from cldm_runtime.diffusion.samplers import SAMPLERS
from cldm_runtime.diffusion.schedule import PredictionType, Spacing
from cldm_runtime.domains.domain import Domain
from cldm_runtime.errors import InputError, list_faults
from cldm_runtime.files.records import TOML, read_record
from cldm_runtime.files.toml_file import read_toml

SOURCES = ("unet", "diffusers", "nnunet")


@dataclass(frozen=True)
class BundleFacts:
    licence: str  # of the weights, an SPDX identifier where there is one
    domain: str = "lge"  # a name, or a file that declares the domain
    nature: Literal["phantom", "patients", ""] = ""  # what the networks were trained on; empty: not stated
    description: str = ""  # one or two sentences for the model card
    trained_on: str = ""  # name of the data set; nothing that identifies a person
    version: str = "1.0"  # revision of the bundle's content


@dataclass(frozen=True)
class ImageFacts:
    shape: tuple[int, ...]  # [pixels] rows, columns; depth first in volumes
    spacing_mm: tuple[float, ...]  # of pixels, one for each axis of shape
    channels: int = 1  # of an image
    percentiles: tuple[float, float] = (0.0, 100.0)  # of the grey values that became black and white
    network_range: tuple[float, float] = (-1.0, 1.0)  # what black and white are inside the network


@dataclass(frozen=True)
class NetworkFile:
    weights: str  # .pt, .pth, .ckpt or .safetensors: a state dict
    prefix: str = ""  # in front of the names of this network's weights, such as "model."
    options: dict[str, Any] = field(default_factory=dict)  # what MONAI's class is built with, by MONAI's names


@dataclass(frozen=True)
class DiffusersFolder:
    folder: str  # of a UNet2DModel, or of a pipeline with unet/ and scheduler/ in it


@dataclass(frozen=True)
class NnunetFolder:
    folder: str  # with plans.json, dataset.json and fold_<fold>/
    fold: str = "0"  # whose weights are taken
    checkpoint: str = "checkpoint_final.pth"  # of that fold
    labels: dict[str, str] = field(default_factory=dict)  # its label name or value -> label of the domain
    mirroring: bool = True  # whether it averages over mirrored copies by default
    images: str = ""  # a dataset file whose images both predictors are compared on; empty: smooth noise


@dataclass(frozen=True)
class LatentFacts:
    scale: float = 1.0  # that latents were multiplied by, for diffusion
    mask_scale: float = 1.0  # the same of the mask autoencoder's


@dataclass(frozen=True)
class ForeignCondition:
    """labels: label of the domain -> the number that the network saw; with `channels` above 1, its channel."""

    kind: Literal["concatenated", "controlnet", "tokens"]
    labels: dict[str, float] = field(default_factory=dict)
    channels: int = 1  # of the label map as the network took it; above 1: one channel for each label
    divide_by: float = 1.0  # such as 255, where a label map was loaded as a picture
    order: Literal["condition first", "image first"] = "condition first"  # of concatenated channels
    attributes: tuple[str, ...] = ()  # one token for each, in this order
    mean: tuple[float, ...] = ()  # that was subtracted from each attribute; empty: nothing
    std: tuple[float, ...] = ()  # that each attribute was divided by; empty: nothing


@dataclass(frozen=True)
class ScheduleFacts:
    predicts: PredictionType = "epsilon"
    betas: Literal["linear", "scaled_linear", "cosine", "flow"] = "linear"
    timesteps: int = 1000
    beta_start: float = 1e-4  # of linear and scaled_linear
    beta_end: float = 2e-2
    zero_terminal_snr: bool = False  # rescaled to end in pure noise


@dataclass(frozen=True)
class SamplingFacts:
    """What the bundle does by default."""

    sampler: str = "ddim"
    steps: int = 50
    spacing: Spacing = "trailing"
    eta: float = 0.0
    batch_size: int = 8


@dataclass(frozen=True)
class Description:
    """One of `unet`, `diffusers` and `nnunet` says which networks. Paths are relative to the file."""

    bundle: BundleFacts
    image: ImageFacts
    unet: NetworkFile | None = None
    autoencoder: NetworkFile | None = None  # None: diffusion of images, not of latents
    mask_autoencoder: NetworkFile | None = None  # whose latent is the condition
    controlnet: NetworkFile | None = None
    diffusers: DiffusersFolder | None = None
    nnunet: NnunetFolder | None = None
    latent: LatentFacts = LatentFacts()
    condition: ForeignCondition | None = None  # None: unconditional
    schedule: ScheduleFacts | None = None  # None: that of the diffusers folder
    sampling: SamplingFacts = SamplingFacts()
    tolerance: float = 1e-5  # most difference from torch, as a share of an output's range where that is above 1

    @property
    def dims(self) -> int:
        return len(self.image.shape)

    def faults(self, domain: Domain) -> list[str]:
        """What types alone cannot say."""
        return [*self._network_faults(), *self._image_faults(domain), *self._condition_faults(domain)]

    def _network_faults(self) -> Iterator[str]:
        given = [name for name in SOURCES if getattr(self, name) is not None]
        if len(given) != 1:
            yield f"found {' and '.join(given) or 'none'} of {', '.join(SOURCES)}, expected one."
        for name in ("autoencoder", "mask_autoencoder", "controlnet"):
            if getattr(self, name) is not None and self.unet is None:
                yield f"{name}: found, expected only beside unet."
        if self.mask_autoencoder is not None and self.autoencoder is None:
            yield "mask_autoencoder: found, expected only beside autoencoder: it makes latents."
        if self.unet is not None and self.schedule is None:
            yield "schedule: missing. Weights do not say what noise they were trained with."
        if self.nnunet is not None and (self.condition is not None or self.schedule is not None):
            yield "condition, schedule: found, expected neither beside nnunet: a segmenter has none."
        if self.sampling.sampler not in SAMPLERS:
            yield f"sampling.sampler: found {self.sampling.sampler!r}, expected one of {', '.join(SAMPLERS)}."
        if not 0 < self.tolerance < 1:
            yield f"tolerance: found {self.tolerance:g}, expected above 0 and below 1."

    def _image_faults(self, domain: Domain) -> Iterator[str]:
        image = self.image
        if len(image.shape) != domain.axes or len(image.spacing_mm) != domain.axes:
            yield (f"image.shape, image.spacing_mm: found {list(image.shape)} and {list(image.spacing_mm)}, expected "
                   f"{domain.axes} numbers each: the domain {domain.name} has {domain.axes} axes.")
        if min((*image.shape, *image.spacing_mm, image.channels), default=0) <= 0:
            yield "image.shape, image.spacing_mm, image.channels: expected numbers above 0."
        if image.network_range[0] >= image.network_range[1]:
            yield f"image.network_range: found {list(image.network_range)}, expected two rising numbers."

    def _condition_faults(self, domain: Domain) -> Iterator[str]:
        condition = self.condition
        if (self.controlnet is not None) != (condition is not None and condition.kind == "controlnet"):
            yield "controlnet: expected together with condition.kind = \"controlnet\", and with nothing else."
        if condition is None:
            if self.mask_autoencoder is not None:
                yield "condition: missing, but there is a mask_autoencoder. Add condition.kind = \"concatenated\"."
            return
        if condition.divide_by == 0:
            yield "condition.divide_by: found 0, expected another number."
        if condition.kind == "tokens":
            yield from _token_faults(condition, domain)
        else:
            yield from _label_faults(condition, domain)
        if self.mask_autoencoder is not None and condition.kind != "concatenated":
            yield f"condition.kind: found {condition.kind!r}, expected \"concatenated\" beside mask_autoencoder."


def _token_faults(condition: ForeignCondition, domain: Domain) -> Iterator[str]:
    unknown = [name for name in condition.attributes if name not in domain.attribute_names]
    if unknown or not condition.attributes:
        yield (f"condition.attributes: found {', '.join(condition.attributes) or 'none'}, expected some of "
               f"{', '.join(domain.attribute_names) or 'a domain that has attributes'}.")
    for name in ("mean", "std"):
        values = getattr(condition, name)
        if values and len(values) != len(condition.attributes):
            yield f"condition.{name}: found {len(values)} numbers, expected {len(condition.attributes)} or none."
    if min(condition.std, default=1.0) <= 0:
        yield "condition.std: expected numbers above 0."


def _label_faults(condition: ForeignCondition, domain: Domain) -> Iterator[str]:
    names = domain.labels.names
    if set(condition.labels) != set(names):
        yield (f"condition.labels: found {', '.join(condition.labels) or 'none'}, expected a number for each of "
               f"{', '.join(names)}: what the network saw where our map has that label.")
    numbers = condition.labels.values()
    if condition.channels > 1 and not all(value in range(condition.channels) for value in numbers):
        yield (f"condition.labels: found {', '.join(f'{value:g}' for value in numbers)}, expected channels, whole "
               f"numbers from 0 to {condition.channels - 1}.")
    if condition.channels < 1:
        yield f"condition.channels: found {condition.channels}, expected 1 or more."


def read_description(path: Path) -> tuple[Description, Domain]:
    """The description, and the domain that it names. Raises InputError that lists every fault."""
    faults: list[str] = []
    description = read_record(Description, read_toml(path), "", faults, TOML)
    if description is None or faults:
        raise _faulty(path, faults)
    name = description.bundle.domain
    domain = find_domain(str(path.parent / name) if name.endswith((".toml", ".json")) else name)
    if faults := description.faults(domain):
        raise _faulty(path, faults)
    return description, domain


def _faulty(path: Path, faults: list[str]) -> InputError:
    return InputError(list_faults(f"{path}: describes no networks that can be imported. docs/weights-from-elsewhere.md "
                                  "lists the keys.", faults))
