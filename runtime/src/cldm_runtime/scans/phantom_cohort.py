"""`cldm-train phantom`: the LGE phantom cohort as users have their data, in nnU-Net raw layout.

imagesTr/labelsTr hold the training and validation patients, imagesTs/labelsTs every test patient; `subsets.json` and
`splits_final.json` say who is who. Files that exist are kept, so an interrupted run goes on where it stopped; what a
patient looks like depends on (seed, subset, patient) and on nothing else.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import click
import numpy as np
from numpy.typing import NDArray

from ..domains.registry import get_domain
from ..errors import InputError
from ..files.atomic import write_json
from .nnunet_raw import read_json, write_nifti
from .settings import CohortSettings

TEST_SUBSETS = ("test", "d8")
ENDING = ".nii.gz"
CHANNEL = "LGE"


class DrawnVolume(Protocol):
    """A short-axis stack, apex first: image (Z, H, W) float32, labels (Z, H, W) uint8, spacing (z, y, x) in mm."""

    @property
    def image(self) -> NDArray[np.float32]: ...

    @property
    def labels(self) -> NDArray[np.uint8]: ...

    @property
    def spacing_mm(self) -> tuple[float, float, float]: ...


MakeVolume = Callable[[int, int, str], DrawnVolume]
"""(seed, patient number within the subset, subset) -> volume"""


@dataclass(frozen=True)
class PhantomCase:
    name: str
    subset: str
    patient: int

    @property
    def part(self) -> str:
        return "Ts" if self.subset in TEST_SUBSETS else "Tr"

    def files(self, folder: Path) -> tuple[Path, Path]:
        """Image and label file."""
        return (
            folder / f"images{self.part}" / f"{self.name}_0000{ENDING}",
            folder / f"labels{self.part}" / f"{self.name}{ENDING}",
        )


def list_cases(patients: Mapping[str, int]) -> list[PhantomCase]:
    """One case for each patient of each subset."""
    return [
        PhantomCase(f"phantom_{subset}_{patient:03d}", subset, patient)
        for subset, count in patients.items()
        for patient in range(count)
    ]


def subset_sizes(config: CohortSettings) -> dict[str, int]:
    return {
        "train": config.train_patients,
        "val": config.val_patients,
        "test": config.test_patients,
        "d8": config.d8_patients,
    }


def write_phantom_cohort(
    config: CohortSettings, folder: Path, *, workers: int = 2, make_volume: MakeVolume | None = None
) -> int:
    """Write the raw dataset of the phantom cohort and return the number of volumes made now.

    Raises InputError when the folder holds a cohort of another seed or size.
    """
    cases = list_cases(subset_sizes(config))
    claim_folder(config, folder)
    missing = [case for case in cases if not all(file.is_file() for file in case.files(folder))]
    for part in ("Tr", "Ts"):
        for kind in ("images", "labels"):
            (folder / f"{kind}{part}").mkdir(parents=True, exist_ok=True)
    write_volumes(missing, config.seed, folder, make_volume or _lge_volume, workers)
    write_descriptions(config, cases, folder)
    return len(missing)


def claim_folder(config: CohortSettings, folder: Path) -> None:
    """Store what the cohort is made from, or compare with what is stored: never mix two cohorts in one folder."""
    recipe = {"domain": config.domain, "seed": config.seed, "patients": subset_sizes(config)}
    file = folder / "phantom.json"
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        write_json(file, recipe)
    elif read_json(file) != recipe:
        raise InputError(
            f"{folder} holds a phantom cohort of another recipe: {read_json(file)}, asked for {recipe}. "
            "Choose another cohort folder or remove this one."
        )


def write_volumes(cases: Sequence[PhantomCase], seed: int, folder: Path, make_volume: MakeVolume, workers: int) -> None:
    arguments = [(case, seed, folder, make_volume) for case in cases]
    with click.progressbar(length=len(cases), label="phantom volumes", file=sys.stderr) as bar:
        if workers < 2:
            for argument in arguments:
                bar.update(_write_volume(argument))
            return
        with ProcessPoolExecutor(workers) as pool:
            for written in pool.map(_write_volume, arguments):
                bar.update(written)


def _write_volume(argument: tuple[PhantomCase, int, Path, MakeVolume]) -> int:
    """The label map is written last: both files exist only when the case is complete."""
    case, seed, folder, make_volume = argument
    volume = make_volume(seed, case.patient, case.subset)
    image_file, label_file = case.files(folder)
    write_nifti(image_file, volume.image.astype(np.float32), volume.spacing_mm)
    write_nifti(label_file, volume.labels.astype(np.uint8), volume.spacing_mm)
    return 1


def write_descriptions(config: CohortSettings, cases: Sequence[PhantomCase], folder: Path) -> None:
    """dataset.json, splits_final.json (one fold: our split) and subsets.json."""
    by_subset: dict[str, list[str]] = {}
    for case in cases:
        by_subset.setdefault(case.subset, []).append(case.name)
    names = get_domain(config.domain).labels.names
    write_json(
        folder / "dataset.json",
        {
            "name": "LGE phantom",
            "description": "Simulated short-axis LGE stacks of the left ventricle. No patient's data is in it.",
            "channel_names": {"0": CHANNEL},
            "labels": {name: value for value, name in enumerate(names)},
            "numTraining": sum(case.part == "Tr" for case in cases),
            "file_ending": ENDING,
            "first_slice": "apex",
        },
    )
    write_json(folder / "splits_final.json", [{"train": by_subset.get("train", []), "val": by_subset.get("val", [])}])
    write_json(folder / "subsets.json", by_subset)


def _lge_volume(seed: int, patient: int, subset: str) -> DrawnVolume:
    from ..domains.lge.phantom import phantom_volume

    volume: DrawnVolume = phantom_volume(seed, patient, subset)
    return volume
