"""Which patient and which subset a case belongs to, as three optional JSON files next to the dataset say:

- `splits_final.json`, as nnU-Net writes it: a list of folds, each {"train": [cases], "val": [cases]};
- `subsets.json`: {subset name: [cases]}, which determines the subset of every case and overrides the folds;
- `patients.json`: {case: patient}, where several cases belong to one patient.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import InputError
from ..files.user_files import composed, read_json

SUBSETS, SPLITS, PATIENTS = "subsets.json", "splits_final.json", "patients.json"


def patients_of(folder: Path, own: Mapping[str, str], faults: list[str]) -> dict[str, str]:
    """The patient of each case: as `patients.json` says, else as `own` does (case -> patient)."""
    file = folder / PATIENTS
    if not file.is_file():
        return dict(own)
    stated = read_json(file)
    if not isinstance(stated, dict) or not all(type(patient) in (str, int) for patient in stated.values()):
        raise InputError(f"{file}: expected an object {{case: patient}}, where a patient is a text or a number.")
    patient_of = {composed(name): patient for name, patient in stated.items()}
    faults.extend(f"{file}: case {name} is not listed" for name in own if name not in patient_of)
    return {name: str(patient_of.get(name, patient)) for name, patient in own.items()}


def subsets_of(folder: Path, known: Mapping[str, str], patients: Mapping[str, str], fold: int,
               validation_share: float, faults: list[str]) -> dict[str, str]:
    """The subset of each case of `known`: case -> subset as folders say, "" or "train" for a case of training.

    `subsets.json` overrides it; else fold `fold` of `splits_final.json` divides the cases of training, else the last
    `validation_share` of their sorted patients are "val", unless a folder holds cases of "val".
    """
    if (folder / SUBSETS).is_file():
        return _named_subsets(folder / SUBSETS, list(known), faults)
    train = [name for name, subset in known.items() if subset in ("", "train")]
    file = folder / SPLITS
    if file.is_file():
        subsets = _of_fold(file, train, fold, faults)
    elif "val" in known.values():
        subsets = dict.fromkeys(train, "train")
    else:
        everyone = sorted({patients[name] for name in train})
        held_out = set(everyone[len(everyone) - _held_out(len(everyone), validation_share):])
        subsets = {name: "val" if patients[name] in held_out else "train" for name in train}
    return {**subsets, **{name: subset for name, subset in known.items() if subset not in ("", "train")}}


def _of_fold(file: Path, train: Sequence[str], fold: int, faults: list[str]) -> dict[str, str]:
    """The subset of each case of training that a fold of `splits_final.json` names."""
    folds = read_json(file)
    if not isinstance(folds, list) or not 0 <= fold < len(folds):
        raise InputError(f"{file}: there is no fold {fold}.")
    if not isinstance(folds[fold], dict) or not all(_are_names(folds[fold].get(part)) for part in ("train", "val")):
        raise InputError(f"{file}: fold {fold} is not {{train: [cases], val: [cases]}}.")
    parts = {subset: list(map(composed, folds[fold][subset])) for subset in ("train", "val")}
    chosen = {name: subset for subset, cases in parts.items() for name in cases}
    faults.extend(f"{file}, fold {fold}: case {name} is in train and in val" for name in parts["train"]
                  if name in parts["val"])
    faults.extend(
        f"{file}, fold {fold}: case {name} is in neither train nor val" for name in train if name not in chosen)
    faults.extend(
        f"{file}, fold {fold}: case {name} does not exist" for name in sorted(chosen) if name not in train)
    return {name: chosen[name] for name in train if name in chosen}


def _held_out(patients: int, share: float) -> int:
    """How many patients validate: their share, rounded; at least one of three or more, and never all."""
    if not 0 <= share < 1:
        raise InputError(f"prepare.validation_share: found {share}, expected a share of the patients, from 0 to "
                         "below 1.")
    least = 1 if share > 0 and patients >= 3 else 0
    return min(max(least, round(share * patients)), max(patients - 1, 0))


def split_note(folder: Path, known: Mapping[str, str], patients: Mapping[str, str], subsets: Mapping[str, str],
               share: float) -> str:
    """How the validation patients were chosen, as a sentence; "" where the dataset names them."""
    if any((folder / file).is_file() for file in (SUBSETS, SPLITS)) or "val" in known.values():
        return ""
    train, val = ({patients[name] for name, subset in subsets.items() if subset == part} for part in ("train", "val"))
    return (f"no subsets.json or splits_final.json names the validation patients: the last {len(val)} of "
            f"{len(train | val)} training patients are taken (prepare.validation_share = {share:g}).")


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _named_subsets(file: Path, names: Sequence[str], faults: list[str]) -> dict[str, str]:
    named = read_json(file)
    if not isinstance(named, dict) or not all(map(_are_names, named.values())):
        raise InputError(f"{file}: expected an object {{subset: [cases]}}.")
    subsets: dict[str, str] = {}
    for subset, cases in named.items():
        for name in map(composed, cases):
            if name in subsets:
                faults.append(f"{file}: case {name} is in {subsets[name]} and in {subset}")
            subsets[name] = str(subset)
    faults.extend(f"{file}: case {name} does not exist (or has no label map)" for name in subsets if name not in names)
    faults.extend(f"{file}: case {name} is in no subset" for name in names if name not in subsets)
    return {name: subset for name, subset in subsets.items() if name in names}


def check_patients(patients: Mapping[str, str], subset_of: Mapping[str, str], faults: list[str]) -> None:
    """Add a fault for each patient with cases in several subsets, who would leak from training into testing."""
    seen: dict[str, set[str]] = {}
    for name, subset in subset_of.items():
        seen.setdefault(patients[name], set()).add(subset)
    faults.extend(
        f"patient {patient} is in several subsets: {', '.join(sorted(subsets))}"
        for patient, subsets in seen.items()
        if len(subsets) > 1
    )
