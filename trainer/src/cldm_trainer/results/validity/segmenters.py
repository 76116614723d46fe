"""The segmenters that are compared: a name, what decides its label maps, and a function from images to label maps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cldm_runtime.domains.domain import Domain
from cldm_runtime.domains.labels import LabelMap
from cldm_runtime.errors import InputError
from cldm_runtime.files.records import plain
from cldm_runtime.segmentation.segmenter import Segmenter

from ...config.validity import SegmenterRecipe
from ...training.run_folder import RunFolder
from .lesions import check_lesion, clean
from .training import derivation, predict, trained

Images = NDArray[np.float32]


@dataclass(frozen=True)
class ComparedSegmenter:
    """network: JSON values that say which network it is; several segmenters may share one. segment: images
    (N, C, *spatial) -> the network's label maps (N, *spatial) uint8. post: what `finish` (maps, images) does then.
    bundle: for people; "" for a network that was trained here.
    """

    name: str
    network: Mapping[str, Any]
    segment: Callable[[Images], LabelMap]
    post: Mapping[str, Any]
    finish: Callable[[LabelMap, Images], LabelMap]
    bundle: str = ""

    @property
    def identity(self) -> dict[str, Any]:
        """JSON values that its label maps depend on."""
        return {**self.network, **self.post}


def compared_segmenters(recipes: Mapping[str, SegmenterRecipe], run: RunFolder) -> list[ComparedSegmenter]:
    """One for each recipe. Bundles are opened and checked now; networks are trained when they are first used.

    Raises InputError for a bundle of another domain, BundleError for one that is missing or damaged.
    """
    return [_of_bundle(name, recipe, run) if recipe.bundle else _of_recipe(name, recipe, run)
            for name, recipe in recipes.items()]


def _of_bundle(name: str, recipe: SegmenterRecipe, run: RunFolder) -> ComparedSegmenter:
    segmenter, cohort = Segmenter.load(recipe.bundle), run.cohort
    if segmenter.domain.name != cohort.domain.name or segmenter.domain.labels.names != cohort.domain.labels.names:
        raise InputError(f"validity.segmenters.{name}: {Path(recipe.bundle)} is of the domain "
                         f"{segmenter.domain.name!r}, the cohort of {cohort.domain.name!r}. Use a segmenter of the "
                         "cohort's domain and labels.")
    finished = _finished(name, {"manifest_sha256": segmenter.bundle.manifest_sha256},
                         lambda images: segmenter.segment(images, cohort.spacing_mm), recipe, cohort.domain)
    return replace(finished, bundle=segmenter.bundle.identity)


def _of_recipe(name: str, recipe: SegmenterRecipe, run: RunFolder) -> ComparedSegmenter:
    network = cache(lambda: trained(name, recipe, run))
    return _finished(name, {"trained_from": derivation(recipe, run).text()},
                     lambda images: predict(network(), images), recipe, run.cohort.domain)


def _finished(name: str, network: Mapping[str, Any], segment: Callable[[Images], LabelMap], recipe: SegmenterRecipe,
              domain: Domain) -> ComparedSegmenter:
    """With the recipe's post-processing. Raises InputError where the domain has no lesion to process."""
    post = {key: plain(getattr(recipe, key)) for key in ("largest_piece", "fewest_pixels", "darker_than")}
    check_lesion(recipe, domain)
    return ComparedSegmenter(name, network, segment, post, lambda found, images: clean(found, images, recipe, domain))
