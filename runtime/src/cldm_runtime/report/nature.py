"""What the images of a report are of, in words."""

from ..bundle.nature import images_sentence, nature_sentence, stated_sentence
from ..store import Dataset


def nature_sentences(dataset: Dataset, name: str) -> list[str]:
    """The nature of the cohort's images, or of the images that their generator was trained on; and of those that the
    anatomy and the segmenter were trained on."""
    metadata, segmentation = dataset.metadata, dataset.segmentation(name).metadata
    trained = {"Generator": stated_sentence(str(metadata["manifest"]))} if "manifest" in metadata else {}
    if "anatomy_bundle" in metadata:
        trained["Label maps"] = nature_sentence(str(metadata.get("anatomy_nature", "")))
    trained["Segmenter"] = nature_sentence(str(segmentation.get("nature", "")))
    images = [] if "manifest" in metadata else [images_sentence(dataset.nature)]
    return [*images, *(f"{who}: {sentence}" for who, sentence in trained.items())]
