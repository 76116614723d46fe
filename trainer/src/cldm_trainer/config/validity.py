"""The section [validity] of a configuration: which segmenters are compared, on images of what."""

import dataclasses
from dataclasses import dataclass

TRUTH, READER = "truth", "reader"


@dataclass(frozen=True)
class HiddenLesions:
    """Lesions that are missing in the label maps that a segmenter learns from, so that it never finds their like.

    Both rules name other label: the one around the lesion.
    """

    attribute: str = ""  # slices whose attribute is in [low, high) show no lesion; empty: no slice
    low: float = 0.0  # the attribute is at least this
    high: float = 1.0  # the attribute is below it
    darker_than: float = 0.0  # pixels of the lesion below this intensity (0 to 1, first channel)


@dataclass(frozen=True)
class SegmenterRecipe:
    """One segmenter: a given one, or a small network that the command trains. Of one that is given only the last three
    keys count."""

    bundle: str = ""  # a segmenter, in any form of docs/segmenters.md; empty: one is trained by the keys below
    network: str = "unet"  # unet, attention-unet or segresnet: MONAI's
    channels: tuple[int, ...] = (16, 32, 64)  # of each level; segresnet takes the first, and as many levels
    patch: int = 2  # pixel-unshuffle in front: 2 makes slices four times cheaper; volumes take 1
    share: float = 1.0  # of the training patients
    steps: int = 400  # of training
    batch_size: int = 8  # [samples] of one step
    learning_rate: float = 3e-3  # of Adam
    augment: bool = True  # mirroring and turns by 90 degrees, and small changes of intensity
    gamma: float = 1.0  # the training images are raised to this power
    inverted: bool = False  # the training images are 1 - image
    hidden: HiddenLesions = HiddenLesions()
    largest_piece: bool = False  # of what is found, only the largest connected piece of the lesion stays
    fewest_pixels: int = 0  # found pieces of the lesion with fewer pixels are dropped
    darker_than: float = 0.0  # found pixels of the lesion below this intensity are dropped


@dataclass(frozen=True)
class ValidityConfig:
    """`cldm-train validity`. The patients of `reference` are not those whose label maps the generators get."""

    generators: tuple[str, ...] = ()  # folders of bundles; empty: export.generator
    segmenters: dict[str, SegmenterRecipe] = dataclasses.field(default_factory=dict)  # name -> recipe
    reference: str = "test"  # the subset whose images are segmented
    label_maps: str = ""  # the subset whose label maps become synthetic images; empty: half the patients of `reference`
    scored_against: str = "truth"  # both sides: the true label maps; or "reader": a cohort's annotations
    most_slices: int = 300  # of each of the two sets; more are thinned evenly
    replicates: int = 1000  # of the bootstrap
