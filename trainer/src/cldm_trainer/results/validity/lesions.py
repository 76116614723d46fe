"""Lesions taken out of label maps: out of those a segmenter learns from, and out of those it finds."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cldm_runtime.domains.domain import Domain
from cldm_runtime.domains.labels import LabelMap
from cldm_runtime.errors import InputError

from ...config.validity import HiddenLesions, SegmenterRecipe

Images = NDArray[np.float32]  # (N, C, *spatial)
Chosen = NDArray[np.bool_]


def surrounding_label(domain: Domain) -> int:
    """The label that a lesion's pixels get when the lesion is taken out: the first label of the smallest region that
    holds the lesion and more, else the background. Raises InputError for a domain without a lesion."""
    if domain.lesion is None:
        raise InputError(f"segmenters: domain {domain.name} has no lesion that could be hidden or cleaned. Leave out "
                         "the keys hidden, largest_piece, fewest_pixels and darker_than.")
    lesion = set(domain.labels.regions[domain.lesion])
    around = sorted((values for values in domain.labels.regions.values() if set(values) > lesion), key=len)
    return min(set(around[0]) - lesion) if around else 0


def check_lesion(recipe: SegmenterRecipe, domain: Domain) -> None:
    """Raises InputError for a recipe that cleans the lesion of a domain without one."""
    if recipe.largest_piece or recipe.fewest_pixels or recipe.darker_than > 0:
        surrounding_label(domain)


def hide(masks: LabelMap, images: Images, attributes: NDArray[np.floating], hidden: HiddenLesions,
         domain: Domain) -> LabelMap:
    """Label maps (N, *spatial) without the lesions that `hidden` names; attributes (N, A). Raises InputError for an
    unknown attribute."""
    gone = np.zeros(masks.shape, dtype=bool)
    if hidden.attribute:
        if hidden.attribute not in domain.attribute_names:
            raise InputError(f"segmenters: hidden.attribute is {hidden.attribute!r}, expected one of "
                             f"{', '.join(domain.attribute_names)}.")
        values = attributes[:, domain.attribute_names.index(hidden.attribute)]
        gone[(values >= hidden.low) & (values < hidden.high)] = True
    if hidden.darker_than > 0:
        gone |= images[:, 0] < hidden.darker_than
    return _without(masks, gone, domain) if gone.any() else masks


def clean(found: LabelMap, images: Images, recipe: SegmenterRecipe, domain: Domain) -> LabelMap:
    """Found label maps (N, *spatial) after the recipe's post-processing."""
    if not (recipe.largest_piece or recipe.fewest_pixels or recipe.darker_than > 0):
        return found
    cleaned = _without(found, images[:, 0] < recipe.darker_than, domain)
    assert domain.lesion is not None  # `surrounding_label` has checked
    lesions = domain.labels.region(cleaned, domain.lesion)
    return _without(cleaned, np.stack([_dropped(lesion, recipe) for lesion in lesions]), domain)


def _dropped(lesion: Chosen, recipe: SegmenterRecipe) -> Chosen:
    """The pieces of one lesion (*spatial) that post-processing drops; pieces are connected by faces."""
    pieces, count = ndimage.label(lesion)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    drop = sizes < recipe.fewest_pixels
    if recipe.largest_piece and count:
        drop |= np.arange(count + 1) != 1 + sizes[1:].argmax()
    return np.asarray(drop[pieces] & lesion)


def _without(masks: LabelMap, gone: Chosen, domain: Domain) -> LabelMap:
    """The lesion's pixels in `gone` get the label around the lesion."""
    label = surrounding_label(domain)
    lesion = domain.labels.region(masks, domain.lesion or "")
    return np.where(lesion & gone, np.uint8(label), masks)
