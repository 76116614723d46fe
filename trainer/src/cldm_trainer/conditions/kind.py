"""What every kind of condition says about itself: how the U-Net takes it, what is trained, what is exported.

A new kind is one file that derives from `Condition`, and one line in `registry`. Networks are imported inside the
methods: reading a configuration must not load torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from cldm_runtime.bundle.declarations import find_domain
from cldm_runtime.domains.domain import Domain

from ..config import CodecSections, Config, ControlConfig, DiffusionConfig, LabelVaeConfig
from .facts import ConditionFacts

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from ..networks import Affine, Codec, Denoiser, LabelVae
    from ..networks.denoiser import ConditionInput, Way

SUBSETS = ("train", "val")
Rows = slice | NDArray[np.int64]


@dataclass(frozen=True)
class Design:
    """What denoisers and the encoders of their conditions are built from.

    shape: of an image, in pixels or voxels; its length is the number of spatial dimensions. spacing_mm: of its pixels.
    noise_is_applied: by the last graph, after the denoiser, which must not be told of noise then.
    """

    diffusion: DiffusionConfig
    codecs: CodecSections
    label_vae: LabelVaeConfig
    control: ControlConfig
    domain: Domain
    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    noise_is_applied: bool = False

    @classmethod
    def of(cls, config: Config) -> Design:
        return cls(config.diffusion, config.codecs, config.label_vae, config.control, find_domain(config.cohort.domain),
                   config.prepare.shape, config.prepare.spacing_mm, bool(config.acquisition.detection))

    @property
    def dims(self) -> int:
        return len(self.shape)

    @property
    def classes(self) -> int:
        return len(self.domain.labels)

    @property
    def told_attributes(self) -> tuple[str, ...]:
        """The attributes of images that the condition's encoder takes: those of the configuration, then the levels that
        it multiplies ratios by."""
        listed = self.diffusion.image_attributes
        return (*listed, *dict.fromkeys(level for level in self._levels if level))

    @property
    def factors(self) -> tuple[int | None, ...]:
        """For each attribute that the denoiser is told, of label maps and of images, the column of its level among
        those that the encoder takes; None: it has none."""
        first = len(self.domain.attributes)
        return (*(None,) * first, *(first + self.told_attributes.index(level) if level else None
                                    for level in self._levels))

    @property
    def _levels(self) -> tuple[str, ...]:
        """For each attribute of images of the configuration, what it is a ratio to, if that is added later."""
        per = {attribute.name: attribute.per for attribute in self.domain.image_attributes}
        return tuple(per.get(name, "") if self.noise_is_applied else "" for name in self.diffusion.image_attributes)

    @property
    def mask_channels(self) -> int:
        """Of what stands for a label map: its latent, or the map itself, one-hot."""
        return self.classes if self.codecs.mask.is_identity else self.codecs.mask.latent_channels


@dataclass(frozen=True)
class Table:
    """The condition of every sample of a subset: columns (N, ...), and what makes a source of some of their rows."""

    columns: tuple[Tensor, ...]
    prepare: Callable[[Tensor], Tensor]

    def __call__(self, rows: Rows) -> tuple[Tensor, ...]:
        """The sources of some rows."""
        return tuple(self.prepare(column[rows]) for column in self.columns)


class Trained(Protocol):
    """What the stages of a run have made, as far as a condition may use it. Samples come in the order of the latents,
    moved copies included. Every method raises InputError or DatasetError where something is missing."""

    @property
    def design(self) -> Design:
        """What the run's networks are built from."""

    def label_maps(self, subset: str) -> Tensor:
        """(N, *spatial) uint8."""

    def images(self, subset: str) -> Tensor:
        """The cohort's images (N, C, *spatial) in [0, 1], float16."""

    def attributes(self, subset: str) -> tuple[Tensor, Tensor]:
        """Values (N, A), 0 where undefined, and where they are defined, 0 or 1, as the denoiser is told them: ratios to
        a level that is added after it are in units of signal."""

    def mask_latents(self, subset: str) -> Tensor:
        """Raw latents of the label maps, (N, C, *latent), float16."""

    def mask_codec(self) -> Codec | None:
        """The mask codec, frozen; None for the identity."""

    def mask_affine(self) -> Affine:
        """The standardisation of the mask codec's latents."""

    def label_vae(self) -> LabelVae:
        """The label VAE, frozen."""

    def base(self) -> Denoiser:
        """The unconditional denoiser that `control.base` names."""

    def digest(self, stage: str) -> str:
        """SHA-256 of the weights of a stage of this run."""

    def base_digest(self) -> str:
        """SHA-256 of the weights of `base`."""

    def kept(self, name: str, make: Callable[[str], tuple[Tensor, Tensor]],
             depends: Mapping[str, str]) -> dict[str, Tensor]:
        """`<subset>.values` and `<subset>.defined` that `make` gives for a subset, stored under a name in the run
        folder and made again when what they depend on has changed."""


