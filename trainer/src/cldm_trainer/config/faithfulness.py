"""The section [faithfulness] of a configuration: which generators are asked whether their images show their masks."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class FaithfulnessConfig:
    """`cldm-train faithfulness`. Every generator takes label maps and draws images for those of the same slices."""

    generators: dict[str, str] = field(default_factory=dict)  # name -> folder of a bundle; empty: export.generator
    judged: tuple[str, ...] = ()  # names whose figures have goals; empty: every generator
    against: dict[str, str] = field(default_factory=dict)  # name -> name of another, for a comparison slice by slice
    segmenter: str = ""  # folder of its bundle; empty: export.segmenter
    subset: str = "test"  # of the cohort
    most_slices: int = 300  # of it; more are thinned evenly
    free: tuple[str, ...] = ()  # classes that are left free, one at a time, by bundles that can; empty: every class
    most_free_slices: int = 100  # for each of these classes
    judge_steps: int = 400  # of the network that tells images from the cohort's; 0: none
    replicates: int = 1000  # of the bootstrap
