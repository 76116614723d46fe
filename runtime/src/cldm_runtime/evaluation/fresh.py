"""Whether what a dataset file holds of a segmenter is of the images and label maps that the file holds now.

A segmentation says in an attribute (DERIVED_FROM) which images were segmented, which label maps were measured and
scored, and what was found. One of a bundle by an earlier version does not, and `unknown_origins` says so. Of one's own
segmentation the images are those that the file held when it was first measured.
"""

from ..errors import DatasetError, list_faults
from ..files.derived import Derivation, differences
from ..store import (
    DERIVED_FROM,
    IMAGES,
    LABEL_MAPS,
    MASKS,
    MEASUREMENTS,
    Content,
    Dataset,
    are_image_attributes_stale,
    are_mask_attributes_stale,
    is_origin_of_mask_attributes_known,
    label_maps_digest,
    measurements_digest,
    read_content,
    references_digests,
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
        renew = (f"`cldm evaluate {dataset.path} --segmenter DIR`, or `cldm segment` with --overwrite and then `cldm "
                 "measure`" if _is_of_a_bundle(dataset, name) else
                 f"replace segmentations/{name} by your segmenter's new label maps, then run `cldm measure "
                 f"{dataset.path}`")
        raise DatasetError(list_faults(f"{dataset.path}: the segmentation {name!r} is of other images than the file "
                                       f"holds now. Segment these: {renew}:", changed))


def measured_record(dataset: Dataset, name: str, content: Content, measurements: str) -> Derivation:
    """The record of a segmentation that is measured now, and scored on the reference where the file has one.
    measurements: SHA-256 of what was found."""
    made = recorded(dataset, name)
    images = {} if made is None else _of_images(made)
    if not images and not _is_of_a_bundle(dataset, name):
        images = dict(content.only(IMAGES).sources)
    sources = {**images, LABEL_MAPS: label_maps_digest(dataset, dataset.segmentation(name)), MEASUREMENTS: measurements}
    return Derivation({**sources, **content.only(MASKS).sources}, content.derivation.settings)


def is_measured(dataset: Dataset, name: str) -> bool:
    """Whether a segmentation is known to be of the file's images, and its measurements of the label maps in the file.
    """
    content, made = read_content(dataset), recorded(dataset, name)
    return (made is not None and LABEL_MAPS in made.sources and is_of_these_images(dataset, name, content)
            and not _changes(dataset, name, content))


def refuse_stale(dataset: Dataset, name: str) -> str:
    """Raise DatasetError where attributes or scores of a segmentation are of other images or label maps than the file
    holds, or were changed. Returns the SHA-256 of all that a report is made from."""
    content = read_content(dataset)
    refuse_other_images(dataset, name, content)
    changed = _changes(dataset, name, content)
    if are_mask_attributes_stale(dataset, content):
        changed.append("/attributes/mask: of other label maps than /masks")
    if are_image_attributes_stale(dataset, content):
        changed.append("/attributes/image: of other images or label maps than the file's")
    if changed:
        raise DatasetError(list_faults(
            f"{dataset.path}: holds measurements of other label maps than those that it holds now, or changed ones. "
            f"Measure these: `cldm measure {dataset.path}`:", changed))
    now = _measured_now(dataset, name, content)
    return Derivation({**now.sources, **references_digests(dataset)}, now.settings).sha256


def unknown_origins(dataset: Dataset, name: str) -> list[str]:
    """What the file does not say of the segmentation and its measurements, so that nobody can tell whether what they
    were made from has changed since; with the command that renews them."""
    made, path = recorded(dataset, name), dataset.path
    sources = {} if made is None else made.sources
    unknown = []
    if IMAGES not in sources and _is_of_a_bundle(dataset, name):
        unknown.append(f"{path}: the segmentation {name!r} does not say which images it was made from, so they may "
                       f"have changed since. `cldm evaluate {path} --segmenter DIR` segments and measures them again.")
    elif LABEL_MAPS not in sources:
        unknown.append(f"{path}: the measurements of {name!r} do not say what they were made from, so it may have "
                       f"changed since. `cldm measure {path}` measures again.")
    if not is_origin_of_mask_attributes_known(dataset):
        unknown.append(f"{path}: /attributes/mask does not say which label maps it was measured on, so they may have "
                       f"changed since. `cldm measure {path}` measures again.")
    return unknown


def _changes(dataset: Dataset, name: str, content: Content) -> list[str]:
    """What has changed since a segmentation was measured, as far as its record tells."""
    made = recorded(dataset, name)
    if made is None or LABEL_MAPS not in made.sources:
        return []
    now = _measured_now(dataset, name, content)
    known = {source: value for source, value in now.sources.items()
             if source in made.sources or source not in (IMAGES, MEASUREMENTS)}
    return differences(made, Derivation(known, now.settings))


def _measured_now(dataset: Dataset, name: str, content: Content) -> Derivation:
    return measured_record(dataset, name, content, measurements_digest(dataset.segmentation(name)))


def _of_images(made: Derivation) -> dict[str, str]:
    return {IMAGES: made.sources[IMAGES]} if IMAGES in made.sources else {}


def _is_of_a_bundle(dataset: Dataset, name: str) -> bool:
    """And not one's own, of which no bundle is stated."""
    return "manifest_sha256" in dataset.segmentation(name).metadata
