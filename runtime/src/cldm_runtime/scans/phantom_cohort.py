"""The phantom cohort of a domain, in the layout of users' data: nnU-Net raw.

imagesTr/labelsTr hold the training and validation patients, imagesTs/labelsTs every test patient, truthTr/truthTs the
true label maps of phantoms whose labels are a reader's; `subsets.json` and `splits_final.json` name the patients of
each subset. Existing files are kept, so an interrupted run continues where it stopped. The images of a patient depend
only on (seed, subset, patient).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ..bundle.declarations import find_domain
from ..domains.domain import Domain
from ..domains.phantom_rules import PhantomRules, true_labels
from ..errors import InputError
from ..files.atomic import write_json
from ..files.user_files import read_json
from ..runs.run import Progress
from .nnunet_raw import write_nifti
from .pool import process_pool
from .settings import CohortSettings

ENDING = ".nii.gz"


@dataclass(frozen=True)
class PhantomCase:
    """part: "Tr" or "Ts", as nnU-Net has it."""

    name: str
    subset: str
    patient: int
    part: str

    def image_files(self, folder: Path, channels: int) -> list[Path]:
        return [folder / f"images{self.part}" / f"{self.name}_{channel:04d}{ENDING}" for channel in range(channels)]

    def label_file(self, folder: Path, kind: str = "labels") -> Path:
        return folder / f"{kind}{self.part}" / f"{self.name}{ENDING}"


def list_cases(patients: Mapping[str, int], tests: Sequence[str], first: int = 0) -> list[PhantomCase]:
    """One case for each patient of each subset; the patients of every subset are numbered from `first`."""
    return [
        PhantomCase(f"phantom_{subset}_{patient:03d}", subset, patient, "Ts" if subset in tests else "Tr")
        for subset, count in patients.items()
        for patient in range(first, first + count)
    ]


def choose_phantom(domain: Domain, name: str) -> str:
    """The phantom that [cohort] names, or the domain's first. Raises InputError if the domain does not draw it."""
    if not domain.phantoms:
        raise InputError(f"domain {domain.name!r} draws no phantoms. Give a raw dataset of yours as prepare.raw.")
    chosen = name or next(iter(domain.phantoms))
    if chosen not in domain.phantoms:
        raise InputError(f"cohort.phantom: domain {domain.name} draws no phantom {chosen!r}. It draws "
                         f"{', '.join(domain.phantoms)}.")
    return chosen


def subset_sizes(settings: CohortSettings, rules: PhantomRules) -> dict[str, int]:
    """Number of patients of every subset. Raises InputError for a subset that the domain's phantoms lack."""
    unknown = sorted(settings.patients.keys() - rules.patients.keys())
    if unknown:
        raise InputError(f"cohort.{unknown[0]}_patients: domain {settings.domain} draws no subset {unknown[0]!r}. It "
                         f"draws {', '.join(rules.patients)}.")
    return {**rules.patients, **settings.patients}


def write_phantom_cohort(settings: CohortSettings, folder: Path, *, workers: int = 2,
                         progress: Progress | None = None) -> tuple[int, int]:
    """Write the raw dataset of the phantom cohort; returns the number of volumes written now, and of all volumes.

    progress: called with the number of volumes written and the number to write. Raises InputError if the folder holds a
    cohort of another seed or size, and if the domain has no phantoms.
    """
    domain = find_domain(settings.domain)
    name = choose_phantom(domain, settings.phantom)
    rules = domain.phantoms[name]
    sizes = subset_sizes(settings, rules)
    cases = list_cases(sizes, rules.tests, settings.first_patient)
    recipe = {"domain": domain.name, "phantom": name, "seed": settings.seed, "patients": sizes,
              **({"first_patient": settings.first_patient} if settings.first_patient else {})}
    _claim_folder(folder, recipe, next(iter(domain.phantoms)))
    missing = [case for case in cases if not all(
        file.is_file() for file in (*case.image_files(folder, len(rules.channels)), case.label_file(folder)))]
    for part in ("Tr", "Ts"):
        for kind in ("images", "labels"):
            (folder / f"{kind}{part}").mkdir(parents=True, exist_ok=True)
    _write_volumes(missing, partial(_write_volume, settings.domain, name, settings.seed, folder), workers, progress)
    _write_descriptions(domain, rules, cases, folder)
    return len(missing), len(cases)


def _claim_folder(folder: Path, recipe: Mapping[str, object], first: str) -> None:
    """Store the recipe of the cohort, or compare it with the stored one, so that a folder never mixes two cohorts.

    A stored recipe that names no phantom is of a time when the domain drew only its first.
    """
    file = folder / "phantom.json"
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        write_json(file, recipe)
        return
    stored = read_json(file)
    if not isinstance(stored, dict) or {"phantom": first} | stored != recipe:
        raise InputError(
            f"{folder} holds a phantom cohort of another recipe: {stored}, expected {recipe}. "
            "Choose another cohort folder or remove this one."
        )


def _write_volumes(cases: Sequence[PhantomCase], write: "partial[None]", workers: int,
                   progress: Progress | None) -> None:
    with process_pool(workers) as pool:
        for done, _ in enumerate(pool.map(write, cases) if pool else map(write, cases), 1):
            if progress:
                progress(done, len(cases))


def _write_volume(domain: str, phantom: str, seed: int, folder: Path, case: PhantomCase) -> None:
    """The label map is written last: all files exist only when the case is complete."""
    rules = find_domain(domain).phantoms[phantom]
    volume = rules.draw(seed, case.patient, case.subset)
    channels = volume.image if volume.image.ndim == 4 else volume.image[None]
    for file, image in zip(case.image_files(folder, len(rules.channels)), channels, strict=True):
        write_nifti(file, image.astype(np.float32), volume.spacing_mm)
    truth = true_labels(volume)
    if truth is not None:
        case.label_file(folder, "truth").parent.mkdir(exist_ok=True)
        write_nifti(case.label_file(folder, "truth"), truth.astype(np.uint8), volume.spacing_mm)
    write_nifti(case.label_file(folder), volume.labels.astype(np.uint8), volume.spacing_mm)


def describe_cohort(domain: Domain, rules: PhantomRules) -> dict[str, object]:
    """The dataset.json of a phantom cohort of any size."""
    return {
        "name": rules.title,
        "description": rules.description,
        "nature": "phantom",
        "channel_names": {str(number): name for number, name in enumerate(rules.channels)},
        "labels": {name: value for value, name in enumerate(domain.labels.names)},
        "file_ending": ENDING,
        **({"first_slice": domain.stack.ends[0]} if domain.stack else {}),
    }


def _write_descriptions(domain: Domain, rules: PhantomRules, cases: Sequence[PhantomCase], folder: Path) -> None:
    """dataset.json, splits_final.json (one fold: our split) and subsets.json."""
    by_subset: dict[str, list[str]] = {}
    for case in cases:
        by_subset.setdefault(case.subset, []).append(case.name)
    write_json(folder / "dataset.json",
               describe_cohort(domain, rules) | {"numTraining": sum(case.part == "Tr" for case in cases)})
    write_json(folder / "splits_final.json", [{"train": by_subset.get("train", []), "val": by_subset.get("val", [])}])
    write_json(folder / "subsets.json", by_subset)
