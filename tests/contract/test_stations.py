"""From a raw scan to the report, every station notices that something it was made from has changed, and nothing else.

The stations here are those of the runtime; those of a training are in tests/trainer/stages/test_stations.py. One thing
is changed at a time, and every station is asked again: it makes its result again, or refuses and names the command that
renews it. A cohort that was made again has another digest, by which all stages of a training notice; a file that was
generated again holds no segmentation.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
pytest.importorskip("nibabel")

import nibabel

import onnx_fixtures
from cldm_runtime.errors import CldmError
from cldm_runtime.evaluation.fresh import is_measured
from cldm_runtime.evaluation.run import Evaluation, evaluate_dataset
from cldm_runtime.generation.generator import Generator
from cldm_runtime.generation.run import Plan, generate_dataset
from cldm_runtime.report.page import write_report
from cldm_runtime.requests.grid import read_grid
from cldm_runtime.requests.sources import GridRequests
from cldm_runtime.scans.nnunet_raw import write_nifti
from cldm_runtime.scans.prepare import prepare
from cldm_runtime.scans.settings import PrepareSettings
from cldm_runtime.segmentation.segmenter import Segmenter
from cldm_runtime.store import cohort_digest, open_dataset

NAME, SPACING = "tiny-segmenter", (8.0, 2.0, 2.0)
LABELS = {"background": 0, "lv_cavity": 1, "healthy_myocardium": 2, "infarct": 3}
SETTINGS = PrepareSettings(shape=(32, 32), spacing_mm=(2.0, 2.0), workers=1)


@dataclass
class Chain:
    """A folder with the raw scans, the bundles and all that was made from them, and the settings of every station."""

    folder: Path
    settings: PrepareSettings = SETTINGS
    plan: dict[str, Any] = field(default_factory=lambda: {"samples": 4, "seed": 0})
    sampling: dict[str, Any] = field(default_factory=dict)

    @property
    def dataset(self) -> Path:
        return self.folder / "made.h5"

    def prepare(self, *, overwrite: bool = False) -> object:
        return prepare(self.folder / "raw", self.folder / "cohort.h5", self.settings, "lge", overwrite=overwrite)

    def generate(self) -> None:
        generator = Generator.load(self.folder / "generator")
        grid = read_grid(self.folder / "grid.csv", generator.domain)
        source = GridRequests.spread(grid, self.plan["samples"], generator.canvas)
        settings = generator.settings(**self.sampling)
        generate_dataset(Plan(generator, source, settings=settings, **self.plan), self.dataset, "resume")

    def segmenter(self) -> Segmenter:
        return Segmenter.load(self.folder / "segmenter")

    def report(self) -> str:
        """What the report states that it was made from."""
        write_report(self.dataset, NAME, self.folder)
        return str(json.loads((self.folder / "scores.json").read_text())["run"]["content_sha256"])

    def is_measured(self) -> bool:
        with open_dataset(self.dataset) as dataset:
            return is_measured(dataset, NAME)


STATIONS: dict[str, Callable[[Chain], object]] = {  # something else than before where the result is out of date
    "cohort": Chain.prepare,
    "dataset": Chain.generate,
    "segmentation": lambda chain: Evaluation(chain.dataset, chain.segmenter()).is_finished(),
    "attributes and scores": Chain.is_measured,
    "report": Chain.report,
}


def raw_files(folder: Path) -> None:
    """Three patients of five slices: rings with a wedge; the outer slices are empty."""
    rows, columns = np.mgrid[:48, :48] - 22.0
    radius = np.hypot(rows, columns)
    ring = np.where(radius < 4, 1, np.where(radius < 8, np.where(columns > 2, 3, 2), 0))
    labels = np.stack([ring * (0 < z < 4) for z in range(5)]).astype(np.uint8)
    for kind in ("images", "labels"):
        (folder / f"{kind}Tr").mkdir(parents=True)
    for number, name in enumerate(("a", "b", "c")):
        noise = np.random.default_rng(number).random(labels.shape, np.float32)
        write_nifti(folder / "imagesTr" / f"{name}_0000.nii.gz", labels * 100.0 + noise, SPACING)
        write_nifti(folder / "labelsTr" / f"{name}.nii.gz", labels, SPACING)
    described = {"channel_names": {"0": "x"}, "labels": LABELS, "file_ending": ".nii.gz", "first_slice": "apex"}
    (folder / "dataset.json").write_text(json.dumps(described))
    (folder / "splits_final.json").write_text(json.dumps([{"train": ["a", "b"], "val": ["c"]}]))


def voxel(file: str, value: float) -> Callable[[Chain], None]:
    """One voxel within the wall."""
    def edit(chain: Chain) -> None:
        path = chain.folder / "raw" / file
        image = nibabel.load(path)
        values = np.asarray(image.dataobj).copy()
        values[np.unravel_index(np.flatnonzero(values == values.max())[0], values.shape)] = value
        nibabel.save(nibabel.Nifti1Image(values, image.affine, image.header), path)
    return edit


def text(file: str, old: str, new: str) -> Callable[[Chain], None]:
    def edit(chain: Chain) -> None:
        path = chain.folder / file
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new, 1))
    return edit


def stored(where: str) -> Callable[[Chain], None]:
    """One value of the generated file: a label gets another, a number another one."""
    def edit(chain: Chain) -> None:
        with h5py.File(chain.dataset, "r+") as file:
            place = (0,) * (file[where].ndim - 2) + (64, 64) if file[where].ndim > 2 else (0, 0)
            value = file[where][place]
            file[where][place] = (value + 1) % 3 if file[where].dtype.kind == "u" else 0.25
    return edit


def spacing(chain: Chain) -> None:
    with h5py.File(chain.dataset, "r+") as file:
        file["images"].attrs["spacing_mm"] = [1.0, 1.5]


def prepared_with(**values: Any) -> Callable[[Chain], None]:
    def edit(chain: Chain) -> None:
        chain.settings = replace(chain.settings, **values)
    return edit


def planned(**values: Any) -> Callable[[Chain], None]:
    return lambda chain: chain.plan.update(values)


def sampled(**values: Any) -> Callable[[Chain], None]:
    return lambda chain: chain.sampling.update(values)


FOUND, MEASURED = {"attributes and scores", "report"}, {"segmentation", "attributes and scores", "report"}
VERSION = ('"bundle_version": "1"', '"bundle_version": "2"')
CONTENT = ("a voxel", "the meaning of a label", "a split", "the order of the resampling", "the shape")
CHANGES: dict[str, tuple[Callable[[Chain], object], set[str]]] = {
    "a voxel": (voxel("imagesTr/a_0000.nii.gz", 77.0), {"cohort"}),
    "a label": (voxel("labelsTr/b.nii.gz", 2), {"cohort"}),
    "the meaning of a label": (prepared_with(labels={"infarct": "mvo"}), {"cohort"}),
    "a split": (text("raw/splits_final.json", '["a", "b"], "val": ["c"]', '["a", "c"], "val": ["b"]'), {"cohort"}),
    "the order of the resampling": (prepared_with(image_order=1), {"cohort"}),
    "the shape": (prepared_with(shape=(36, 32)), {"cohort"}),
    "the spacing of the cohort": (prepared_with(spacing_mm=(1.9, 2.0)), {"cohort"}),
    "the percentiles": (prepared_with(percentiles=(1.0, 99.5)), {"cohort"}),
    "the margin": (prepared_with(margin_mm=3.0), {"cohort"}),
    "the ring": (prepared_with(ring=()), {"cohort"}),
    "the nature": (prepared_with(nature="phantom"), {"cohort"}),
    "the window's centre": (prepared_with(centre="image"), {"cohort"}),
    "the seed": (planned(seed=1), {"dataset"}),
    "the number of images": (planned(samples=3), {"dataset"}),
    "a request": (text("grid.csv", "0.2", "0.21"), {"dataset"}),
    "the steps": (sampled(steps=2), {"dataset"}),
    "the generator": (text("generator/manifest.json", *VERSION), {"dataset"}),
    "a pixel": (stored("images"), MEASURED),
    "the spacing": (spacing, MEASURED),
    "a pixel of a mask": (stored("masks"), FOUND),
    "the segmenter": (text("segmenter/manifest.json", *VERSION), {"segmentation"}),
    "a label that was found": (stored(f"segmentations/{NAME}/masks"), FOUND),
    "an attribute": (stored(f"segmentations/{NAME}/attributes"), FOUND),
    "a score": (stored(f"segmentations/{NAME}/scores"), FOUND),
    "an attribute of a mask": (stored("attributes/mask"), {"report"}),
    "a requested attribute": (stored("attributes/requested"), {"report"}),
}
COUNTS = (f"{len(STATIONS)} stations, {len(CHANGES)} changes, {sum(len(found) for _, found in CHANGES.values())} times "
          "a station must notice")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Chain, dict[str, object]]:
    """The chain, and what each station said of it when all was fresh."""
    chain = Chain(tmp_path_factory.mktemp("stations"))
    raw_files(chain.folder / "raw")
    onnx_fixtures.make_generator(chain.folder / "generator")
    onnx_fixtures.make_segmenter(chain.folder / "segmenter")
    (chain.folder / "grid.csv").write_text("infarct_size,transmurality,slice_position\n0.2,0.6,0.5\n0.1,0.6,0.5\n")
    chain.prepare()
    chain.generate()
    evaluate_dataset(chain.dataset, chain.segmenter())
    return chain, {name: station(chain) for name, station in STATIONS.items()}


def notices(name: str, chain: Chain, fresh: object) -> bool:
    """Whether a station says something else than it said when all was fresh, or refuses and names what renews it."""
    try:
        return STATIONS[name](chain) != fresh
    except CldmError as error:
        assert "`cldm" in str(error) or "--overwrite" in str(error), error
        return True


def copied(chain: Chain, folder: Path) -> Chain:
    return Chain(Path(shutil.copytree(chain.folder, folder, dirs_exist_ok=True)))


def test_an_unchanged_chain_is_fresh_everywhere(made: tuple[Chain, dict[str, object]]) -> None:
    chain, said = made
    before = chain.dataset.read_bytes(), (chain.folder / "cohort.h5").stat().st_mtime_ns
    assert [name for name in STATIONS if notices(name, chain, said[name])] == []
    assert (chain.dataset.read_bytes(), (chain.folder / "cohort.h5").stat().st_mtime_ns) == before


@pytest.mark.parametrize("name", CHANGES)
def test_every_later_station_notices(made: tuple[Chain, dict[str, object]], tmp_path: Path, name: str) -> None:
    (edit, expected), chain = CHANGES[name], copied(made[0], tmp_path)
    edit(chain)
    assert {station for station in STATIONS if notices(station, chain, made[1][station])} == expected, COUNTS


@pytest.mark.parametrize("name", CONTENT)
def test_a_cohort_that_was_made_again_has_another_digest(made: tuple[Chain, dict[str, object]], tmp_path: Path,
                                                         name: str) -> None:
    chain, digests = copied(made[0], tmp_path), []
    for change in (lambda _: None, CHANGES[name][0]):
        change(chain)
        chain.prepare(overwrite=True)
        with open_dataset(chain.folder / "cohort.h5") as dataset:
            digests.append(cohort_digest(dataset))
    assert digests[0] != digests[1]


test_every_later_station_notices.__doc__ = COUNTS
