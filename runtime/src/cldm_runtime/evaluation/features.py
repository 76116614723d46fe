"""Networks that turn images into feature vectors, for Frechet and kernel distances: the encoder of a segmenter bundle,
or an ONNX file of the user's, such as an Inception exported elsewhere. Nothing is downloaded.

    extractor = open_extractor(Path("inception.onnx"))          # or segmenter_features(Segmenter.load(...))
    vectors = extractor(images, (1.0, 1.0))                     # (N, C, *spatial) in 0..1 -> (N, F)

Distances measured with different extractors are not comparable: state `name` and `sha256` with every number.
docs/metrics.md describes the ONNX files that are accepted.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..bundle.manifest import GraphSpec, TensorSpec
from ..bundle.onnx_scan import scan_model
from ..engines.engine import Engine
from ..engines.open import open_engine
from ..errors import BundleError, InputError, list_faults
from ..files.digest import sha256_of_bytes
from ..files.records import read_record
from ..files.user_files import read_json
from ..segmentation.segmenter import Segmenter

BATCH_SIZE = 16
Images = NDArray[np.floating]
Features = NDArray[np.float32]


class Extractor(Protocol):
    """`name` is for people, `sha256` that of the network's file."""

    @property
    def name(self) -> str: ...

    @property
    def sha256(self) -> str: ...

    def __call__(self, images: Images, spacing_mm: tuple[float, ...]) -> Features:
        """Vectors (N, F) of images (N, C, *spatial) in 0..1 with voxels of `spacing_mm`. Raises InputError for images
        that the network does not take."""


@dataclass(frozen=True)
class Convention:
    """The input that a network expects. A pixel x in 0..1 becomes y = low + (high - low) x, then (y - mean) / std.

    size: voxels along each axis, (rows, columns) of slices, that images are resized to; None: not resized. channels: of
    the network's input; images of one channel are copied to all of them. range: (low, high). mean, std: one number for
    each channel.
    """

    channels: int = 3
    size: tuple[int, ...] | None = (299, 299)
    range: tuple[float, float] = (-1.0, 1.0)
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)

    def apply(self, images: Images) -> NDArray[np.float32]:
        """The network's input (N, channels, *size) float32 from images (N, 1 or channels, *spatial)."""
        low, high = self.range
        seen = low + (high - low) * (resized(images, self.size) if self.size else images.astype(np.float64))
        mean, std = (np.array(values).reshape(-1, *[1] * (images.ndim - 2)) for values in (self.mean, self.std))
        return np.ascontiguousarray((seen - mean) / std, dtype=np.float32)


INCEPTION = Convention()


@dataclass(frozen=True)
class SegmenterFeatures:
    """The `features` graph of a segmenter bundle. The spacing is used: images are resampled to the network's."""

    segmenter: Segmenter

    @property
    def name(self) -> str:
        return f"encoder of {self.segmenter.bundle.identity}"

    @property
    def sha256(self) -> str:
        return self.segmenter.bundle.manifest.graphs["features"].sha256

    def __call__(self, images: Images, spacing_mm: tuple[float, ...]) -> Features:
        return self.segmenter.features(images, spacing_mm, batch_size=BATCH_SIZE)


