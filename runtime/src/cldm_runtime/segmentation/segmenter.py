"""Segments images with an exported nnU-Net, in numpy around one graph.

    labels = Segmenter.load("exported/lge-segmenter").segment(images)      # (N, *spatial) -> (N, *spatial) uint8
"""

import math
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..bundle.bundle import Bundle
from ..bundle.segmenter_spec import SegmenterSpec
from ..domains.domain import Domain
from ..domains.labels import LabelMap
from ..engines.choose import Choice, choose_provider
from ..engines.engine import Engine
from ..engines.free_memory import require_memory
from ..engines.open import open_graph
from ..engines.processor import available_cores
from ..errors import BundleError, InputError, as_array, checked_count
from ..store import Dataset
from .bundled import BundledSegmenter
from .prepare import Image, Prepared, Spacing, coarse_axis, prepare, resample
from .window import Pixels, pad_to_patch, predict_logits, tiles

BATCH_SIZE = 16
_VOLUME = 3  # axes
CPU_SLICES = 2
"""Slices that one thread computes at once on the CPU: their activations then stay in the cache."""


@dataclass(frozen=True, repr=False)
class Segmenter(BundledSegmenter):
    """A loaded segmenter bundle. `spacing_mm` is that of the images it was exported for. `workers`: threads that work
    on different slices; on the CPU each of them computes all of a slice by itself."""

    bundle: Bundle
    domain: Domain
    spec: SegmenterSpec
    engine: Engine
    choice: Choice
    threads: int | None = None
    workers: int = 1

    @classmethod
    def load(cls, path: str | os.PathLike[str], provider: str = "cpu", threads: int | None = None,
             precision: str = "fp32") -> Self:
        """Open and check the bundle, and open its graph.

        provider, threads, precision: as in `Generator.load`.
        Raises BundleError for a bundle that is damaged or not a segmenter, ProviderError for a provider that is not
        available.
        """
        threads = None if threads is None else checked_count("threads", threads)
        bundle = Bundle.load(path)
        spec = bundle.manifest.segmenter
        if bundle.manifest.kind != "segmenter" or spec is None:
            raise BundleError(f"bundle {path} is a {bundle.manifest.kind}, expected a segmenter. Pass the folder of a "
                              "segmenter bundle, for example exported/lge-segmenter.")
        _check_graph(bundle, spec)
        return cls._open(bundle, choose_provider(bundle, provider, threads, precision), threads)

    @classmethod
    def _open(cls, bundle: Bundle, choice: Choice, threads: int | None) -> Self:
        """The segmenter of a bundle that was checked."""
        assert bundle.manifest.segmenter is not None
        on_cores = choice.provider == "cpu" and bundle.manifest.segmenter.axes == 2  # a volume gets all cores
        workers = (threads or available_cores()) if on_cores else 1
        engine = open_graph(bundle, "segmenter", choice.provider, 1 if on_cores else threads, choice.precision)
        return cls(bundle, bundle.domain(), bundle.manifest.segmenter, engine, choice, threads, workers)

    def __reduce__(self) -> tuple[object, ...]:
        """Another process opens the graph itself, on the same provider."""
        return Segmenter._open, (self.bundle, self.choice, self.threads)

    def with_threads(self, threads: int | None) -> "Segmenter":
        """This segmenter with its graph opened again, for another number of threads."""
        return Segmenter._open(self.bundle, self.choice, threads)

    def __repr__(self) -> str:
        return f"<Segmenter {self.name} on {self.choice.provider}, for {self.spec.axes}-D images of {self.domain.name}>"

    @property
    def spacing_mm(self) -> Spacing:
        return self.bundle.manifest.image.spacing_mm

    def settings_used(self, mirror: bool | None) -> dict[str, str | int | float]:
        return {"mirror": int(self.spec.mirror_by_default if mirror is None else mirror)}

    def check_fit(self, dataset: Dataset) -> None:
        """Raises InputError if the bundle is not made for the images of the file."""
        if dataset.domain != self.domain.name:
            raise InputError(f"{dataset.path}: belongs to the domain {dataset.domain!r}, the segmenter to "
                             f"{self.domain.name!r}. Use a segmenter of the same domain.")
        names = dataset.load_domain().labels.names
        if names != self.domain.labels.names:
            raise InputError(f"{dataset.path}: its labels are {list(names)}, the segmenter's "
                             f"{list(self.domain.labels.names)}. Use a segmenter of the same domain.")
        if len(dataset.shape) != self.spec.axes:
            raise InputError(f"{dataset.path}: holds images of shape {dataset.shape}; this segmenter takes "
                             f"{'slices' if self.spec.axes == 2 else 'volumes'}.")

    def images_at_once(self, batch_size: int) -> int:
        return batch_size

    def segment_rows(self, dataset: Dataset, rows: slice, batch_size: int, mirror: bool | None = None) -> LabelMap:
        """(n, *spatial) label maps of rows of a file."""
        return self.segment(dataset.images(rows), dataset.spacing_mm, batch_size, mirror)

    def segment(self, images: ArrayLike, spacing_mm: Spacing | None = None,
                batch_size: int = BATCH_SIZE, mirror: bool | None = None) -> LabelMap:
        """Label maps (N, *spatial) uint8 of images (N, *spatial) or (N, C, *spatial), in the domain's label values.

        spacing_mm: of the images, one number for each axis; None takes the bundle's. batch_size: slices that go through
        the network at once; volumes always go one by one. mirror: average over mirrored copies; None takes the bundle's
        default. Raises InputError for images that the segmenter cannot take.
        """
        ordered, spacing = self._checked(images, batch_size), self._checked_spacing(spacing_mm)
        use_mirror = self.spec.mirror_by_default if mirror is None else mirror
        size = self._at_once(batch_size)
        labels = np.zeros((len(ordered), *ordered.shape[2:]), dtype=np.uint8)

        def work(start: int) -> None:
            rows = slice(start, start + size)
            labels[rows] = self._labels(ordered[rows], spacing, use_mirror)

        starts = range(0, len(ordered), size)
        if self.workers == 1 or len(starts) < 2:
            for start in starts:
                work(start)
        else:
            with ThreadPoolExecutor(self.workers) as pool:
                list(pool.map(work, starts))  # a list, so that a failure is raised here
        back = np.argsort(self.spec.axis_order)
        return np.ascontiguousarray(labels.transpose(0, *(int(axis) + 1 for axis in back)))

    def _at_once(self, batch_size: int) -> int:
        """Number of images that go through the network together."""
        if self.spec.axes == 3:
            return 1
        return min(batch_size, CPU_SLICES) if self.choice.provider == "cpu" else batch_size

    def _labels(self, images: Image, spacing_mm: Spacing, mirror: bool) -> LabelMap:
        """Label maps (n, *spatial) of a few checked images (n, C, *spatial), axes in the network's order."""
        labels = np.zeros((len(images), *images.shape[2:]), dtype=np.uint8)
        axis = coarse_axis(self.spec.spacing_mm, spacing_mm)

        def network(batch: Pixels) -> Pixels:
            logits: Pixels = self.engine.run({"image": batch})["logits"]
            return logits

        for rows, group in self._groups(images, spacing_mm):
            self._require_memory(group)
            stack = np.stack([prepared.image for prepared in group])
            logits = predict_logits(network, stack, self.spec, mirror)
            for row, prepared, scores in zip(rows, group, logits, strict=True):
                back = resample(scores, prepared.cropped_shape, self.spec.logits_order, axis)
                labels[row][prepared.box] = decide(back, self.spec)
        return labels

    def _require_memory(self, group: list[Prepared]) -> None:
        """Raise InputError for a volume whose logits alone are larger than the free memory: summed over tiles at the
        network's spacing, and at the volume's own."""
        if self.spec.axes < _VOLUME:
            return
        network, own = group[0].image.shape[1:], group[0].cropped_shape
        values = math.prod(network) + (0 if network == own else math.prod(own))
        require_memory(len(self.spec.label_values) * values * np.dtype(np.float32).itemsize * len(group),
                       f"a volume of {list(own)} voxels, {list(network)} at the spacing of {self.name},",
                       "Cut the volume, or use a machine with more memory.")

    def features(self, images: ArrayLike, spacing_mm: Spacing | None = None,
                 batch_size: int = BATCH_SIZE) -> NDArray[np.float32]:
        """Feature vectors (N, F) from the network's encoder, averaged over tiles; for Frechet distances.

        Raises BundleError if the bundle holds no `features` graph.
        """
        ordered, spacing = self._checked(images, batch_size), self._checked_spacing(spacing_mm)
        size = batch_size if self.spec.axes == 2 else 1
        engine = open_graph(self.bundle, "features", self.choice.provider, self.threads, self.choice.precision)
        vectors: dict[int, NDArray[np.float32]] = {}
        for start in range(0, len(ordered), size):
            for rows, group in self._groups(ordered[start:start + size], spacing):
                padded, _ = pad_to_patch(np.stack([prepared.image for prepared in group]), self.spec.patch_size)
                boxes = tiles(padded.shape[2:], self.spec)
                answers = [engine.run({"image": np.ascontiguousarray(padded[:, :, *box])})["features"] for box in boxes]
                mean: NDArray[np.float32] = np.stack(answers).mean(axis=0)
                vectors.update(zip([start + row for row in rows], mean, strict=True))
        return np.stack([vectors[row] for row in range(len(ordered))])

    def _checked(self, images: ArrayLike, batch_size: int) -> Image:
        """(N, C, *spatial) float32 with the spatial axes in the network's order."""
        checked_count("segment: batch_size", batch_size)
        images = as_array(images, "segment")
        axes, channels = self.spec.axes, len(self.spec.normalisation)
        stacked = images[:, None] if images.ndim == axes + 1 else images
        if stacked.ndim != axes + 2 or stacked.shape[1] != channels or min(stacked.shape[2:]) < 1:
            names = ", ".join("DHW"[-axes:])
            raise InputError(f"segment: images have shape {images.shape}, expected (N, {names}) or "
                             f"(N, {channels}, {names}).")
        if not np.isfinite(stacked).all():
            raise InputError("segment: the images hold NaN or infinite values. Replace them first.")
        return stacked.astype(np.float32).transpose(0, 1, *(axis + 2 for axis in self.spec.axis_order))

    def _checked_spacing(self, spacing_mm: Spacing | None) -> Spacing:
        """One number for each axis, in the network's order."""
        spacing = self.spacing_mm if spacing_mm is None else tuple(
            as_array(spacing_mm, "segment: spacing_mm").ravel().tolist())
        if len(spacing) != self.spec.axes or not all(np.isfinite(spacing)) or min(spacing) <= 0:
            raise InputError(f"segment: spacing_mm is {spacing}, expected {self.spec.axes} positive numbers, one for "
                             "each axis.")
        return tuple(spacing[axis] for axis in self.spec.axis_order)

    def _groups(self, images: Image, spacing_mm: Spacing) -> Iterable[tuple[list[int], list[Prepared]]]:
        """Rows and prepared images that share a shape."""
        groups: dict[tuple[int, ...], tuple[list[int], list[Prepared]]] = {}
        for row, image in enumerate(images):
            prepared = prepare(image, spacing_mm, self.spec)
            rows, group = groups.setdefault(prepared.image.shape, ([], []))
            rows.append(row)
            group.append(prepared)
        return groups.values()


def decide(logits: NDArray[np.float32], spec: SegmenterSpec) -> LabelMap:
    """(K, *spatial) logits -> (*spatial) label values; the first channel wins a tie."""
    values = np.array(spec.label_values, dtype=np.uint8)
    if spec.decision == "argmax":
        return np.asarray(values[logits.argmax(axis=0)])
    labels = np.zeros(logits.shape[1:], dtype=np.uint8)
    for channel, value in zip(logits, values, strict=True):
        labels[channel > 0] = value
    return labels


def _check_graph(bundle: Bundle, spec: SegmenterSpec) -> None:
    graph = bundle.manifest.graphs["segmenter"]
    image, logits = tuple(graph.input("image").shape), tuple(graph.output("logits").shape)
    expected = ("N", len(spec.normalisation), *spec.patch_size), ("N", len(spec.label_values), *spec.patch_size)
    if (image, logits) != expected:
        raise BundleError(f"bundle {bundle.path}: the segmenter graph maps {list(image)} to {list(logits)}, but the "
                          f"segmenter section says {list(expected[0])} to {list(expected[1])}. Export it again.")
