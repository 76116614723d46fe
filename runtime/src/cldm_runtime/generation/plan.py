"""The plan of a run of generation: everything that decides the content of its file, and how it is cut into parts."""

import hashlib
import json
import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ..bundle.manifest import SamplingSpec
from ..bundle.outputs import draws_labels, output_of
from ..domains.free_classes import KEPT_CLASSES, Kept, kept_of
from ..engines.engine import CPU_PROVIDERS
from ..errors import InputError, checked_count, checked_seed
from ..files.blocks import samples_in_block
from ..requests.sources import RequestSource
from ..runs.run import cut
from ..store import DatasetSpec, MetadataValue, chunk_rows
from ..version import __version__
from .generator import Generator
from .quality_filter import QualityFilter

_MASK_BYTES = 0.25  # of a pixel of a compressed label map, at most: maps of phantoms take a tenth of it
# What begins so in a source's identity is an attribute of the file too.
_STATED = ("anatomy", "edit", "prompt", "like", "similarity", "from_step", KEPT_CLASSES)
_ROW_BYTES = 256  # attributes, indices and chunk tables


@dataclass(frozen=True)
class Plan:
    """Everything that decides the content of a generated file. keep: which images it keeps; None: all of them."""

    generator: Generator
    source: RequestSource
    samples: int
    seed: int
    settings: SamplingSpec
    keep: QualityFilter | None = None

    def __post_init__(self) -> None:
        """Raises InputError for numbers of samples and seeds that are none, and for a filter with classes left free."""
        object.__setattr__(self, "samples", checked_count("samples", self.samples))
        object.__setattr__(self, "seed", checked_seed(self.seed))
        if self.keep is not None and self.kept is not None:
            raise InputError("a quality filter compares images with their whole label maps, but some classes are left "
                             "free. Leave one of the two out.")

    def __reduce__(self) -> tuple[object, ...]:
        return Plan, (self.generator, self.source, self.samples, self.seed, self.settings, self.keep)

    def content(self) -> dict[str, Any]:
        """The plan as plain values."""
        manifest, settings = self.generator.manifest, self.settings
        return {
            "bundle": manifest.name, "bundle_version": manifest.bundle_version,
            "manifest_sha256": self.generator.bundle.manifest_sha256, "provider": self.generator.provider,
            "precision": self.generator.choice.precision,
            "requests": self.source.identity(), "samples": self.samples, "seed": self.seed,
            "sampler": settings.sampler, "steps": settings.steps, "spacing": settings.spacing, "eta": settings.eta,
            "guidance": settings.guidance, "guidance_interval": list(settings.guidance_interval),
            "batch_size": settings.batch_size, "runtime_version": __version__,
            **({} if self.keep is None else {"keep": self.keep.identity()}),
        }

    @cached_property
    def text(self) -> str:
        return json.dumps(self.content(), sort_keys=True)

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def kept(self) -> Kept | None:
        """The classes that the label maps tell; None where they tell all."""
        return kept_of(self.source.identity().get(KEPT_CLASSES), self.generator.domain.labels)

    @cached_property
    def parts(self) -> list[range]:
        """The samples of each part: whole batches and, unless that makes parts too large, whole chunks of the file,
        which are then merged without recompression."""
        batch, (rows, mask_rows) = self.settings.batch_size, self._chunk_rows()
        manifest = self.generator.manifest
        at_once = samples_in_block(output_of(manifest).channels(manifest) * math.prod(manifest.image.shape))
        return cut(self.samples, batch, math.lcm(batch, rows, mask_rows), at_once)

    def _chunk_rows(self) -> tuple[int, int]:
        """Rows of a chunk of images, and of label maps."""
        manifest = self.generator.manifest
        pixels = math.prod(manifest.image.shape)
        return chunk_rows(2 * output_of(manifest).channels(manifest) * pixels), chunk_rows(pixels)

    @property
    def bytes_needed(self) -> int:
        """Most disk space that the run takes, in bytes: its parts, which stay until the end, and the merged file."""
        manifest = self.generator.manifest
        mask = _MASK_BYTES if self.generator.canvas.maps or draws_labels(manifest) else 0.0
        row = math.prod(manifest.image.shape) * (2 * output_of(manifest).channels(manifest) + mask) + _ROW_BYTES
        return 2 * math.ceil(self.samples * row)

    def on_one_thread(self) -> "Plan":
        """The plan with a generator that runs each network on one core, if the CPU runs them. Two sessions of one core
        do more than one session of two cores. And results, whose last bits can depend on the number of threads, are
        equal for any number of workers."""
        keep = None if self.keep is None else self.keep.on_one_thread()
        if self.generator.provider not in CPU_PROVIDERS or self.generator.threads == 1:
            return self if keep is self.keep else replace(self, keep=keep)
        return replace(self, generator=self.generator.with_threads(1), keep=keep)

    def file_spec(self, metadata: dict[str, MetadataValue]) -> DatasetSpec:
        """Of the file, and of its parts."""
        domain, manifest = self.generator.domain, self.generator.manifest
        output, image = output_of(manifest), manifest.image
        return DatasetSpec(domain, image.shape, image.spacing_mm, output.channels(manifest),
                           output.value_range(manifest), metadata, checksums=True,
                           compress_images=draws_labels(manifest))

    def provenance(self) -> dict[str, MetadataValue]:
        """How the file was made, as its metadata state it."""
        generator, settings = self.generator, self.settings
        table = generator.step_table(settings)
        steps = {"timesteps": table.timesteps.tolist(), "alpha": table.alpha.tolist(), "sigma": table.sigma.tolist()}
        return {
            "manifest": generator.bundle.manifest_text, "manifest_sha256": generator.bundle.manifest_sha256,
            "seed": self.seed, "sampler": settings.sampler, "step_table": json.dumps(steps),
            "guidance": settings.guidance, "guidance_interval": json.dumps(settings.guidance_interval),
            "batch_size": settings.batch_size, "part_samples": len(self.parts[0]), "plan": self.text,
            "plan_sha256": self.sha256,
            "runtime_version": __version__, "provider_requested": generator.choice.requested,
            "provider_obtained": generator.provider, "precision": generator.choice.precision,
            **{name: value for name, value in self.source.identity().items() if name.startswith(_STATED)},
        }
