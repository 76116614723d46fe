"""Label maps of given images by an ensemble: several are drawn for each image; their mean decides, their variance says
where they differ.

    segmenter = EnsembleSegmenter.load("exported/ldm-seg", samples=30)
    drawn = segmenter.draw(image, index=0)                 # of one image (C, *spatial)

Draw k of image i has its own noise, whatever the batch size and the number of draws: more draws continue fewer.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..bundle.bundle import Bundle
from ..bundle.manifest import SamplingSpec
from ..bundle.outputs import channels_of, draws_labels
from ..bundle.sources import IMAGES
from ..domains.label_channels import LabelChannels
from ..domains.labels import LabelMap
from ..engines.choose import Choice, choose_provider
from ..errors import BundleError, InputError, checked_count, checked_seed
from ..files.blocks import samples_in_block
from ..segmentation.bundled import BundledSegmenter
from ..store import Dataset
from .batch_memory import require_batch_memory
from .pipeline import Pipeline, decoder_noise, initial_noise
from .placement import place

SAMPLES = 30  # label maps of an image, as the authors of LDM-seg average
_DRAWS = 2**16  # indices of one image
_SAME_SPACING = 0.01  # relative
Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class DrawnLabels:
    """Of one image: labels (*spatial), variance (C, *spatial) of the drawn channels, 0 to 0.25, and sample_dice (C,),
    the mean Dice of every two drawn maps that are not both empty; NaN where all are empty. maps (K, *spatial): what was
    drawn, where it is kept; else K = 0."""

    labels: LabelMap
    variance: Float32
    sample_dice: Float32
    maps: LabelMap


@dataclass(frozen=True)
class _Running:
    """Sums over the draws of one image, and the drawn maps as bits. maps: as labels; None: they are not kept."""

    total: NDArray[np.float64]
    squares: NDArray[np.float64]
    bits: list[NDArray[np.uint8]]
    maps: list[LabelMap] | None

    def add(self, drawn: Float32, channels: LabelChannels) -> None:
        """drawn: (n, C, *spatial)."""
        for values, inside in zip(drawn.astype(np.float64), channels.binary(drawn), strict=True):
            self.total[:] += values
            self.squares[:] += np.square(values)
            self.bits.append(np.packbits(inside.reshape(len(inside), -1), axis=1))
        if self.maps is not None:
            self.maps.extend(channels.decode(drawn))

    def finish(self, channels: LabelChannels) -> DrawnLabels:
        count = len(self.bits)
        mean = self.total / count
        variance = np.maximum(self.squares / count - np.square(mean), 0.0).astype(np.float32)
        maps = np.stack(self.maps) if self.maps else np.zeros((0, *mean.shape[1:]), np.uint8)
        return DrawnLabels(channels.decode(mean[None])[0], variance, pairwise_dice(np.stack(self.bits)), maps)


def pairwise_dice(bits: NDArray[np.uint8]) -> Float32:
    """(C,) mean Dice of every two of (K, C, bytes) packed maps, those of two empty ones left out; NaN without any."""
    sizes = np.bitwise_count(bits).sum(axis=2, dtype=np.int64)
    total, pairs = np.zeros(bits.shape[1]), np.zeros(bits.shape[1])
    for one, other in combinations(range(len(bits)), 2):
        both = np.bitwise_count(bits[one] & bits[other]).sum(axis=1, dtype=np.int64)
        size = sizes[one] + sizes[other]
        total += np.divide(2.0 * both, size, out=np.zeros_like(total), where=size > 0)
        pairs += size > 0
    with np.errstate(invalid="ignore"):
        return (total / pairs).astype(np.float32)


@dataclass(frozen=True, repr=False)
class EnsembleSegmenter(BundledSegmenter):
    """A segmenter as `evaluation.segmenters.interface.AnySegmenter` has it, by a bundle that draws label maps of given
    images. settings: of sampling. samples: label maps of each image. keep_samples: also store these. What was drawn
    once is evaluated as it is, with any number of samples and steps and any seed."""

    FREE = ("samples", "seed", "steps")

    bundle: Bundle
    choice: Choice
    settings: SamplingSpec
    pipeline: Pipeline
    samples: int = SAMPLES
    seed: int = 0
    threads: int | None = None
    keep_samples: bool = False

    @classmethod
    def load(cls, path: str | os.PathLike[str], provider: str = "cpu", threads: int | None = None,
             precision: str = "fp32", *, samples: int = SAMPLES, seed: int = 0, steps: int | None = None,
             keep_samples: bool = False) -> Self:
        """provider, threads, precision: as in `Generator.load`. steps: of sampling; None: the bundle's. Raises
        InputError, BundleError for a bundle that draws no label maps of images, and ProviderError."""
        bundle = Bundle.load(path)
        if not draws_labels_of_images(bundle):
            raise BundleError(f"bundle {path} draws no label maps of given images. Pass one whose conditions come from "
                              "images (cldm inspect); a segmenter bundle goes to cldm segment --segmenter.")
        if not 1 <= checked_count("samples", samples) < _DRAWS:
            raise InputError(f"samples = {samples}: expected 1 to {_DRAWS - 1}.")
        return cls._open(bundle, choose_provider(bundle, provider, threads, precision), samples, checked_seed(seed),
                         steps, threads, keep_samples)

    @classmethod
    def _open(cls, bundle: Bundle, choice: Choice, samples: int, seed: int, steps: int | None,
              threads: int | None, keep_samples: bool) -> Self:
        sampling = bundle.manifest.sampling
        assert sampling is not None  # the manifest was checked, and every generator has it
        settings = sampling if steps is None else replace(sampling, steps=checked_count("steps", steps))
        pipeline = Pipeline.open(bundle, choice.provider, threads, choice.precision)
        pipeline.plan(settings)  # raises InputError for steps that the bundle does not take
        return cls(bundle, choice, settings, pipeline, samples, seed, threads, keep_samples)

    def __reduce__(self) -> tuple[object, ...]:
        """Another process opens the graphs itself, on the same provider."""
        return EnsembleSegmenter._open, (self.bundle, self.choice, self.samples, self.seed, self.settings.steps,
                                         self.threads, self.keep_samples)

    def with_threads(self, threads: int | None) -> "EnsembleSegmenter":
        """This segmenter with its graphs opened again, for another number of threads."""
        return EnsembleSegmenter._open(self.bundle, self.choice, self.samples, self.seed, self.settings.steps, threads,
                                       self.keep_samples)

    def __repr__(self) -> str:
        return f"<EnsembleSegmenter {self.name} on {self.choice.provider}: {self.samples} samples of each image>"

    @property
    def channels(self) -> LabelChannels:
        """What is drawn: a channel for each region or label."""
        return channels_of(self.bundle.manifest)

    @property
    def channel_names(self) -> tuple[str, ...]:
        return self.channels.names

    def settings_used(self, mirror: bool | None) -> dict[str, str | int | float]:
        return {"samples": self.samples, "seed": self.seed, "sampler": self.settings.sampler,
                "steps": self.settings.steps}

    def check_fit(self, dataset: Dataset) -> None:
        """Raise InputError for images of other labels, channels or spacing, or of fewer axes."""
        manifest, image = self.bundle.manifest, self.bundle.manifest.image
        if dataset.load_domain().labels.names != manifest.labels.names:
            found, expected = (", ".join(names) for names in (dataset.load_domain().labels.names,
                                                              manifest.labels.names))
            raise InputError(f"{dataset.path}: its labels are {found}, those of bundle {manifest.name} {expected}.")
        if (dataset.channels, len(dataset.shape)) != (image.channels, len(image.shape)):
            raise InputError(f"{dataset.path}: its images have {dataset.channels} channels and {len(dataset.shape)} "
                             f"axes, bundle {manifest.name} takes {image.channels} and {len(image.shape)}.")
        if not np.allclose(dataset.spacing_mm, image.spacing_mm, rtol=_SAME_SPACING):
            raise InputError(f"{dataset.path}: its voxels are {dataset.spacing_mm} mm, bundle {manifest.name} takes "
                             f"{image.spacing_mm}. Resample the images.")
        require_batch_memory(manifest, 1)

    def images_at_once(self, batch_size: int) -> int:
        return 1

    def segment_rows(self, dataset: Dataset, rows: slice, batch_size: int, mirror: bool | None = None) -> LabelMap:
        """(n, *spatial) uint8 label maps of these rows."""
        labels: LabelMap = self.drawn_columns(dataset, rows, batch_size)["masks"]
        return labels

    def drawn_columns(self, dataset: Dataset, rows: slice, batch_size: int) -> dict[str, Any]:
        """Label maps of these rows with their doubt: columns for `SegmentationWriter.append`."""
        drawn = [self.draw(dataset.images(row), row, batch_size) for row in range(*rows.indices(len(dataset)))]
        return {"masks": np.stack([each.labels for each in drawn]),
                "variance": np.stack([each.variance for each in drawn]).astype(np.float16),
                "sample_dice": np.stack([each.sample_dice for each in drawn]),
                **({"samples": np.stack([each.maps for each in drawn])} if self.keep_samples else {})}

    def draw(self, image: Float32, index: int, batch_size: int | None = None) -> DrawnLabels:
        """The label map of an image (C, *spatial) in the bundle's value range, and how far its draws differ.

        index: of the image, from 0; its noise follows from it. batch_size: draws computed at once, fewer of large
        volumes; None: the bundle's. Raises InputError for an image that does not fit the bundle's grid.
        """
        channels = self.channels
        window = place(image, self.bundle.manifest.image.shape)
        fed = self.pipeline.encode({"image": window.cut(image)[None]})
        shape = (len(channels), *self.bundle.manifest.image.shape)
        running = _Running(np.zeros(shape), np.zeros(shape), [], [] if self.keep_samples else None)
        size = min(batch_size or self.settings.batch_size, self.samples, samples_in_block(int(np.prod(shape))))
        for start in range(0, self.samples, size):
            running.add(self._drawn(fed, index, range(start, min(start + size, self.samples)), size), channels)
        found = running.finish(channels)
        return DrawnLabels(window.put_back(found.labels), window.put_back(found.variance), found.sample_dice,
                           window.put_back(found.maps))

    def _drawn(self, fed: Mapping[str, Float32], index: int, draws: range, size: int) -> Float32:
        """(n, C, *spatial) channels of some draws of an image; a short batch is filled up, so that all have one shape.
        """
        plan, graphs = self.pipeline.plan(self.settings), self.bundle.manifest.graphs
        padded = [*draws, *[draws[-1]] * (size - len(draws))]
        indices = index * _DRAWS + np.array(padded, dtype=np.int64)
        repeated = {name: np.repeat(encoded, size, axis=0) for name, encoded in fed.items()}
        latent = self.pipeline.latents(initial_noise(graphs["denoiser"], self.seed, indices), repeated, plan, self.seed,
                                       indices)
        values = self.pipeline.decode(latent, decoder_noise(graphs["decoder"], self.seed, indices))[:len(draws)]
        if not np.isfinite(values).all():
            raise BundleError(f"{self.origin}: the decoder gave NaN or infinite values. Check the bundle with cldm "
                              "verify.")
        return np.clip(values, 0.0, 1.0)


def draws_labels_of_images(bundle: Bundle) -> bool:
    """Whether a bundle is a generator of label maps from given images."""
    manifest = bundle.manifest
    return manifest.kind == "generator" and draws_labels(manifest) and IMAGES.name in manifest.sources
