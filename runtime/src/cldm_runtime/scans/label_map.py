"""From the label values of a raw dataset to those of a domain.

A name that the domain has too means the same, unless the settings say otherwise; of other names a layout may know what
they stand for. A value may stand in several labels of dataset.json, as in nnU-Net's region-based training. The most
specific label that holds it decides, in any order of the labels: the one whose values all lie within each of the
others. An entry of [prepare.labels] for the value's number decides over all names. Where that leaves two meanings, it
is an error.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..domains.domain import Domain
from ..errors import InputError
from .nnunet_raw import RawDataset

IGNORE = "ignore"  # nnU-Net's name for voxels that nobody annotated
SECTION = "prepare.labels"
ENHANCING_TUMOUR, OLD_ENHANCING = "enhancing_tumour", 4  # the label of BraTS, and its value before 2023


def map_labels(raw: RawDataset, domain: Domain, mapping: Mapping[str, str], faults: list[str],
               section: str = SECTION) -> dict[int, int]:
    """Source value -> value of the domain; appends to `faults` what is not mapped or has two meanings.

    mapping: name in dataset.json, or value -> label of the domain; equal names need no entry. section: of the
    configuration, where the mapping stands.
    """
    names = domain.labels.names
    meant = {name: target for name, target in raw.meanings.items() if name not in names and target in names}
    by_name, by_number = _read_mapping(raw, domain, mapping, faults, section)
    by_name = meant | by_name
    meanings = {name: by_name.get(name, name if name in names else None) for name in raw.labels}
    lookup = {0: 0} | {value: names.index(target) for value, target in by_number.items()}
    unmapped: dict[str, list[int]] = {}
    for value in sorted({value for values in raw.labels.values() for value in values} - by_number.keys()):
        holders = _most_specific(value, raw.labels)
        found = {meanings[name] for name in holders}
        target = found.pop() if len(found) == 1 else None
        if target is not None:
            lookup[value] = names.index(target)
        elif len(holders) == 1:
            unmapped.setdefault(holders[0], []).append(value)
        elif value != 0:
            faults.append(_two_meanings(value, raw, meanings, section))
    known = ", ".join(names)
    faults.extend(f"{_named(name, raw.labels[name])} of {raw.source} is not mapped, and no other label says what "
                  f'{_listed(values)} is. Say it in [{section}]: "{name}" = "LABEL", where LABEL is one of {known}'
                  for name, values in unmapped.items() if name != IGNORE and values != [0])
    if lookup[0] and 0 not in by_number:
        faults.append(f"label {names[lookup[0]]!r} has the value 0 in {raw.source}, which nnU-Net keeps for the "
                      f'background. Write the files with other values, or say in [{section}] what 0 is: "0" = "LABEL"')
    faults.extend(_ignore_faults(raw, domain, by_name, by_number, section))
    return lookup


def _read_mapping(raw: RawDataset, domain: Domain, mapping: Mapping[str, str], faults: list[str],
                  section: str) -> tuple[dict[str, str], dict[int, str]]:
    """The entries of the mapping by name and by number, without those that are faulty."""
    by_name: dict[str, str] = {}
    by_number: dict[int, str] = {}
    for source, target in mapping.items():
        if target not in domain.labels.names:
            faults.append(f"{section}: {source} -> {target!r}, which is no label of {domain.name}. Known: "
                          f"{', '.join(domain.labels.names)}")
        elif source in raw.labels:
            by_name[source] = target
        elif source.isascii() and source.removeprefix("-").isdigit():
            by_number[int(source)] = target
        else:
            faults.append(f"{section}: {raw.source} has no label {source!r}. It has: {', '.join(raw.labels)}")
    return by_name, by_number


def _most_specific(value: int, labels: Mapping[str, tuple[int, ...]]) -> list[str]:
    """The labels that hold the value and lie within every other label that does; all that do, where none lies so."""
    holders = {name: set(values) for name, values in labels.items() if value in values}
    within = [name for name, values in holders.items() if all(values <= others for others in holders.values())]
    return within or list(holders)


def _two_meanings(value: int, raw: RawDataset, meanings: Mapping[str, str | None], section: str) -> str:
    holders = [f"{_named(name, raw.labels[name])}, {meanings[name] or 'which is not mapped'}"
               for name in _most_specific(value, raw.labels)]
    return (f"value {value} of {raw.source} has several meanings: {'; '.join(holders)}. No label lies within the "
            f'others. Say what the value is in [{section}]: "{value}" = "LABEL"')


def _ignore_faults(raw: RawDataset, domain: Domain, by_name: Mapping[str, str], by_number: Mapping[int, str],
                   section: str) -> list[str]:
    background = domain.labels.names[0]
    given = {by_number.get(value, by_name.get(IGNORE)) for value in raw.labels.get(IGNORE, ())}
    if given <= {background}:
        return []
    return [f"{_named(IGNORE, raw.labels[IGNORE])} of dataset.json is nnU-Net's mark of voxels that nobody annotated, "
            "and a cohort needs a label for every voxel. Annotate them; or, where they show nothing that has a label, "
            f'write {IGNORE} = "{background}" in [{section}]; or leave those cases out, and "{IGNORE}" out of '
            "dataset.json"]


def _named(name: str, values: tuple[int, ...]) -> str:
    return f"label {name!r} ({_listed(values)})"


def _listed(values: tuple[int, ...] | list[int]) -> str:
    return ", ".join(map(str, values))


def translate(labels: NDArray[np.int64], lookup: Mapping[int, int], names: Sequence[str] = ()) -> NDArray[np.uint8]:
    """Apply the label mapping. names: of the domain's labels, for the message. Raises InputError naming every unmapped
    value."""
    present = [int(value) for value in np.unique(labels)]
    unknown = [value for value in present if value not in lookup]
    if unknown:
        brats = ("If this is BraTS from before 2023, 4 is the enhancing tumour: cldm prepare --et-label 4. Else say"
                 if unknown == [OLD_ENHANCING] and sorted(lookup) == [0, 1, 2, 3] else "Say")
        one_of = f", where LABEL is one of {', '.join(names)}" if names else ""
        raise InputError(f"unknown label values {unknown}; known are {sorted(lookup)}. {brats} in [{SECTION}] what "
                         f'they are: "{unknown[0]}" = "LABEL"{one_of}. In an nnU-Net raw dataset, name them in '
                         "dataset.json")
    result = np.zeros(labels.shape, np.uint8)
    for value in present:
        result[labels == value] = lookup[value]
    return result