@dataclass(frozen=True)
class GraphFeatures:
    """An ONNX graph with one input (N, C, *spatial) and one output, whose spatial axes, if it has any, are averaged.
    The spacing is not used."""

    name: str
    graph: GraphSpec
    engine: Engine
    convention: Convention

    @property
    def sha256(self) -> str:
        return self.graph.sha256

    def __call__(self, images: Images, spacing_mm: tuple[float, ...]) -> Features:
        axes, channels = len(self.graph.inputs[0].shape) - 2, self.convention.channels
        if images.ndim != axes + 2 or images.shape[1] not in (1, channels) or not np.isfinite(images).all():
            counts = " or ".join(map(str, dict.fromkeys((1, channels))))
            raise InputError(f"features {self.name}: images have shape {images.shape}, expected (N, {counts}, "
                             f"{', '.join('DHW'[-axes:])}) and finite values.")
        step = self.graph.inputs[0].shape[0]
        size = step if isinstance(step, int) else BATCH_SIZE
        parts = [self._batch(images[start:start + size], size) for start in range(0, len(images), size)]
        return np.concatenate(parts) if parts else np.zeros((0, 1), dtype=np.float32)

    def _batch(self, images: Images, size: int) -> Features:
        """Features of at most `size` images; a graph of fixed batch size gets the last image repeated."""
        fixed = isinstance(self.graph.inputs[0].shape[0], int)
        rows = np.minimum(np.arange(size if fixed else len(images)), len(images) - 1)
        try:
            outputs = self.engine.run({self.graph.inputs[0].name: self.convention.apply(images[rows])})
        except BundleError as error:
            raise InputError(f"features {self.name}: {error}") from error
        features = np.asarray(outputs[_output(self.graph).name][:len(images)], dtype=np.float32)
        if features.ndim < 2 or not np.isfinite(features).all():
            raise InputError(f"features {self.name}: the graph gives {features.shape} or values that are not finite, "
                             f"expected finite features ({len(images)}, F).")
        return features.mean(axis=tuple(range(2, features.ndim))) if features.ndim > 2 else features


def segmenter_features(segmenter: Segmenter) -> Extractor:
    """Features of the segmenter's encoder. Raises BundleError if its bundle has no `features` graph."""
    if "features" not in segmenter.bundle.manifest.graphs:
        raise BundleError(f"bundle {segmenter.bundle.path} has no graph features. Export it again, or give an ONNX "
                          "file of your own (--features).")
    return SegmenterFeatures(segmenter)


