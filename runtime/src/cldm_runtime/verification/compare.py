"""Errors of a bundle's outputs by engine and precision: the reference replayed, and samples next to provider cpu's.

    yardstick = Yardstick(Bundle.load("exported/lge"), Segmenter.load("exported/lge-segmenter"), samples=64)
    report = yardstick.report(Choice("openvino", "openvino", "bf16"))
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..bundle.bundle import Bundle
from ..bundle.manifest import Manifest
from ..bundle.reference import LOOP, reference_maps
from ..domains.labels import LabelMap
from ..engines.choose import Choice
from ..engines.engine import OFFERED, Engine
from ..errors import BundleError, InputError, ProviderError
from ..generation.generator import Generator
from ..metrics.parity import Flips, ImageParity, compare, label_flips
from ..requests.given_maps import ArrayMasks
from ..requests.grid import Grid, GridRow
from ..requests.sources import FreeRequests, GridRequests, RequestSource, mask_requests
from ..segmentation.segmenter import Segmenter, decide
from .replay import Check, Replay, check_output, open_graphs, replay

SEED = 0  # of the samples; their attributes are sampled from the bundle's distribution
Progress = Callable[[int, int], None]
Stage = Callable[[str], AbstractContextManager[Progress]]
"""Of what is done next: a context that gives a callback of what is done and all."""
_LOGITS = {"segmenter": "segmenter/logits", "anatomy": "decoder/logits"}  # kind of bundle -> output of its label maps
Float32 = NDArray[np.float32]


def _no_stage(label: str) -> AbstractContextManager[Progress]:
    return nullcontext(lambda done, total: None)


@dataclass(frozen=True)
class EngineReport:
    """The results of one provider and precision on a bundle, or in `missing` why it is not available.

    precision: of the arithmetic; that of the graphs unless another one is requested. flips: labels that differ between
    computed and expected logits, for bundles whose output is logits. reference, samples: for generators, the images.
    """

    provider: str
    precision: str
    checks: tuple[Check, ...] = ()
    flips: Flips | None = None
    reference: ImageParity | None = None
    samples: ImageParity | None = None
    missing: str = ""

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the outputs and attributes beyond their tolerance."""
        drifted = [f"{name}/{drift.attribute}" for name, parity in self.parities() for drift in parity.drifts
                   if not drift.passed]
        return (*(check.name for check in self.checks if not check.passed), *drifted)

    def parities(self) -> Iterator[tuple[str, ImageParity]]:
        """The comparisons of images, by name."""
        if self.reference is not None:
            yield "reference", self.reference
        if self.samples is not None:
            yield "samples", self.samples


