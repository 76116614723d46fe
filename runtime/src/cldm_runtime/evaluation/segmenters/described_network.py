"""A segmenter that is an ONNX file of the user's, with a description of what goes in and comes out.

The file is scanned by the rules for bundles before it is opened: no operators outside the allowed lists, no control
flow, no random numbers, no data in other files.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...bundle.manifest import GraphSpec
from ...bundle.onnx_scan import scan_model
from ...domains.labels import LabelMap
from ...engines.engine import AUTO, CPU_PROVIDERS, Engine
from ...engines.open import open_engine
from ...engines.processor import default_workers
from ...errors import BundleError, InputError, ProviderError, list_faults
from ...files.digest import sha256_of_bytes
from ...files.records import plain
from ...segmentation.prepare import Image, Spacing
from ...segmentation.segmenter import CPU_SLICES
from ...store import Dataset
from .description import SegmenterDescription, read_description
from .framing import Framed, framed, scaled, turned, turned_back, unframed
from .label_values import lacking, translated, value_table

_SUM_TOLERANCE = 0.02  # of probabilities; half precision stays far below
ChannelScores = NDArray[np.float32]


@dataclass(frozen=True, repr=False)
class DescribedNetwork:
    """The network of one description. `size` and `channels` are those of the graph's input."""

    path: Path  # of the description
    description: SegmenterDescription
    graph: GraphSpec
    engine: Engine
    provider: str
    size: tuple[int, ...]
    channels: int
    threads: int | None = None

    @classmethod
    def load(cls, path: Path, provider: str = "cpu", threads: int | None = None) -> "DescribedNetwork":
        """Raises InputError for a file that is missing, refused, or does not fit its description, and ProviderError."""
        description = read_description(path)
        file = path.parent / description.onnx
        data = _checked_bytes(file, description)
        from ...engines.onnx import declared_graph  # here, because it needs onnxruntime

        try:
            graph = declared_graph(data, str(file), threads)
            size, channels = _fitting(path, description, graph)
            chosen, engine = _opened(data, graph, provider, threads)
        except BundleError as error:
            raise InputError(f"{path}: {error}") from error
        return cls(path, description, graph, engine, chosen, size, channels, threads)

    def __reduce__(self) -> tuple[object, ...]:
        """Another process opens the graph itself, on the same provider."""
        return DescribedNetwork.load, (self.path.absolute(), self.provider, self.threads)

    def __repr__(self) -> str:
        return f"<DescribedNetwork {self.name} on {self.provider}, of {self.path}>"

    @property
    def name(self) -> str:
        return self.description.name

    @property
    def origin(self) -> str:
        return f"the network that {self.path} describes"

    @property
    def on_gpu(self) -> bool:
        return self.provider not in CPU_PROVIDERS

    @property
    def default_workers(self) -> int:
        return default_workers(self.provider)

    @property
    def is_repeatable(self) -> bool:
        return True

    def source(self, mirror: bool | None = None) -> dict[str, str | int | float]:
        """The network, what the description means (its comments do not count), and the provider."""
        meaning = {key: value for key, value in plain(self.description).items() if key not in ("name", "onnx")}
        digest = sha256_of_bytes(json.dumps(meaning, sort_keys=True).encode())
        return {"form": "onnx", "onnx_sha256": self.graph.sha256, "description_sha256": digest,
                "provider": self.provider}

    def made(self, stored: Mapping[str, str | int | float], mirror: bool | None = None) -> bool:
        return all(stored.get(key) == value for key, value in self.source().items())

    def check_fit(self, dataset: Dataset) -> None:
        """Raises InputError for images of other axes or channels, and for labels that the domain lacks."""
        value_table(self.description.labels, dataset.load_domain().labels, str(self.path))
        chosen, axes = self.description.input.channels or range(dataset.channels), self.description.input.axes
        if len(dataset.shape) != axes or len(chosen) != self.channels or max(chosen) >= dataset.channels:
            raise InputError(f"{dataset.path}: holds images of {dataset.channels} channel(s) and shape "
                             f"{dataset.shape}; {self.path} describes a network of {self.channels} channel(s) and "
                             f"{axes} axes that takes the channels {list(chosen)}. Set layout and channels in [input].")

    def lacking_regions(self, dataset: Dataset) -> list[str]:
        """Regions of the file's domain that the network has no channel for."""
        labels = dataset.load_domain().labels
        return lacking(value_table(self.description.labels, labels, str(self.path)), labels)

    def images_at_once(self, batch_size: int) -> int:
        return batch_size

    def segment_rows(self, dataset: Dataset, rows: slice, batch_size: int, mirror: bool | None = None) -> LabelMap:
        table = value_table(self.description.labels, dataset.load_domain().labels, str(self.path))
        images, labels = dataset.images(rows), list[LabelMap]()
        size = batch_size if self.on_gpu else min(batch_size, CPU_SLICES)
        for start in range(0, len(images), size):
            prepared = self.frames(images[start:start + size], dataset.spacing_mm)
            scores = self.scores(np.stack([each.image for each in prepared]))
            labels += [self._label_map(each, score, dataset.shape, table)
                       for each, score in zip(prepared, scores, strict=True)]
        return np.stack(labels)

    def with_threads(self, threads: int | None) -> "DescribedNetwork":
        return DescribedNetwork.load(self.path, self.provider, threads)

    def frames(self, images: Image, spacing_mm: Spacing) -> list[Framed]:
        """What the network sees of images (n, C, *spatial)."""
        frame = self.description.input
        spacing = (*spacing_mm[:-2], *(reversed(spacing_mm[-2:]) if frame.transpose else spacing_mm[-2:]))
        chosen = list(frame.channels) or list(range(images.shape[1]))
        return [framed(turned(scaled(image[chosen], self.description.intensity), frame),
                       np.asarray(turned(image, frame).any(axis=0)), spacing, frame, self.size) for image in images]

    def scores(self, inputs: Image) -> ChannelScores:
        """(n, K, *size) outputs for frames (n, C, *size); K is 1 for a label map."""
        count = self.graph.inputs[0].shape[0]
        step = count if isinstance(count, int) else len(inputs)
        parts = [self._batch(inputs[start:start + step], step) for start in range(0, len(inputs), step)]
        found = np.concatenate(parts)
        self._check_scores(found)
        return found

    def _batch(self, inputs: Image, size: int) -> ChannelScores:
        """At most `size` frames; a graph of fixed batch size gets the last one repeated."""
        tensor, last = self.graph.inputs[0], self.description.input.layout.endswith("C")
        rows = inputs[np.minimum(np.arange(size), len(inputs) - 1)]
        arranged = np.moveaxis(rows, 1, -1) if last else rows
        outputs = self.engine.run({tensor.name: np.ascontiguousarray(arranged, dtype=tensor.dtype)})
        found = np.asarray(outputs[self.output_name][:len(inputs)], np.float32)
        if self.description.output_kind == "labels" and found.ndim == inputs.ndim - 1:
            return found[:, None]
        found = np.moveaxis(found, -1, 1) if last else found
        if found.ndim != inputs.ndim or found.shape[2:] != self.size:
            raise InputError(f"{self.path}: the network gives {list(found.shape)} for {list(inputs.shape)}, expected "
                             f"(n, K, {', '.join(map(str, self.size))}). Set layout, and name of the output.")
        return found

    @property
    def output_name(self) -> str:
        assert self.description.output is not None
        return self.description.output.name or self.graph.outputs[0].name

    def _check_scores(self, scores: ChannelScores) -> None:
        """Raises InputError where numbers cannot be what the description says they are."""
        kind, where = self.description.output_kind, f"{self.path}: output.kind is {self.description.output_kind!r}"
        if not np.isfinite(scores).all():
            raise InputError(f"{self.path}: the network gives NaN or infinity. Look at what it sees: cldm segmenter "
                             "check.")
        low, high, sums = float(scores.min()), float(scores.max()), scores.sum(axis=1)
        if kind in ("softmax", "sigmoid") and not -_SUM_TOLERANCE <= low <= high <= 1 + _SUM_TOLERANCE:
            raise InputError(f"{where}, but the values reach from {low:.3g} to {high:.3g}, expected 0 to 1. They may "
                             f"be {'logits' if kind == 'softmax' else 'regions'}.")
        if kind == "softmax" and np.abs(sums - 1).max() > _SUM_TOLERANCE:
            raise InputError(f"{where}, but the channels of a pixel sum to {sums.min():.3g} to {sums.max():.3g}, "
                             "expected 1. They may be sigmoid.")
        given, named = {str(number) for number in range(scores.shape[1])}, set(self.description.labels)
        if kind != "labels" and given != named:
            wrong = [f"does not name {', '.join(sorted(given - named))}"] if given - named else []
            wrong += [f"names {', '.join(sorted(named - given))} besides"] if named - given else []
            raise InputError(f"{self.path}: the network gives the channels 0 to {scores.shape[1] - 1}, [labels] "
                             f"{' and '.join(wrong)}. Map a label that the domain lacks to its background.")

    def _label_map(self, image: Framed, scores: ChannelScores, shape: tuple[int, ...], table: NDArray[np.int16]
                   ) -> LabelMap:
        kind = self.description.output_kind
        found, inside = unframed(scores, image, 0 if kind == "labels" else 1)
        transposed = (*shape[:-2], shape[-1], shape[-2]) if self.description.input.transpose else shape
        labels = np.zeros(transposed, np.uint8)
        labels[image.box] = np.where(inside, self._decided(found, table), 0)
        return np.ascontiguousarray(turned_back(labels, self.description.input))

    def _decided(self, scores: ChannelScores, table: NDArray[np.int16]) -> LabelMap:
        """(K, *spatial) scores -> (*spatial) values of the domain."""
        output = self.description.output
        assert output is not None
        if output.kind == "labels":
            return translated(scores[0], table, str(self.path))
        if output.kind in ("softmax", "logits"):
            return np.asarray(table[scores.argmax(axis=0)], np.uint8)
        labels = np.zeros(scores.shape[1:], np.uint8)
        for channel, value in zip(scores, table, strict=False):
            labels[channel > (output.threshold if output.kind == "sigmoid" else 0)] = value
        return labels