def graph_features(path: Path, convention: Convention | None = None, provider: str = "cpu",
                   threads: int | None = None) -> Extractor:
    """Features of the ONNX file `path`. `convention` defaults to the file `<path>.json`; without that file it is
    INCEPTION for 3 channels, and pixels in 0..1 for one channel.

    Raises InputError for a file that is missing, refused by `bundle/onnx_scan.py`, or of another shape.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"features {path}: {error.strerror or error}. Give the path of an ONNX file.") from error
    faults = scan_model(data)
    if faults:
        raise InputError(list_faults(f"features {path} is refused.", faults))
    from ..engines.onnx import declared_graph  # here, so that describing features does not load onnxruntime

    try:
        graph = declared_graph(data, path.name, threads)
        engine = open_engine(data, graph, provider, threads)
    except BundleError as error:
        raise InputError(f"features {path}: {error}") from error
    chosen = convention or _stored_convention(path) or _declared_convention(graph)
    _require_fit(path, graph, chosen)
    return GraphFeatures(f"{path.name} (sha256 {sha256_of_bytes(data)[:12]})", graph, engine, chosen)


def open_extractor(features: Path | None = None, segmenter: Path | None = None, provider: str = "cpu",
                   threads: int | None = None) -> Extractor:
    """The ONNX file `features`, else the encoder of the bundle `segmenter`.

    Raises InputError for a file that cannot be used, and if neither is given; BundleError for a bundle that cannot be
    used.
    """
    if features is not None:
        return graph_features(features, None, provider, threads)
    if segmenter is None:
        raise InputError("features: neither a file nor a segmenter is given. Pass --features or --segmenter.")
    return segmenter_features(Segmenter.load(segmenter, provider, threads))


def resized(images: Images, size: tuple[int, ...]) -> NDArray[np.float64]:
    """Images (..., *spatial) resized to (..., *size) with a triangle filter that widens with the step when an image
    shrinks, against aliasing (as Pillow's bilinear resize; Parmar et al., "On aliased resizing", arXiv 2104.11222)."""
    *before, rows, columns = (_triangle(old, new) for old, new in zip(images.shape[-len(size):], size, strict=True))
    result = np.asarray(rows @ images.astype(np.float64) @ columns.T)
    for axis, matrix in zip(range(-len(size), -2), before, strict=True):
        result = np.moveaxis(np.tensordot(matrix, result, (1, axis)), 0, axis)
    return result


def _triangle(before: int, after: int) -> NDArray[np.float64]:
    """(after, before) weights of the old pixels in each new one; rows sum to 1."""
    step = before / after
    centres = (np.arange(after) + 0.5) * step - 0.5
    weights = np.maximum(0.0, 1.0 - np.abs(np.arange(before)[None] - centres[:, None]) / max(step, 1.0))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _stored_convention(path: Path) -> Convention | None:
    """The convention in `<path>.json`; None if there is no such file."""
    file = path.with_name(path.name + ".json")
    if not file.is_file():
        return None
    faults: list[str] = []
    convention = read_record(Convention, read_json(file), "", faults)
    if convention is None:
        raise InputError(list_faults(f"features: {file} is not as docs/metrics.md describes it.", faults))
    return convention


def _declared_convention(graph: GraphSpec) -> Convention:
    """The convention without a file: Inception's for three channels, pixels in 0..1 for one; the graph's fixed size."""
    shape = graph.inputs[0].shape
    if len(shape) != 4 or shape[1] != 3:
        channels = shape[1] if len(shape) > 1 and isinstance(shape[1], int) else 1
        return Convention(channels, _fixed_size(graph), (0.0, 1.0), (0.0,) * channels, (1.0,) * channels)
    return Convention(size=_fixed_size(graph) or INCEPTION.size)


def _fixed_size(graph: GraphSpec) -> tuple[int, ...] | None:
    """Spatial size of the input; None unless the graph fixes all of it."""
    sizes = tuple(size for size in graph.inputs[0].shape[2:] if isinstance(size, int))
    return sizes if sizes and len(sizes) == len(graph.inputs[0].shape) - 2 else None


def _output(graph: GraphSpec) -> TensorSpec:
    """The only output, or the one named features."""
    named = [spec for spec in graph.outputs if spec.name == "features" or len(graph.outputs) == 1]
    if not named:
        raise InputError(f"features {graph.file}: the graph has the outputs "
                         f"{', '.join(spec.name for spec in graph.outputs)}. Keep one, or name one features.")
    return named[0]


def _require_fit(path: Path, graph: GraphSpec, convention: Convention) -> None:
    """Raise InputError that lists everything that does not fit."""
    faults = []
    if len(graph.inputs) != 1 or len(graph.inputs[0].shape) not in (4, 5) or graph.inputs[0].dtype != "float32":
        declared = ", ".join(f"{spec.name} {spec.dtype} {list(spec.shape)}" for spec in graph.inputs)
        raise InputError(f"features {path}: inputs are {declared}, expected one float32 image (N, C, H, W) or "
                         "(N, C, D, H, W).")
    channels, size = graph.inputs[0].shape[1], _fixed_size(graph)
    if convention.channels < 1 or (isinstance(channels, int) and channels != convention.channels):
        faults.append(f"channels: {convention.channels} stated, the graph takes {channels}")
    if any(len(values) != convention.channels for values in (convention.mean, convention.std)):
        faults.append(f"mean and std: {len(convention.mean)} and {len(convention.std)} numbers, one a channel expected")
    if min(convention.std, default=1.0) <= 0 or convention.range[0] >= convention.range[1]:
        faults.append("std must be above 0, and range two rising numbers")
    axes = len(graph.inputs[0].shape) - 2
    if convention.size is not None and (len(convention.size) != axes or min(convention.size) < 1):
        faults.append(f"size: {list(convention.size)}, expected {axes} numbers of at least 1")
    if size is not None and convention.size != size:
        faults.append(f"size: {convention.size} stated, the graph takes {size}")
    if faults:
        raise InputError(list_faults(f"features {path}: the graph and its convention do not fit.", faults))
    _output(graph)
