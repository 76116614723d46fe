"""The phantom cohort of a domain, in a layout of users' data: nnU-Net raw, or that of BraTS from 2023.

nnU-Net raw: imagesTr/labelsTr hold the training and validation patients, imagesTs/labelsTs every test patient,
truthTr/truthTs the true label maps of phantoms whose labels are a reader's; `subsets.json` and `splits_final.json` name
the patients of each subset. BraTS: BraTS-GLI-00000-000/BraTS-GLI-00000-000-t1n.nii.gz and so on, and `subsets.json`.

Existing files are kept, so an interrupted run continues where it stopped. The images of a patient depend only on (seed,
subset, patient) and the number of voxels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..bundle.declarations import find_domain
from ..domains.domain import Domain
from ..domains.phantom_rules import PhantomRules
from ..errors import InputError
from ..files.atomic import write_json
from ..files.user_files import read_json
from ..runs.run import Progress
from .nnunet_raw import write_nifti
from .pool import process_pool
from .settings import PHANTOM_RECIPE, CohortSettings

ENDING = ".nii.gz"
BRATS_NUMBERS = 20_000  # of the patients of a subset


@dataclass(frozen=True)
class PhantomCase:
    """images: a file for each channel; label, truth: files of the label map and of the true one; all below the folder
    of the cohort. part: "Tr" or "Ts", as nnU-Net has it."""

    name: str
    subset: str
    patient: int
    part: str
    images: tuple[str, ...]
    label: str
    truth: str

    def is_complete(self, folder: Path) -> bool:
        return all((folder / file).is_file() for file in (*self.images, self.label))


def list_cases(rules: PhantomRules, patients: Mapping[str, int], first: int = 0) -> list[PhantomCase]:
    """One case for each patient of each subset; the patients of every subset are numbered from `first`.

    Raises InputError for more patients than the names of BraTS have numbers for.
    """
    most = max((first + count for count in patients.values()), default=0)
    if rules.collection and most > BRATS_NUMBERS:
        raise InputError(f"cohort: {most} patients of a subset, expected at most {BRATS_NUMBERS}. Choose fewer, or a "
                         "smaller first_patient.")
    describe = _brats_case if rules.collection else _nnunet_case
    return [describe(rules, subset, patient) for subset, count in patients.items()
            for patient in range(first, first + count)]


def _nnunet_case(rules: PhantomRules, subset: str, patient: int) -> PhantomCase:
    name, part = f"phantom_{subset}_{patient:03d}", "Ts" if subset in rules.tests else "Tr"
    images = tuple(f"images{part}/{name}_{channel:04d}{ENDING}" for channel in range(len(rules.channels)))
    return PhantomCase(name, subset, patient, part, images, f"labels{part}/{name}{ENDING}",
                       f"truth{part}/{name}{ENDING}")


def _brats_case(rules: PhantomRules, subset: str, patient: int) -> PhantomCase:
    """The patients of each subset have numbers of their own."""
    number = list(rules.patients).index(subset) * BRATS_NUMBERS + patient
    name = f"BraTS-{rules.collection}-{number:05d}-000"
    return PhantomCase(name, subset, patient, "Ts" if subset in rules.tests else "Tr",
                       tuple(f"{name}/{name}-{channel}{ENDING}" for channel in rules.channels),
                       f"{name}/{name}-seg{ENDING}", f"{name}/{name}-truth{ENDING}")


def choose_phantom(domain: Domain, name: str) -> str:
    """The phantom that [cohort] names, or the domain's first. Raises InputError if the domain does not draw it."""
    if not domain.phantoms:
        raise InputError(f"domain {domain.name!r} draws no phantoms. Give a raw dataset of yours as prepare.raw.")
    chosen = name or next(iter(domain.phantoms))
    if chosen not in domain.phantoms:
        raise InputError(f"cohort.phantom: domain {domain.name} draws no phantom {chosen!r}. It draws "
                         f"{', '.join(domain.phantoms)}.")
    return chosen


