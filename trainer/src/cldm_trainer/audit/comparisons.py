"""What the classifier is trained on and asked about: two classes that differ in nothing but what is to be found out.

Both show the same label maps or attributes where these are known, both went through `levelled`, and the patients that
are asked about were not trained on.
"""

import numpy as np

from cldm_runtime.evaluation.distances import halves_by_group

from .images import ImageRows, Rows, levelled
from .sets import NOBODY, CohortSets, SyntheticImages, thinned
from .two_sample import Side


def cohort_and_synthetic(sets: CohortSets, samples: SyntheticImages, further: int, seed: int) -> tuple[Side, Side]:
    """Each compared slice against the first image that was made for it.

    Further images for the same slices, at most `further`, are trained on too, and as many training slices on the
    cohort's side. Where nothing says what an image was made for, as many images as slices are drawn at random.
    """
    compared, images = sets.compared, samples.images
    if samples.partners is None:
        count = min(len(compared), len(images))
        one, other = thinned(compared, count, seed), thinned(images, count, seed)
        return _side(sets, one, one.chosen(_NONE)), _side(sets, other, other.chosen(_NONE))
    partners, first = np.unique(samples.partners, return_index=True)
    paired = partners != NOBODY
    others = np.setdiff1d(np.flatnonzero(samples.partners != NOBODY), first[paired])
    more = thinned(images.chosen(others.astype(np.int64)), further, seed)
    cohort = _side(sets, compared.chosen(partners[paired]), thinned(sets.training, len(more), seed))
    return cohort, _side(sets, images.chosen(first[paired].astype(np.int64)), more)


def cohort_halves(sets: CohortSets, further: int, seed: int) -> tuple[Side, Side]:
    """The compared slices of one half of the patients against those of the other: nothing is to be found but patients.

    At most `further` training slices of other patients are trained on, on each side.
    """
    tested, more = (halves(rows, seed) for rows in (sets.compared, sets.training))
    count = min(len(half) for half in tested)
    one, other = (_side(sets, thinned(half, count, seed), thinned(extra, further, seed))
                  for half, extra in zip(tested, more, strict=True))
    return one, other


_NONE: Rows = np.zeros(0, dtype=np.int64)


def _side(sets: CohortSets, tested: ImageRows, more: ImageRows) -> Side:
    kinds = [tested.groups(f"{tested.path} slice")] + ([more.groups(f"{more.path} slice")] if len(more) else [])
    images = [rows.take(slice(None)) for rows in (tested, more) if len(rows)]
    return Side(levelled(np.concatenate(images), sets.percentiles), np.concatenate(kinds), len(tested))


def halves(images: ImageRows, seed: int) -> tuple[ImageRows, ImageRows]:
    """Two halves by patient, in random order, each patient to the half with fewer slices."""
    names, numbers = np.unique(images.groups("slice"), return_inverse=True)
    side = halves_by_group(numbers, np.random.default_rng([seed, len(names)]))
    one, other = (images.chosen(np.flatnonzero(side == half).astype(np.int64)) for half in (0, 1))
    return one, other
