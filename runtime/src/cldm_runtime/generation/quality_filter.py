"""Keeps only images that a segmenter reads as they were asked for.

A sample is generated up to `tries` times, and the first candidate that meets the rule is kept. Its request stays the
same; only its noise is new (`noise.seed_of_try`). Try 0 is the sample of a run without a filter. So a candidate depends
on bundle, seed, index and try, and on nothing else. The two of a pair are kept in the same try, if both meet the rule:
their noise is the same.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..bundle.manifest import SamplingSpec
from ..engines.engine import CPU_PROVIDERS
from ..errors import InputError, checked_count
from ..metrics.keep_rule import KeepRule, parse_rule
from ..metrics.overlap import ScoreReason, score, score_names
from ..noise import seed_of_try
from ..requests.sources import RequestSource, SampleRequest, measured_attributes
from ..segmentation.segmenter import Segmenter
from ..store import stored_values
from .batch import Batch
from .generator import Generator

TRIES = 8
Flags = NDArray[np.bool_]
Values = Mapping[str, NDArray[np.floating]]


@dataclass(frozen=True)
class QualityFilter:
    """A rule, the segmenter whose findings it judges, and how many candidates a sample has at most."""

    rule: KeepRule
    segmenter: Segmenter
    tries: int = TRIES

    @classmethod
    def of(cls, rule: str, generator: Generator, segmenter: Segmenter, tries: int = TRIES) -> Self:
        """Check a rule for the images of a generator. Raises InputError for a faulty rule, and for a segmenter that is
        not made for these images."""
        _check_fit(generator, segmenter)
        return cls(parse_rule(rule, known_names(generator)), segmenter, checked_count("tries", tries))

    def identity(self) -> dict[str, str | int]:
        """What the filter does to the content of a file; part of the plan."""
        source = self.segmenter.source()
        return {"rule": self.rule.text, "tries": self.tries, "segmenter": self.segmenter.name,
                "segmenter_sha256": str(source["manifest_sha256"]), "segmenter_provider": str(source["provider"]),
                "segmenter_precision": str(source["precision"])}

    def on_one_thread(self) -> "QualityFilter":
        """The filter with a segmenter that takes one core, if the CPU runs it."""
        provider, threads = self.segmenter.choice.provider, self.segmenter.threads
        return replace(self, segmenter=self.segmenter.with_threads(1)) if (
            provider in CPU_PROVIDERS and threads != 1) else self

    def values(self, batch: Batch, generator: Generator, asked: NDArray[np.float32]) -> Values:
        """(n,) for each name in the rule. The images are judged as a file stores them. asked: (n, A), of
        `reference_attributes`."""
        domain, image = generator.domain, generator.manifest.image
        labels = self.segmenter.segment(stored_values(batch.images, *image.value_range), image.spacing_mm)
        found = domain.measure(labels, image.spacing_mm).values.astype(np.float64)
        values: dict[str, NDArray[np.floating]] = {}
        for column, name in enumerate(domain.attribute_names):
            reference = asked[:, column].astype(np.float64)
            values |= {name: found[:, column], f"{name}_reference": reference,
                       f"{name}_error": _errors(found[:, column], reference)}
        scored = set(self.rule.names) & set(score_names(domain.labels))
        if scored and batch.masks is not None:
            scores = score(labels, batch.masks, domain.labels, image.spacing_mm)
            values |= {name: _decided(name, scores[name], scores.why(name)) for name in scored}
        return {name: values[name] for name in self.rule.names}


def known_names(generator: Generator) -> tuple[str, ...]:
    """The names that a rule may have: scores against the label map if the bundle takes one, attributes that the
    segmentation has, and how far they are from those of the label map, or from the requested ones."""
    domain, canvas = generator.domain, generator.canvas
    found = [attribute.name for attribute in domain.attributes if attribute.measurable]
    asked = [name for name in found if canvas.maps or name in canvas.attributes]
    return (*(score_names(domain.labels) if canvas.maps else ()), *found, *(f"{name}_error" for name in asked),
            *(f"{name}_reference" for name in asked))


def reference_attributes(batch: Batch, generator: Generator) -> NDArray[np.float32]:
    """(n, A) attributes of the label maps, or the requested ones where images have none."""
    if batch.masks is None:
        return batch.requested
    return measured_attributes(batch.masks, list(batch.requested), generator.domain,
                               generator.manifest.image.spacing_mm)[0]


def _errors(found: NDArray[np.float64], asked: NDArray[np.float64]) -> NDArray[np.float64]:
    """Found minus asked. 0 where both are undefined, as agreement on absence is; infinite where one of them is."""
    lacking = np.isnan(found), np.isnan(asked)
    return np.where(lacking[0] & lacking[1], 0.0, np.where(lacking[0] | lacking[1], np.inf, found - asked))


def _decided(name: str, values: NDArray[np.float32], reasons: NDArray[np.uint8]) -> NDArray[np.float64]:
    """A score for each sample: perfect where neither side has the region, and an infinite distance where one has."""
    perfect = 1.0 if name.endswith("_dice") else 0.0
    undefined = np.where(reasons == ScoreReason.BOTH_EMPTY, perfect, np.inf)
    return np.where(np.isnan(values), undefined, values).astype(np.float64)


def _check_fit(generator: Generator, segmenter: Segmenter) -> None:
    """Raises InputError for a segmenter of other labels or images."""
    ours, theirs = generator.domain, segmenter.domain
    taken, made = segmenter.spec, generator.manifest.image
    for what, expected, found in (("domain", ours.name, theirs.name),
                                  ("labels", ours.labels.names, theirs.labels.names),
                                  ("spatial axes", len(made.shape), taken.axes),
                                  ("channels", made.channels, len(taken.normalisation))):
        if expected != found:
            raise InputError(f"segmenter {segmenter.bundle.path}: its {what}: {found}, those of the generated images: "
                             f"{expected}. Give a segmenter that was made for such images.")


@dataclass(frozen=True)
class Sums:
    """Of a value over candidates: how many are finite, and their sum."""

    count: int = 0
    total: float = 0.0

    def with_values(self, values: NDArray[np.floating]) -> "Sums":
        finite = values[np.isfinite(values)].astype(np.float64)
        return Sums(self.count + finite.size, self.total + float(finite.sum()))


def filtered(generator: Generator, source: RequestSource, keep: QualityFilter, samples: range, seed: int,
             settings: SamplingSpec) -> tuple[Batch, dict[str, Sums]]:
    """All of `samples` with their `tries`, and sums of the values in the rule over all candidates. Of samples without
    an accepted candidate the last one is given, with 0 tries. Those still without one share batches in each try. Pairs
    are not cut by the ends of `samples`."""
    chosen, references = dict[int, Batch](), dict[int, NDArray[np.float32]]()
    sums = dict.fromkeys(keep.rule.names, Sums())
    requests: Iterable[SampleRequest] = (source.request(seed, index) for index in samples)
    for number in range(keep.tries):
        asked: dict[int, SampleRequest] = {}
        for batch in generator.of_requests(_noted(requests, asked), seed_of_try(seed, number), settings):
            indices = batch.sample_index.tolist()
            if not number:  # later tries have the same requests
                references |= zip(indices, reference_attributes(batch, generator), strict=True)
            values = keep.values(batch, generator, np.stack([references[index] for index in indices]))
            sums = {name: sums[name].with_values(values[name]) for name in sums}
            accepted = keep.rule.holds(values)
            for row, index in enumerate(indices):
                chosen[index] = _only(batch, row, number + 1 if accepted[row] else 0)
        rejected = {_group(request) for index, request in asked.items() if not chosen[index].tries}
        requests = [request for request in asked.values() if _group(request) in rejected]
        for request in requests:
            chosen[request.index] = chosen[request.index]._replace(tries=np.zeros(1, dtype=np.int64))
        if not requests:
            break
    return _joined([chosen[index] for index in samples]), sums


def _group(request: SampleRequest) -> tuple[str, int]:
    """The samples that are kept together have the same."""
    return ("sample", request.index) if request.pair is None else ("pair", request.pair)


def _noted(requests: Iterable[SampleRequest], asked: dict[int, SampleRequest]) -> Iterator[SampleRequest]:
    for request in requests:
        asked[request.index] = request
        yield request


def _only(batch: Batch, row: int, tries: int) -> Batch:
    """One sample, which keeps nothing of the others in memory."""
    values = (None if column is None else column[row:row + 1].copy() for column in batch)
    return Batch(*values)._replace(tries=np.array([tries], dtype=np.int64))  # type: ignore[arg-type]


def _joined(batches: list[Batch]) -> Batch:
    columns = zip(*batches, strict=True)
    return Batch(*(None if column[0] is None else np.concatenate(column) for column in columns))  # type: ignore[arg-type]
