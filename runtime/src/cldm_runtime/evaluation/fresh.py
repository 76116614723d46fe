"""Whether what a dataset file holds of a segmenter is of the images and label maps that the file holds now.

A segmentation says in an attribute (DERIVED_FROM) which images were segmented, and which label maps were measured and
scored. What it does not say is not compared: a segmentation of one's own has no record of its images, one by an earlier
version none at all.
"""

from ..errors import DatasetError, list_faults
from ..files.derived import Derivation, differences
from ..store import (
    ANNOTATIONS,
    DERIVED_FROM,
    IMAGES,
    LABEL_MAPS,
    MASKS,
    Content,
    Dataset,
    are_image_attributes_stale,
    are_mask_attributes_stale,
    label_maps_digest,
    read_content,
)


def recorded(dataset: Dataset, name: str) -> Derivation | None:
    """What a segmentation, and what was measured on it, was made from; None where it does not say."""
    return Derivation.read(str(dataset.segmentation(name).metadata.get(DERIVED_FROM, "")))


def is_of_these_images(dataset: Dataset, name: str, content: Content) -> bool:
    """Whether a segmentation is known to be of the file's images."""
    made = recorded(dataset, name)
    return made is not None and not differences(Derivation(_of_images(made), made.settings), content.only(IMAGES))


def refuse_other_images(dataset: Dataset, name: str, content: Content) -> None:
    """Raise DatasetError where a segmentation is known to be of other images."""
    made = recorded(dataset, name)
    if made is not None and IMAGES in made.sources and not is_of_these_images(dataset, name, content):
        changed = differences(Derivation(_of_images(made), made.settings), content.only(IMAGES))
        raise DatasetError(list_faults(
            f"{dataset.path}: the segmentation {name!r} is of other images than the file holds now. Segment these: "
            f"`cldm evaluate {dataset.path} --segmenter DIR`, or `cldm segment` with --overwrite and then `cldm "
            "measure`:", changed))


def measured_record(dataset: Dataset, name: str, content: Content) -> Derivation:
    """The record of a segmentation that is measured now, and scored on the reference where the file has one."""
    made = recorded(dataset, name)
    images = {} if made is None else _of_images(made)
    sources = {**images, LABEL_MAPS: label_maps_digest(dataset, dataset.segmentation(name))}
    return Derivation({**sources, **content.only(MASKS, ANNOTATIONS).sources}, content.derivation.settings)


def refuse_stale(dataset: Dataset, name: str) -> str:
    """Raise DatasetError where attributes or scores of a segmentation are of other images or label maps than the file
    holds. Returns the SHA-256 of all that a report is made from."""
    content = read_content(dataset)
    refuse_other_images(dataset, name, content)
    made, now = recorded(dataset, name), measured_record(dataset, name, content)
    changed = [] if made is None or LABEL_MAPS not in made.sources else differences(made, now)
    if are_mask_attributes_stale(dataset, content):
        changed.append("/attributes/mask: of other label maps than /masks")
    if are_image_attributes_stale(dataset, content):
        changed.append("/attributes/image: of other images or label maps than the file's")
    if changed:
        raise DatasetError(list_faults(
            f"{dataset.path}: holds measurements of other label maps than those that it holds now. Measure these: "
            f"`cldm measure {dataset.path}`:", changed))
    return now.sha256


def _of_images(made: Derivation) -> dict[str, str]:
    return {IMAGES: made.sources[IMAGES]} if IMAGES in made.sources else {}