def chosen_rules(domain: Domain, settings: CohortSettings) -> PhantomRules:
    """The phantom of [cohort], on the number of voxels that it states. Raises InputError."""
    name = choose_phantom(domain, settings.phantom)
    rules = domain.phantoms[name]
    if not settings.phantom_shape:
        return rules
    found = f"cohort.phantom_shape: found {list(settings.phantom_shape)}, "
    if rules.with_shape is None:
        raise InputError(f"{found}but the volumes of {name} have one size. Leave it out.")
    try:
        return rules.with_shape(settings.phantom_shape)
    except ValueError as error:
        raise InputError(f"{found}{error}.") from error


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
    rules = chosen_rules(domain, settings)
    sizes = subset_sizes(settings, rules)
    cases = list_cases(rules, sizes, settings.first_patient)
    recipe = {"domain": domain.name, "phantom": name, "seed": settings.seed, "patients": sizes,
              **({"first_patient": settings.first_patient} if settings.first_patient else {}),
              **({"shape": list(settings.phantom_shape)} if settings.phantom_shape else {})}
    _claim_folder(folder, recipe, next(iter(domain.phantoms)))
    missing = [case for case in cases if not case.is_complete(folder)]
    if not rules.collection:
        for part in ("Tr", "Ts"):
            for kind in ("images", "labels"):
                (folder / f"{kind}{part}").mkdir(parents=True, exist_ok=True)
    _write_volumes(missing, partial(_write_volume, settings, folder), workers, progress)
    _write_descriptions(domain, rules, cases, folder)
    return len(missing), len(cases)


def _claim_folder(folder: Path, recipe: Mapping[str, object], first: str) -> None:
    """Store the recipe of the cohort, or compare it with the stored one, so that a folder never mixes two cohorts.

    A stored recipe that names no phantom is of a time when the domain drew only its first.
    """
    file = folder / PHANTOM_RECIPE
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


def _write_volume(settings: CohortSettings, folder: Path, case: PhantomCase) -> None:
    """The label map is written last: all files exist only when the case is complete."""
    rules = chosen_rules(find_domain(settings.domain), settings)
    volume = rules.draw(settings.seed, case.patient, case.subset)
    channels = volume.image if volume.image.ndim == 4 else volume.image[None]
    affine = _brats_affine(volume.labels.shape, volume.spacing_mm) if rules.collection else None
    kind = np.int16 if rules.collection else np.float32

    def write(name: str, array: NDArray[np.generic]) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        write_nifti(folder / name, array, volume.spacing_mm, affine)

    for file, image in zip(case.images, channels, strict=True):
        write(file, image.astype(kind))
    if volume.truth is not None:
        write(case.truth, volume.truth.astype(np.uint8))
    write(case.label, volume.labels.astype(np.uint8))


def _brats_affine(shape: Sequence[int], spacing_mm: Sequence[float]) -> NDArray[np.float64]:
    """(4, 4) axes to the left, to the back and up, and the origin in the first column and slice and the last row, as
    the files of BraTS have it."""
    z, y, x = spacing_mm
    affine = np.diag([-x, -y, z, 1.0])
    affine[1, 3] = (shape[1] - 1) * y
    return affine


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
    """dataset.json, splits_final.json (one fold: our split) and subsets.json; of BraTS only the last."""
    by_subset: dict[str, list[str]] = {}
    for case in cases:
        by_subset.setdefault(case.subset, []).append(case.name)
    write_json(folder / "subsets.json", by_subset)
    if rules.collection:
        return
    write_json(folder / "dataset.json",
               describe_cohort(domain, rules) | {"numTraining": sum(case.part == "Tr" for case in cases)})
    write_json(folder / "splits_final.json", [{"train": by_subset.get("train", []), "val": by_subset.get("val", [])}])
