"""The section [utility] of a configuration: what a segmenter learns from, and how it is trained."""

from dataclasses import dataclass, field

from .validity import SegmenterRecipe


@dataclass(frozen=True)
class UtilityConfig:
    """`cldm-train utility`. Of the segmenter's keys, those of its network and training count."""

    generator: str = ""  # folder of a bundle that takes label maps; empty: export.generator
    segmenter: SegmenterRecipe = field(default_factory=SegmenterRecipe)
    train: str = "train"  # the subset whose slices, and generated images of their label maps, are trained on
    test: str = "test"  # the subset whose slices are segmented
    most_slices: int = 600  # of `train`; more are thinned evenly
    most_test_slices: int = 300  # of `test`, likewise
    seeds: int = 3  # trainings on each kind of images
    replicates: int = 1000  # of the bootstrap
