"""manifest.json as frozen records. docs/bundle-format.md is the specification.

After export no number is derived or typed again: a program that runs a bundle reads it here.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ..diffusion.schedule import NoiseSchedule, PredictionType, Spacing
from ..files.records import plain
from .acquisition_spec import AcquisitionSpec
from .latent_prior_spec import LatentPriorSpec
from .nature import Nature
from .segmenter_spec import SegmenterSpec

MANIFEST_FILE = "manifest.json"
FORMAT = "cldm-bundle"
FORMAT_VERSION = 1
DType = Literal["float32", "float16", "int64", "uint8"]


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a graph. `shape` holds integers and, for the batch dimension, "N"."""

    name: str
    dtype: DType
    shape: tuple[int | str, ...]
    meaning: str
    range: tuple[float, float] | None = None  # None: unbounded


@dataclass(frozen=True)
class FileSpec:
    """A file of the bundle: a plain name in its folder, and the SHA-256 of its bytes in lower-case hex."""

    file: str
    sha256: str


@dataclass(frozen=True)
class GraphSpec:
    """An ONNX graph; `torchscript` is the same network for the torchscript provider, where it was exported."""

    file: str
    sha256: str
    precision: Literal["fp32", "fp16", "int8"]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    torchscript: FileSpec | None = None

    def input(self, name: str) -> TensorSpec:
        return next(spec for spec in self.inputs if spec.name == name)

    def output(self, name: str) -> TensorSpec:
        return next(spec for spec in self.outputs if spec.name == name)


@dataclass(frozen=True)
class NormalisationSpec:
    """How intensities were mapped to the value range: percentiles `low` and `high` (0..100) of each slice, clipped.
    outside: what the percentiles omit and becomes the least value: rims of one value (auto), nothing (none), or every 0
    (zero); None if it is not stated."""

    kind: Literal["percentile"]
    low: float
    high: float
    outside: Literal["auto", "none", "zero"] | None = None


@dataclass(frozen=True)
class ImageSpec:
    channels: int
    shape: tuple[int, ...]  # spatial, rows first
    layout: Literal["NCHW", "NCDHW"]
    value_range: tuple[float, float]
    spacing_mm: tuple[float, ...]
    normalisation: NormalisationSpec


@dataclass(frozen=True)
class LabelsSpec:
    """`names[v]` is the name of label value v; `regions` are the scored unions of labels."""

    names: tuple[str, ...]
    regions: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class AttributeSpec:
    """An attribute in the user's unit, its range, and its mean and deviation over the training data."""

    name: str
    unit: str
    low: float
    high: float
    mean: float
    std: float


@dataclass(frozen=True)
class DistributionSpec:
    """Attributes measured on training slices: the network's training distribution. Each row has a value for each
    column, null where the attribute is undefined."""

    columns: tuple[str, ...]
    rows: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class ReferenceSpec:
    """Inputs and expected outputs (npz). `tolerances` maps "<role>/<output>" and "loop/<output>" to the largest
    absolute error allowed; `seed` is the seed of the noise in it."""

    file: str
    sha256: str
    seed: int
    tolerances: Mapping[str, float]


@dataclass(frozen=True)
class LatentSpec:
    """The inputs and outputs of graphs are standardised latents. `mean` and `std`, one number a channel, are those of
    the raw codec latents; the decoder and encoder graphs apply them, and here they are for information only."""

    channels: int
    shape: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class ScheduleSpec:
    """`alphas_cumprod[t]` is the signal's share of the variance at training step t (alpha-bar of DDPM)."""

    prediction_type: PredictionType
    train_timesteps: int
    alphas_cumprod: tuple[float, ...]

    def noise_schedule(self) -> NoiseSchedule:
        return NoiseSchedule(self.prediction_type, np.array(self.alphas_cumprod, dtype=np.float64))


@dataclass(frozen=True)
class ConditionSpec:
    """A condition: the graph `encoder` turns its source into the tensor `feeds`, which is an input of the denoiser.

    kind: spatial feeds channels on the latent's grid, vector feeds tokens (T, W). source: the encoder's input, label
    maps or attributes (`sources.py`). null: the denoiser's input instead of the condition when that was dropped in
    training; spatial: one value for each channel of `feeds`, the same at every pixel; vector: the T W values of the
    tokens, row by row. None: the condition was never dropped, and there is no guidance.
    """

    name: str
    kind: Literal["spatial", "vector"]
    source: str  # one of `sources.SOURCES`
    encoder: str
    feeds: str
    null: tuple[float, ...] | None = None


@dataclass(frozen=True)
class SamplingSpec:
    """Defaults of generation. `guidance` is the weight of classifier-free guidance (1: none, 0: unconditional), and
    `guidance_interval` the shares of the training timesteps (0 clean, 1 noise) between which it acts."""

    sampler: str
    steps: int
    spacing: Spacing
    eta: float
    batch_size: int
    guidance: float = 1.0
    guidance_interval: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True)
class DistilledSpec:
    """A denoiser that learned the steps of `sampling` from another bundle, the teacher, and works with no other number
    of steps, sampler or spacing. `guidance` is the guidance weight that it learned; it takes no other."""

    teacher: str
    teacher_sha256: str  # of its manifest
    guidance: float


@dataclass(frozen=True)
class Manifest:
    name: str
    bundle_version: str  # revision of the content; `format_version` is the revision of the format
    nature: Nature | None = field(default=None, kw_only=True)  # of the training images; None: not stated
    kind: Literal["generator", "segmenter", "anatomy"]
    domain: str
    description: str
    intended_use: str
    licence: str
    image: ImageSpec
    labels: LabelsSpec
    graphs: Mapping[str, GraphSpec]
    reference: ReferenceSpec
    attributes: tuple[AttributeSpec, ...] = ()
    attribute_distribution: DistributionSpec | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    quality: Mapping[str, Any] = field(default_factory=dict)
    latent: LatentSpec | None = None
    schedule: ScheduleSpec | None = None
    conditions: tuple[ConditionSpec, ...] = ()
    sampling: SamplingSpec | None = None
    segmenter: SegmenterSpec | None = None
    latent_prior: LatentPriorSpec | None = None
    distilled: DistilledSpec | None = None
    acquisition: AcquisitionSpec | None = None  # of a generator with a graph of that name
    output: str | None = None  # one of `outputs.OUTPUTS`; None: image
    declared_domain: Mapping[str, Any] | None = None  # the declaration of a domain that is not of this package
    format: Literal["cldm-bundle"] = "cldm-bundle"
    format_version: int = FORMAT_VERSION

    def to_json(self) -> str:
        """The text of manifest.json; floats keep full precision."""
        head = {"format": self.format, "format_version": self.format_version}
        return json.dumps({**head, **plain(self)}, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources that the conditions are made from: masks, attributes, both, or none."""
        return tuple(dict.fromkeys(part for condition in self.conditions for part in condition.source.split(" and ")))

    @property
    def can_guide(self) -> bool:
        """Whether there are conditions and the denoiser was trained without them too."""
        return bool(self.conditions) and all(condition.null is not None for condition in self.conditions)

    def files(self) -> dict[str, str]:
        """Every file that the manifest lists -> its SHA-256."""
        listed = {graph.file: graph.sha256 for graph in self.graphs.values()}
        scripts = [graph.torchscript for graph in self.graphs.values() if graph.torchscript]
        listed.update({script.file: script.sha256 for script in scripts})
        return {**listed, self.reference.file: self.reference.sha256}
