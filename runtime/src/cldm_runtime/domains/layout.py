"""A layout: how a dataset names its files, and what its label values mean. `scans/` reads by it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True)
class FileLayout:
    """One way to lay out a dataset in a folder.

    A pattern is the end of a file's path below the folder, with / between names. {word} stands for a part of the name,
    the same text wherever it occurs; * for any text within a name; [text] may be missing; {ending} is any ending of an
    image file. The parts other than {ending} say which files belong together.

    title: the dataset, as its makers call it. images: name of each channel -> pattern. label_maps: one pattern; with
    `one_region_each`, one for each label, whose file is above 0 where that label is, the later one where several are.
    case, patient: names made of the parts, such as "{patient}_{visit}"; empty: all parts, and the name of the case.
    labels: name -> the values that carry it; empty where the dataset does not say. meanings: name of a label -> label
    of a domain that it stands for where the domain has no label of its own name. lost_affine: the label maps may have
    the identity for an affine. remark: what a user should know, a sentence.
    """

    name: str
    title: str
    images: Mapping[str, str]
    label_maps: tuple[str, ...]
    labels: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    meanings: Mapping[str, str] = field(default_factory=dict)
    case: str = ""
    patient: str = ""
    one_region_each: bool = False
    lost_affine: bool = False
    remark: str = ""

    def __post_init__(self) -> None:
        for name in ("images", "labels", "meanings"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