class Yardstick:
    """What the engines of a bundle are compared with: its reference, and fp32 samples of provider cpu."""

    def __init__(self, bundle: Bundle, segmenter: Segmenter | None = None, samples: int = 0,
                 against: Bundle | None = None, threads: int | None = None, stage: Stage = _no_stage) -> None:
        """segmenter: segments the images of a generator; None: only their pixels are compared. samples: how many are
        generated in addition to the reference. against: bundle whose samples are the expected ones; None: this bundle.
        stage: shows how many samples are generated.

        Raises InputError if these do not fit the bundle.
        """
        self.bundle, self.against, self.segmenter = bundle, against or bundle, segmenter
        self.samples, self.threads, self.stage = samples, threads, stage
        manifest, expected = bundle.manifest, self.against.manifest
        if manifest.kind != "generator" and (segmenter is not None or samples):
            raise InputError(f"bundle {bundle.path} is a {manifest.kind}; a segmenter and samples are for generators. "
                             "Leave --segmenter and --samples out.")
        axes = len(manifest.image.shape)
        if segmenter is not None and (segmenter.domain.name, segmenter.spec.axes) != (manifest.domain, axes):
            raise InputError(f"segmenter {segmenter.name} takes images of {segmenter.spec.axes} axes of the domain "
                             f"{segmenter.domain.name}; bundle "
                             f"{bundle.path} makes images of {axes} axes of the domain {manifest.domain}. Pass another "
                             "--segmenter.")
        if against is not None and not samples:
            raise InputError(f"{against.path} gives the samples to compare with, but no samples are requested. Add "
                             "--samples N, or leave --against out.")
        if _made_for(manifest) != _made_for(expected):
            raise InputError(f"the images of {self.against.path} are made for {_made_for(expected)}, those of "
                             f"{bundle.path} for {_made_for(manifest)}. Pass --against a generator of the same images.")

    def report(self, choice: Choice) -> EngineReport:
        """The results of one engine. Raises BundleError and ProviderError."""
        return self._measured(choice, open_graphs(self.bundle, choice, self.threads))

    def reports(self, progress: Callable[[int, int], None] = lambda done, total: None) -> Iterator[EngineReport]:
        """Reports of every provider in every precision that it offers. One that is not available gets a report with
        the reason; if a provider lacks its first precision, it gets one such report only. `progress` is called with
        engines compared and all engines."""
        done, total = 0, sum(map(len, OFFERED.values()))
        for provider, offered in OFFERED.items():
            done += len(offered)
            for number, precision in enumerate(offered, 1):
                progress(done - len(offered) + number - 1, total)
                yield (report := self._report_or_reason(Choice(provider, provider, precision)))
                if report.missing and precision == offered[0]:
                    break
        progress(total, total)

    def _report_or_reason(self, choice: Choice) -> EngineReport:
        try:
            engines = open_graphs(self.bundle, choice, self.threads)
        except (BundleError, ProviderError) as error:  # the bundle may lack a form of its graphs
            return EngineReport(choice.provider, self._arithmetic(choice), missing=str(error))
        try:
            return self._measured(choice, engines)
        except ProviderError as error:
            return EngineReport(choice.provider, self._arithmetic(choice), missing=str(error))

    def _measured(self, choice: Choice, engines: Mapping[str, Engine]) -> EngineReport:
        played, manifest = replay(self.bundle, engines, choice.precision), self.bundle.manifest
        report = EngineReport(choice.provider, self._arithmetic(choice), played.checks)
        if manifest.kind != "generator":
            return replace(report, flips=self._reference_flips(played))
        image = f"{LOOP}/image"
        expected = played.expected[image]
        report = replace(report, reference=self._compared(played.actual[image], expected, self._segmented(expected)))
        if not self.samples or any(math.isnan(check.max_abs) for check in played.checks):
            return report
        images = self._drawn(self.bundle, choice)
        check = check_output(manifest, image, images, self._samples, choice.precision, "samples/image")
        return replace(report, checks=(*report.checks, check),
                       samples=self._compared(images, self._samples, self._samples_segmented))

    def _arithmetic(self, choice: Choice) -> str:
        """The requested precision and those of the graphs, without fp32; "fp32" if no other is among them."""
        of_graphs = [graph.precision for graph in self.bundle.manifest.graphs.values()]
        lower = dict.fromkeys(precision for precision in (*of_graphs, choice.precision) if precision != "fp32")
        return " and ".join(lower) or "fp32"

    def _reference_flips(self, played: Replay) -> Flips | None:
        """Labels that differ from the reference's; None if the shapes differ."""
        name = _LOGITS[self.bundle.manifest.kind]
        actual, expected = played.actual[name], played.expected[name]
        if actual.shape != expected.shape:
            return None
        return label_flips(self._labels_of(actual), self._labels_of(expected), self.bundle.domain())

    def _labels_of(self, logits: Float32) -> LabelMap:
        spec = self.bundle.manifest.segmenter
        if spec is None:  # an anatomy
            return np.asarray(logits.argmax(axis=1), dtype=np.uint8)
        return np.stack([decide(channels, spec) for channels in logits])

    def _compared(self, actual: Float32, expected: Float32, labels: LabelMap | None) -> ImageParity:
        seen = self._segmented(actual) if labels is not None and actual.shape == expected.shape else None
        pair = None if labels is None or seen is None else (seen, labels)
        return compare(actual, expected, self.bundle.manifest.image.value_range, self.bundle.domain(), pair,
                       self.bundle.manifest.image.spacing_mm)

    def _segmented(self, images: Float32) -> LabelMap | None:
        """Label maps of the images, clipped as in a dataset; None without a segmenter, or if a value is not finite."""
        if self.segmenter is None or not np.isfinite(images).all():
            return None
        image = self.bundle.manifest.image
        return self.segmenter.segment(np.clip(images, *image.value_range), image.spacing_mm)

    @cached_property
    def _samples(self) -> Float32:
        return self._drawn(self.against, Choice("cpu", "cpu"))

    @cached_property
    def _samples_segmented(self) -> LabelMap | None:
        return self._segmented(self._samples)

    def _drawn(self, bundle: Bundle, choice: Choice) -> Float32:
        """(N, C, *spatial) samples with the bundle's sampling defaults."""
        generator = Generator(bundle, choice, self.threads)
        source = _anything(generator, self.samples)
        images: list[Float32] = []
        with self.stage(f"samples of {bundle.path.name} on {choice.provider}") as progress:
            for batch in generator.batches(source, range(self.samples), SEED, generator.sampling):
                images.append(batch.images)
                progress(sum(map(len, images)), self.samples)
        return np.concatenate(images)


def _anything(generator: Generator, samples: int) -> RequestSource:
    """Requests without attributes; for a domain without an anatomy that needs label maps, the reference's maps."""
    if not generator.manifest.conditions:
        return FreeRequests(generator.domain)
    if generator.canvas.maps and generator.domain.anatomy is None:
        return mask_requests(ArrayMasks(reference_maps(generator.bundle.reference())), generator.canvas, "reference")
    return GridRequests.spread(Grid("", (GridRow(0, {}),), ""), samples, generator.canvas)


def _made_for(manifest: Manifest) -> str:
    image = manifest.image
    return (f"{manifest.domain}, {image.channels} x {' x '.join(map(str, image.shape))}, values {image.value_range}, "
            f"from {' and '.join(manifest.sources) or 'nothing'}")
