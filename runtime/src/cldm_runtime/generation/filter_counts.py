"""Counts what a quality filter did, over the parts of a run: how many samples were accepted or given up, and where."""

import json
from collections import Counter
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..domains.domain import Domain
from ..errors import InputError
from ..metrics.strata import bin_edges, bins_of
from ..store import Dataset, FilterBin, FilterRecord
from .quality_filter import QualityFilter, Sums

SUMS = "filter_sums"  # root attribute of a part: of each value in the rule, over its candidates, count and sum


def sums_text(sums: dict[str, Sums]) -> str:
    """The root attribute of a part."""
    return json.dumps({name: [each.count, each.total] for name, each in sums.items()})


class NothingPassed(InputError):
    """A quality filter accepted no sample of a run."""


class FilterCounts:
    """Takes the parts of a run in their order."""

    def __init__(self, keep: QualityFilter, domain: Domain) -> None:
        self._keep, self._domain = keep, domain
        self._sums = dict.fromkeys(keep.rule.names, Sums())
        self._tries, self._indices, self._rows = (list[NDArray[np.int64]]() for _ in range(3))
        self._reference: list[NDArray[np.float32]] = []

    def add(self, part: Dataset) -> NDArray[np.bool_]:
        """Count the samples of a part, and return (n,) which of them were accepted."""
        tries, indices, rows = part.tries, part.sample_index, part.grid_row
        assert tries is not None and indices is not None and rows is not None  # every part of such a run has them
        reference = part.requested if part.mask_attributes is None else part.mask_attributes
        if reference is not None:
            self._reference.append(reference)
        for name, (count, total) in json.loads(str(part.metadata[SUMS])).items():
            self._sums[name] = Sums(self._sums[name].count + count, self._sums[name].total + total)
        self._tries.append(tries)
        self._indices.append(indices)
        self._rows.append(rows)
        return np.asarray(tries > 0)

    def record(self) -> FilterRecord:
        """Of all parts. Raises NothingPassed if no sample was accepted."""
        keep, tries = self._keep, np.concatenate(self._tries)
        accepted, rejected = tries > 0, np.where(tries > 0, tries - 1, keep.tries)
        means = {name: sums.total / sums.count for name, sums in self._sums.items() if sums.count}
        if not accepted.any():
            found = ", ".join(f"{name} {mean:.3g}" for name, mean in means.items())
            raise NothingPassed(f"the rule {keep.rule.text!r}: none of {len(tries)} samples passed in {keep.tries} "
                                "tries each, so nothing was written. Means over all candidates: "
                                f"{found or 'none is defined'}. Loosen the rule.")
        given_up = np.concatenate(self._indices)[~accepted].tolist()
        rows = Counter(np.concatenate(self._rows)[~accepted].tolist())
        return FilterRecord(keep.rule.text, keep.tries, keep.segmenter.name,
                            str(keep.identity()["segmenter_sha256"]), len(tries), int(accepted.sum()),
                            int(rejected.sum()), means, tuple(given_up),
                            {str(row): count for row, count in sorted(rows.items()) if row >= 0},
                            self._bins(accepted, rejected) if self._reference else ())

    def _bins(self, accepted: NDArray[np.bool_], rejected: NDArray[np.int64]) -> tuple[FilterBin, ...]:
        """Bins of each attribute, with edges as in the strata of a report."""
        domain, reference = self._domain, np.concatenate(self._reference).astype(np.float64)
        counted = np.ones(len(reference), dtype=bool)
        if domain.lesion_size is not None:
            counted = reference[:, domain.attribute_names.index(domain.lesion_size)] > 0
        bins = []
        for column, attribute in enumerate(domain.attributes):
            values = reference[:, column]
            if not np.isfinite(values).any():
                continue
            edges = bin_edges(values, counted)
            numbers = bins_of(values, edges)
            for number, (low, high) in enumerate(pairwise(edges.tolist())):
                chosen = numbers == number
                asked, kept = int(chosen.sum()), int((chosen & accepted).sum())
                bins.append(FilterBin(attribute.name, attribute.unit, low, high, asked, kept, asked - kept,
                                      int(rejected[chosen].sum())))
        return tuple(bins)
