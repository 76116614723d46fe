"""Where the sets of the results are made, from what, and how many slices each holds."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cldm_runtime.errors import InputError
from cldm_runtime.files.atomic import write_json
from cldm_runtime.files.digest import sha256_of
from cldm_runtime.generation.generator import Generator
from cldm_runtime.segmentation.segmenter import Segmenter
from cldm_runtime.store import DatasetSpec, DatasetWriter, create_dataset, open_dataset

from ..audit.kept_files import is_as_made, record_made

Say = Callable[[str], None]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Sizes:
    """How much is measured: training slices, slices of each further test subset, seeds for each mask of the first test
    subset, images of the grid, and the numbers of sampling steps and the weights of guidance that are shown next to
    the bundle's own. trade: the weights of guidance at which obedience and variety are compared, with trade_conditions
    conditions and trade_seeds seeds of each."""

    train: int = 600
    other: int = 750
    seeds: int = 4
    grid: int = 1000
    steps: tuple[int, ...] = (4, 10, 20)
    guidance: tuple[float, ...] = (1.0, 1.5, 2.0)
    features_repeats: int = 10
    trade: tuple[float, ...] = (0.5, 1.0, 2.0, 3.0, 4.0)
    trade_conditions: int = 30
    trade_seeds: int = 3


@dataclass
class Workshop:
    """Where the sets are made, and from what. `seconds` says how long each set took that was made now."""

    folder: Path
    cohort: Path
    generator: Generator
    segmenter: Segmenter
    grid: Path
    sizes: Sizes = Sizes()
    say: Say = print
    without: Mapping[str, str] = field(default_factory=dict)  # subset -> label whose slices are left out once more
    strategies: Mapping[str, str] = field(default_factory=dict)  # number in the paper -> bundle
    students: Mapping[str, str] = field(default_factory=dict)  # bundle of few steps -> its teacher
    only: tuple[str, ...] = ()  # the compared subsets; empty: all that were not trained on
    features: Path | None = None  # an ONNX file for Frechet and kernel distance; None: the segmenter's encoder
    seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.cohort_sha256 = sha256_of(self.cohort)
        timings = self.folder / "seconds.json"
        if timings.exists():
            self.seconds |= json.loads(timings.read_text(encoding="utf-8"))

    def recipe(self, **choices: Any) -> str:
        """What decides the content of a set, as text. Of the bundle that is its networks and its schedule: new defaults
        or figures in its manifest make no other images."""
        return self._recipe(list(self.generator.manifest.graphs), choices)

    def latents_recipe(self, **choices: Any) -> str:
        """What decides the sampled latents of a set: its recipe without the networks of the image codec."""
        return self._recipe([role for role in self.generator.manifest.graphs if role not in ("encoder", "decoder")],
                            choices)

    def _recipe(self, roles: Sequence[str], choices: Mapping[str, Any]) -> str:
        manifest = self.generator.manifest
        assert manifest.schedule is not None  # a generator has it: the manifest was checked
        networks = {role: manifest.graphs[role].sha256 for role in roles}
        basis = {"cohort": self.cohort_sha256, "networks": networks, "schedule": asdict(manifest.schedule),
                 "nulls": [condition.null for condition in manifest.conditions]}
        return json.dumps({**basis, **choices}, sort_keys=True)

    def timed(self, name: str, work: Callable[[], object]) -> None:
        """Do some work and write down how long it took."""
        self.say(f"{name} ...")
        started = time.monotonic()
        work()
        self.seconds[name] = round(time.monotonic() - started, 1)
        write_json(self.folder / "seconds.json", self.seconds)

    @property
    def from_masks(self) -> bool:
        """Whether the generator takes label maps, and not their attributes alone."""
        return "masks" in self.generator.manifest.sources

    @property
    def subsets(self) -> tuple[str, ...]:
        """Subsets of the cohort: train, val, test, then any others. Raises InputError where there is no test subset."""
        with open_dataset(self.cohort) as dataset:
            names = set() if dataset.subset is None else set(dataset.subset.tolist())
        if "test" not in names:
            raise InputError(f"{self.cohort}: has no subset test; found {', '.join(sorted(names)) or 'no subsets'}.")
        first = [name for name in ("train", "val", "test") if name in names]
        return (*first, *sorted(names - set(first)))

    @property
    def compared(self) -> tuple[str, ...]:
        """Subsets that reconstructions and synthetic images are made for: test, and others that were not trained on."""
        return self.only or tuple(name for name in self.subsets if name not in ("train", "val"))

    def rows(self, subset: str) -> Rows:
        """Rows of a subset of the cohort; some of them, evenly picked, where `sizes` asks for fewer."""
        count = {"train": self.sizes.train, "val": None, "test": None}.get(subset, self.sizes.other)
        rows = self.all_rows(subset)
        if count is None or len(rows) <= count:
            return rows
        picked: Rows = rows[np.linspace(0, len(rows) - 1, count).round().astype(int)]
        return picked

    def all_rows(self, subset: str) -> Rows:
        """Every row of a subset."""
        with open_dataset(self.cohort) as dataset:
            return dataset.rows(subset)

    def make(self, name: str, recipe: str, fill: Callable[[DatasetWriter], None]) -> Path:
        """The file `<name>.h5`, filled unless it is there with the same recipe and the content that was written."""
        path = self.folder / f"{name}.h5"
        digest = digest_of(recipe)
        if is_as_made(path, digest):
            return path
        image = self.generator.manifest.image
        spec = DatasetSpec(
            self.generator.domain,
            image.shape,
            image.spacing_mm,
            image.channels,
            image.value_range,
        )

        def work() -> None:
            with create_dataset(path, spec, overwrite=True) as writer:
                fill(writer)
            record_made(path, digest)

        self.timed(name, work)
        return path


def digest_of(recipe: str) -> str:
    return hashlib.sha256(recipe.encode()).hexdigest()
