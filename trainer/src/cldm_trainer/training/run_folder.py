"""Where a run keeps what its stages make, and the cohort that it learns from."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from cldm_runtime.bundle.declarations import find_domain
from cldm_runtime.bundle.outputs import LABELS
from cldm_runtime.domains.domain import Domain
from cldm_runtime.domains.label_channels import LabelChannels, label_channels
from cldm_runtime.store import cohort_digest, open_dataset

from ..config import Config, RunConfig
from .batches import Slices, load_masks, load_slices, require_cohort
from .checkpoint import COHORT


@dataclass(frozen=True)
class Cohort:
    """A prepared cohort as the networks see it. shape: of an image in pixels or voxels; its length is the rank.
    output: what the generator of a run draws, image or labels."""

    file: Path
    domain: Domain
    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    output: str = "image"

    @property
    def dims(self) -> int:
        return len(self.shape)

    @property
    def classes(self) -> int:
        return len(self.domain.labels)

    @property
    def drawn_labels(self) -> LabelChannels | None:
        """The channels of label maps, where the generator draws those."""
        if self.output != LABELS.name:
            return None
        return label_channels(self.domain.labels.names, self.domain.labels.regions)

    @property
    def drawn_channels(self) -> int:
        """Of what the generator draws."""
        return self.channels if self.drawn_labels is None else len(self.drawn_labels)

    def drawn(self, subset: str) -> Slices:
        """A subset with what the generator draws as its images: images, or the channels of the label maps."""
        channels = self.drawn_labels
        if channels is None:
            return load_slices(self.file, subset)
        masks = load_masks(self.file, subset)
        return Slices(torch.from_numpy(channels.encode(masks.numpy())), masks)

    @cached_property
    def channels(self) -> int:
        """Of an image, as the file says. Raises DatasetError where there is no file."""
        require_cohort(self.file)
        with open_dataset(self.file) as dataset:
            return dataset.channels

    @cached_property
    def sha256(self) -> str:
        """Of all that a stage may learn from it. Raises DatasetError if there is no file, or its attributes are not of
        its label maps."""
        require_cohort(self.file)
        with open_dataset(self.file) as dataset:
            return cohort_digest(dataset)

    @property
    def record(self) -> dict[str, dict[str, str]]:
        """What a stage keeps of the cohort in its configuration."""
        require_cohort(self.file)
        with open_dataset(self.file) as dataset:
            nature = dataset.nature
        return {COHORT: {"sha256": self.sha256, "nature": nature}}


@dataclass(frozen=True)
class RunFolder:
    """Paths, seed, threads and devices of a run, and its cohort."""

    settings: RunConfig
    cohort: Cohort

    @classmethod
    def of(cls, config: Config) -> "RunFolder":
        section = config.prepare
        cohort = Cohort(config.cohort_file, find_domain(config.cohort.domain), section.shape, section.spacing_mm,
                        config.run.output)
        return cls(config.run, cohort)

    @property
    def record(self) -> dict[str, Any]:
        """What every stage of the run is made from."""
        return {"seed": self.settings.seed, **self.cohort.record}

    def own(self, stage: str) -> Path:
        """The folder of a stage of this run."""
        return self.other(self.settings.name, stage)

    def lent(self, stage: str) -> Path:
        """The folder of one of the stages that `run.codecs` may lend: codecs, latents and texture."""
        return self.other(self.settings.codecs or self.settings.name, stage)

    def other(self, run: str, stage: str) -> Path:
        """The folder of a stage of the run with that name."""
        return Path(self.settings.folder) / run / stage
