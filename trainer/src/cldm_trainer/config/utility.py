"""The section [utility] of a configuration: what a segmenter learns from, and how it is trained."""

from dataclasses import dataclass, field

from .validity import SegmenterRecipe


@dataclass(frozen=True)
class AugmentationConfig:
    """`cldm-train utility --augment`: generated images beside few slices. Defaults are the size of LGESynthNet."""

    patients: int = 79  # of `utility.train` whose slices are learned from; fewer where it has fewer
    most_slices: int = 429  # of these; more are thinned evenly
    ratios: tuple[int, ...] = (1, 4)  # generated images for each slice
    keep_if: str = "infarct_dice >= 0.7 and abs(infarct_size_error) <= 0.03"  # rule of the quality filter
    judge: str = ""  # folder of the segmenter bundle that the filter uses; empty: export.segmenter
    tries: int = 8  # candidates of an image, at most
    small: float = 0.05  # lesions of a smaller size have figures of their own
    seeds: int = 5  # trainings on each set


@dataclass(frozen=True)
class UtilityConfig:
    """`cldm-train utility`. The segmenter's keys are those of `[validity.segmenters.NAME]`, but for `bundle`."""

    generator: str = ""  # folder of a bundle that takes label maps; empty: export.generator
    segmenter: SegmenterRecipe = field(default_factory=SegmenterRecipe)
    train: str = "train"  # the subset whose slices, and generated images of their label maps, are trained on
    test: str = "test"  # the subset whose slices are segmented
    most_slices: int = 600  # of `train`; more are thinned evenly
    most_test_slices: int = 300  # of `test`, likewise
    seeds: int = 3  # trainings on each kind of images
    replicates: int = 1000  # of the bootstrap
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
