"""The segmenters that are compared: a name, what decides its label maps, and a function from images to label maps.
They are trained here, or given in any form that `cldm evaluate` takes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cldm_runtime.domains.domain import Domain
from cldm_runtime.domains.labels import LabelMap
from cldm_runtime.errors import InputError
from cldm_runtime.evaluation.segmenters.interface import AnySegmenter
from cldm_runtime.evaluation.segmenters.load import load_segmenter
from cldm_runtime.evaluation.segmenters.predictions import PredictionsFolder
from cldm_runtime.files.records import plain
from cldm_runtime.segmentation.segmenter import Segmenter
from cldm_runtime.store import Dataset, open_dataset

from ...config.validity import SegmenterRecipe
from ...training.run_folder import RunFolder
from .lesions import check_lesion, clean
from .training import derivation, predict, trained

Images = NDArray[np.float32]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class ComparedSegmenter:
    """network: JSON values that say which network it is; several segmenters may share one. segment: a dataset and rows
    (N,) of it -> the network's label maps (N, *spatial) uint8. post: what `finish` (maps, images) does then.
    bundle: for people; "" for a network that was trained here. is_repeatable: whether the same network always finds the
    same; code of the user's own may have changed.
    """

    name: str
    network: Mapping[str, Any]
    segment: Callable[[Dataset, Rows], LabelMap]
    post: Mapping[str, Any]
    finish: Callable[[LabelMap, Images], LabelMap]
    bundle: str = ""
    is_repeatable: bool = True

    @property
    def identity(self) -> dict[str, Any]:
        """JSON values that its label maps depend on."""
        return {**self.network, **self.post}


def compared_segmenters(recipes: Mapping[str, SegmenterRecipe], run: RunFolder) -> list[ComparedSegmenter]:
    """One for each recipe. What is given is opened and checked now; networks are trained when they are first used.

    Raises InputError for a segmenter that does not fit the cohort, BundleError for one that is missing or damaged.
    """
    return [_given(name, recipe, run) if recipe.bundle else _of_recipe(name, recipe, run)
            for name, recipe in recipes.items()]


def _given(name: str, recipe: SegmenterRecipe, run: RunFolder) -> ComparedSegmenter:
    segmenter, where = load_segmenter(recipe.bundle), f"validity.segmenters.{name}"
    if isinstance(segmenter, Segmenter):
        return _of_bundle(name, segmenter, recipe, run)
    if isinstance(segmenter, PredictionsFolder):
        raise InputError(f"{where}: {segmenter.origin} holds label maps of one file, but several files are segmented. "
                         "Give what makes them: a bundle, a network, a function or a program (docs/segmenters.md).")
    with open_dataset(run.cohort.file) as dataset:
        segmenter.check_fit(dataset)
    finished = _finished(name, segmenter.source(), partial(_segment, segmenter), recipe, run.cohort.domain)
    return replace(finished, bundle=segmenter.origin, is_repeatable=segmenter.is_repeatable)


def _segment(segmenter: AnySegmenter, dataset: Dataset, rows: Rows) -> LabelMap:
    """Rows that follow each other in one call."""
    pieces = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
    return np.concatenate([segmenter.segment_rows(dataset, slice(int(piece[0]), int(piece[-1]) + 1), len(piece))
                           for piece in pieces])


def _of_bundle(name: str, segmenter: Segmenter, recipe: SegmenterRecipe, run: RunFolder) -> ComparedSegmenter:
    cohort = run.cohort
    if segmenter.domain.name != cohort.domain.name or segmenter.domain.labels.names != cohort.domain.labels.names:
        raise InputError(f"validity.segmenters.{name}: {Path(recipe.bundle)} is of the domain "
                         f"{segmenter.domain.name!r}, the cohort of {cohort.domain.name!r}. Use a segmenter of the "
                         "cohort's domain and labels.")
    finished = _finished(name, {"manifest_sha256": segmenter.bundle.manifest_sha256},
                         lambda dataset, rows: segmenter.segment(dataset.images(rows), cohort.spacing_mm), recipe,
                         cohort.domain)
    return replace(finished, bundle=segmenter.bundle.identity)


def _of_recipe(name: str, recipe: SegmenterRecipe, run: RunFolder) -> ComparedSegmenter:
    network = cache(lambda: trained(name, recipe, run))
    return _finished(name, {"trained_from": derivation(recipe, run).text()},
                     lambda dataset, rows: predict(network(), dataset.images(rows)), recipe, run.cohort.domain)


def _finished(name: str, network: Mapping[str, Any], segment: Callable[[Dataset, Rows], LabelMap],
              recipe: SegmenterRecipe, domain: Domain) -> ComparedSegmenter:
    """With the recipe's post-processing. Raises InputError where the domain has no lesion to process."""
    post = {key: plain(getattr(recipe, key)) for key in ("largest_piece", "fewest_pixels", "darker_than")}
    check_lesion(recipe, domain)
    return ComparedSegmenter(name, network, segment, post, lambda found, images: clean(found, images, recipe, domain))