def _checked_bytes(file: Path, description: SegmenterDescription) -> bytes:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: {error.strerror or error}. Give the path of an ONNX file, relative to the "
                         "description.") from error
    digest = sha256_of_bytes(data)
    if description.sha256 not in ("", digest):
        raise InputError(f"{file}: its sha256 is {digest}, the description says {description.sha256}. It is another "
                         "network, or was damaged: copy the file again. If it is the one that you mean, write its "
                         "sha256 into the description, or leave that key out.")
    faults = scan_model(data)
    if faults:
        raise InputError(list_faults(f"{file}: this network is refused.", faults))
    return data


def _opened(data: bytes, graph: GraphSpec, provider: str, threads: int | None) -> tuple[str, Engine]:
    """The engine; with auto on CUDA where it starts, else on the CPU."""
    if provider != AUTO:
        return provider, open_engine(data, graph, provider, threads)
    try:
        return "cuda", open_engine(data, graph, "cuda", threads)
    except (ProviderError, BundleError):
        return "cpu", open_engine(data, graph, "cpu", threads)


def _fitting(path: Path, description: SegmenterDescription, graph: GraphSpec) -> tuple[tuple[int, ...], int]:
    """Size and channels of the input. Raises InputError that lists what does not fit."""
    frame, tensor = description.input, graph.inputs[0]
    if len(graph.inputs) != 1 or len(tensor.shape) != frame.axes + 2:
        declared = ", ".join(f"{spec.name} {list(spec.shape)}" for spec in graph.inputs)
        raise InputError(f"{path}: the graph takes {declared}, expected one image of layout {frame.layout}.")
    last = frame.layout.endswith("C")
    stated: tuple[Any, ...] = tensor.shape[1:-1] if last else tensor.shape[2:]
    channels = tensor.shape[-1] if last else tensor.shape[1]
    names = [spec.name for spec in graph.outputs]
    faults = []
    if description.output is not None and description.output.name not in (names if len(names) > 1 else ["", *names]):
        faults.append(f"output.name: found {description.output.name!r}, expected one of {', '.join(names)}")
    size = frame.size or tuple(side for side in stated if isinstance(side, int))
    if len(size) != frame.axes or any(isinstance(side, int) and side != own for side, own in zip(stated, size,
                                                                                              strict=False)):
        faults.append(f"input.size: found {list(frame.size) or 'none'}, the graph states {list(stated)}")
    if not isinstance(channels, int):
        channels = len(frame.channels) or 1
    if frame.channels and len(frame.channels) != channels:
        faults.append(f"input.channels: found {list(frame.channels)}, the graph takes {channels}")
    if description.intensity.mean and len(description.intensity.mean) != channels:
        faults.append(f"intensity.mean: found {len(description.intensity.mean)} numbers, the graph takes {channels} "
                      "channels")
    if faults:
        raise InputError(list_faults(f"{path}: does not fit {graph.file}.", faults))
    return size, channels

