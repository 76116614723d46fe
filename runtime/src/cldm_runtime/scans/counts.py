"""What a cohort holds: the lines that `prepare` prints, and what is missing in it for its use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..domains.domain import Domain
from ..errors import DatasetError
from ..store import open_dataset

NEEDED = {"train": "the networks learn from it", "val": "training chooses its models by it"}
DROPPED = "dropped_"  # metadata of a cohort: dropped_<subset>


@dataclass(frozen=True)
class Count:
    """Counts of a subset: patients, samples, the labelled slices that were dropped as not usable, and the samples that
    hold the domain's lesion (0 where it has none)."""

    patients: int
    samples: int
    dropped: int
    lesions: int = 0


def count_subsets(target: Path, domain: Domain) -> dict[str, Count]:
    """The counts of a cohort file: subsets in the order of first appearance, then those that lost every slice."""
    with open_dataset(target) as dataset:
        subsets, patients, metadata = dataset.subset, dataset.patients, dataset.metadata
        known = np.zeros((len(dataset), 0)) if dataset.mask_attributes is None else np.asarray(dataset.mask_attributes)
        lesions = with_lesion(dataset.attribute_names if known.size else (), known, domain)
    if subsets is None or patients is None:
        raise DatasetError(f"{target}: /subset or /patients is missing. Make it with `cldm prepare`.")
    subsets, patients = np.asarray(subsets), np.asarray(patients)
    emptied = [key.removeprefix(DROPPED) for key in metadata if key.startswith(DROPPED)]
    return {
        str(name): Count(len(np.unique(patients[subsets == name])), int((subsets == name).sum()),
                         int(metadata.get(f"{DROPPED}{name}", 0)), int(lesions[subsets == name].sum()))
        for name in dict.fromkeys([*subsets.tolist(), *emptied])
    }


def with_lesion(names: Sequence[str], measured: NDArray[np.floating], domain: Domain) -> NDArray[np.bool_]:
    """(n,) whether each row of (n, attributes) measured values belongs to a sample with the lesion."""
    if domain.lesion_size not in names:
        return np.zeros(len(measured), np.bool_)
    return np.asarray(measured[:, names.index(str(domain.lesion_size))] > 0)


def samples_of(domain: Domain) -> str:
    return "slices" if domain.axes == 2 else "volumes"


def count_lines(counts: Mapping[str, Count], domain: Domain) -> list[str]:
    """A line of text for each subset."""
    why = f": {domain.stack.dropped}" if domain.stack else ""
    dropped = {name: f" ({count.dropped} dropped{why})" if domain.axes == 2 else "" for name, count in counts.items()}
    return [f"  {name:8s} {count.patients:5d} patients {count.samples:6d} {samples_of(domain)}{dropped[name]}"
            for name, count in counts.items()]


def nothing_left(dropped: int, domain: Domain, ring: tuple[str, ...] | None) -> str:
    """The message for a cohort of which every labelled slice was dropped."""
    if domain.stack is None or not dropped:
        return "no labelled slice was found. Look at the label maps, and at dataset.json's labels."
    return f"all {dropped} labelled slices were dropped: {_rule(domain, ring)}. {_KEEP}"


def emptied(subset: str, patients: Sequence[str], dropped: int, domain: Domain, ring: tuple[str, ...] | None) -> str:
    """The message for a subset that has patients, and lost every labelled slice of them."""
    return (f"subset {subset!r} is empty: all {dropped} labelled slices of its patients ({', '.join(patients)}) were "
            f"dropped: {_rule(domain, ring)}. {_KEEP} Or name cases of other patients for {subset!r} in subsets.json.")


_KEEP = ("Look at the label maps and at [prepare.labels]. prepare.ring names other regions, and prepare.ring = [] "
         "keeps every slice that can be measured.")


def _rule(domain: Domain, ring: tuple[str, ...] | None) -> str:
    """Why slices are dropped."""
    if domain.stack is None:
        return "they cannot be used"
    ring = domain.stack.regions if ring is None else ring
    return f"{domain.stack.dropped} of {ring[0]} around {ring[1]}" if len(ring) == 2 else domain.stack.dropped


def warnings(counts: Mapping[str, Count], domain: Domain) -> list[str]:
    """What a user should know of a cohort before it is used, a sentence each."""
    noun, found = samples_of(domain), []
    for name, count in counts.items():
        if domain.lesion_size and count.lesions == 0 and any(other.lesions for other in counts.values()):
            found.append(f"subset {name!r}: none of {count.samples} {noun} holds {domain.lesion}.")
    samples = sum(count.samples for count in counts.values())
    if domain.lesion_size and samples and not any(count.lesions for count in counts.values()):
        found.append(f"none of {samples} {noun} holds {domain.lesion}: a generator trained on them draws "
                     "none. Look at the label maps and at [prepare.labels].")
    found.extend(f"there is no subset {name!r}: {use}. Name it in subsets.json, or set prepare.validation_share (for "
                 "at least two patients)." for name, use in NEEDED.items() if name not in counts)
    return found