class Condition:
    """A kind of condition. What is not overridden is that of no condition."""

    name: ClassVar[str]  # in the configuration
    way: ClassVar[Way] = "nothing"  # how the U-Net takes it
    facts: ClassVar[ConditionFacts | None] = None  # of the manifest; None: a denoiser that is not exported
    stages: ClassVar[tuple[str, ...]] = ()  # of the run, whose weights are in the encoder that is exported
    codecs: ClassVar[tuple[str, ...]] = ()  # of the run that lends the codecs, likewise
    small_stage: ClassVar[str] = ""  # that trains a small stand-in for the encoder; empty: there is none
    extends: ClassVar[str] = ""  # the kind whose channels come first among those of this one
    draws_labels: ClassVar[bool] = False  # whether label maps can be drawn with it, not images alone
    adoptable: ClassVar[bool] = False  # whether a bundle holds all that is needed to train on with it

    def faults(self, config: Config) -> list[str]:
        """Contradictions between this kind and the rest of the configuration."""
        return []

    def shape(self, design: Design) -> tuple[int, ...]:
        """Of one sample's condition, as far as the denoiser depends on it: () for none, (channels,) or (tokens, width).
        """
        encoder: Any = self.learned(design)
        return () if encoder is None else tuple(encoder.shape)

    def condition_input(self, shape: tuple[int, ...]) -> ConditionInput:
        """How a denoiser takes a condition of that shape."""
        from ..networks.denoiser import ConditionInput

        return ConditionInput(self.name, self.way, shape, self.extends)

    def learned(self, design: Design) -> nn.Module | None:
        """The untrained encoder that learns together with the denoiser, with `shape`; None where there is none."""
        return None

    def fit(self, encoder: nn.Module, training: Table) -> None:
        """Set what such an encoder takes from the training samples before it learns."""

    def tables(self, design: Design, trained: Trained) -> dict[str, Table]:
        """The conditions of the training and validation samples, as the learned encoder or the denoiser takes them."""
        import torch

        return {subset: Table((), torch.Tensor.float) for subset in SUBSETS}

    def hide(self, sources: tuple[Tensor, ...], share: float, generator: torch.Generator) -> tuple[Tensor, ...]:
        """A batch of training sources with a share of their values unknown, where this kind has such values."""
        return sources

    def places(self, sources: tuple[Tensor, ...], latent_shape: tuple[int, ...]) -> Tensor | None:
        """(N, 1, *latent_shape) where errors count, 1, and where not, 0; None: everywhere."""
        return None

    def regions(self, encoder: nn.Module, sources: tuple[Tensor, ...]) -> Tensor | None:
        """(N, 1, *latent) in how many regions of attributes each place lies; None: nobody says where they lie."""
        return None

    def depends_on(self, design: Design, trained: Trained) -> dict[str, Any]:
        """What the denoiser's weights depend on besides its section and the latents."""
        return {}

    def start(self, denoiser: Denoiser, trained: Trained) -> None:
        """Fill an untrained denoiser with what this kind begins from."""

    def parent(self, design: Design) -> str:
        """The run whose denoiser this one begins with or stands on; empty for none."""
        return design.diffusion.start

    def exported(self, design: Design, learned: nn.Module | None) -> nn.Module | None:
        """The encoder from what a user has to what the denoiser takes, with untrained parts where they do not learn
        with the denoiser; None where it consists of a codec."""
        return learned

    def trained_encoder(self, learned: nn.Module | None, trained: Trained) -> nn.Module | None:
        """That encoder with the trained parts of the run."""
        return learned


class OfTokens(Condition):
    """A condition of numbers, which cross-attention takes as one token for each."""

    way = "tokens"

    def faults(self, config: Config) -> list[str]:
        width = config.diffusion.context_width
        return [f"diffusion.context_width: found {width}, expected 1 or more."] if width < 1 else []

    def fit(self, encoder: nn.Module, training: Table) -> None:
        """The tokens are standardised by the training samples' mean and deviation."""
        from ..networks import AttributeTokens

        assert isinstance(encoder, AttributeTokens)
        encoder.standardise_by(*training.columns)


def number_tables(stored: Mapping[str, Tensor]) -> dict[str, Table]:
    """Tables of values and where they are defined, from what `Trained.kept` gives."""
    import torch

    return {subset: Table((stored[f"{subset}.values"], stored[f"{subset}.defined"]), torch.Tensor.float)
            for subset in SUBSETS}
