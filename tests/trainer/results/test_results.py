"""The results page, from tiny bundles whose images show each label in its own grey."""

import dataclasses
import json
import math
import re
from pathlib import Path

import h5py
import numpy as np
import pytest

import onnx_fixtures
from cldm_runtime.errors import DatasetError
from cldm_runtime.generation.generator import Generator
from cldm_runtime.generation.pipeline import Pipeline
from cldm_runtime.segmentation.segmenter import Segmenter
from cldm_runtime.store import open_dataset
from cldm_trainer.config import Config
from cldm_trainer.results import run
from cldm_trainer.results.figures_of_merit import measure_set
from cldm_trainer.results.markdown import VERSION, results_page
from cldm_trainer.results.sets import latents_file, original_set, synthetic_set
from cldm_trainer.results.workshop import Sizes, Workshop
from cldm_trainer.tables import estimate, number, percent, table
from cohort_fixtures import write_drawn_cohort

SUBSETS = {"train": 6, "val": 3, "test": 6, "d8": 6}
SIZES = Sizes(train=4, other=4, seeds=2, grid=8, steps=(2,), features_repeats=2)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Path]:
    """A configuration and the folder that its results were written to."""
    from cldm_trainer.stages.config_file import load_config

    folder = tmp_path_factory.mktemp("results")
    onnx_fixtures.make_generator(folder / "lge", encoder=True)
    onnx_fixtures.make_segmenter(folder / "lge-segmenter")
    config = load_config(Path(__file__).parents[3] / "trainer" / "configs" / "phantom-tiny.toml")
    targets = {"generator": str(folder / "lge"), "segmenter": str(folder / "lge-segmenter")}
    config = dataclasses.replace(
        config,
        run=dataclasses.replace(config.run, folder=str(folder / "runs")),
        cohort=dataclasses.replace(config.cohort, folder=str(folder / "cohort")),
        export=dataclasses.replace(config.export, **targets),
        results=dataclasses.replace(config.results, without={"d8": "infarct"}),
    )
    write_drawn_cohort(config.cohort_file, SUBSETS)
    (folder / "grid.csv").write_text("infarct_size,slice_position\n0,0.5\n0.1,0.5\n0.2,0.5\n0.3,0.5\n")
    run(config, "cldm-train results", out=folder / "docs", grid=folder / "grid.csv", sizes=SIZES)
    return config, folder


def test_page_numbers_and_pictures_are_written(measured: tuple[Config, Path]) -> None:
    docs = measured[1] / "docs"
    files = {str(path.relative_to(docs)) for path in docs.rglob("*") if path.is_file()}
    assert files == {"results.md", "results.json", "montage.png", "figures/agreement.png", "figures/grid.png",
                     "figures/uncertainty.png"}
    page = (docs / "results.md").read_text()
    assert "## Uncertainty" in page  # each test mask has two images
    assert "| phantom, test |" in page and not re.search(r"\breal\b", page)
    assert "earlier version" not in page


@pytest.mark.parametrize(("nature", "row", "sentence"), [
    ("patients", "| patients, d8 |", "The cohort is images of patients."), ("", "| cohort, d8 |", "is not stated.")])
def test_the_page_calls_the_cohort_what_it_is(measured: tuple[Config, Path], nature: str, row: str,
                                              sentence: str) -> None:
    figures = json.loads((measured[1] / "docs" / "results.json").read_text()) | {"nature": nature}
    page = results_page(figures)
    assert row in page and sentence in page and "phantom, " not in page and "real, " not in page


def test_the_committed_page_is_what_the_committed_figures_give() -> None:
    """Figures of an earlier version keep the page that was written with them, until they are measured again."""
    docs = Path(__file__).parents[3] / "docs"
    figures, page = json.loads((docs / "results.json").read_text()), (docs / "results.md").read_text()
    written = results_page(figures)
    if figures.get("version", 1) == VERSION:
        assert written == page
    else:
        assert "**These figures were measured by an earlier version**" in written
        assert "| phantom, test | infarct_size | 241 | 0.95 [0.91, 0.97] | 0.95 [0.89, 1.02] |" in written


def test_every_set_is_in_the_table(measured: tuple[Config, Path]) -> None:
    figures = json.loads((measured[1] / "docs" / "results.json").read_text())
    slices = {row["set"]: row["slices"] for row in figures["sets"]}
    assert slices == {
        "real, train": 4, "real, val": 3, "real, test": 6, "real, d8": 6, "real, d8, the same slices": 4,
        "reconstructed without noise, test": 6, "reconstructed without noise, d8": 4,
        "reconstructed, test": 6, "reconstructed, d8": 4,
        "synthetic, test": 12, "synthetic, d8": 4,
        **{f"{kind}, d8 without infarct": 2
           for kind in ("real", "reconstructed without noise", "reconstructed", "synthetic")},
    }


def test_a_perfect_codec_costs_nothing(measured: tuple[Config, Path]) -> None:
    figures = json.loads((measured[1] / "docs" / "results.json").read_text())
    codec = [line for line in figures["goals"] if line["goal"].startswith("codec")]
    assert len(codec) == 4 and all(line["found"] > 0.98 and line["met"] for line in codec)
    assert figures["reconstruction_texture"]["mean"] == pytest.approx(1.0, abs=0.01)


def test_a_second_run_makes_no_set_again(measured: tuple[Config, Path]) -> None:
    config, folder = measured
    made = {path: path.stat().st_mtime_ns for path in config.run_folder.rglob("*.h5")}
    run(config, "cldm-train results", out=folder / "docs", grid=folder / "grid.csv", sizes=SIZES)
    assert {path: path.stat().st_mtime_ns for path in config.run_folder.rglob("*.h5")} == made
    assert len(made) == 7


def test_another_decoder_makes_images_of_the_same_latents(measured: tuple[Config, Path],
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    config, folder = measured
    shop = Workshop(folder / "again", config.cohort_file, Generator.load(folder / "lge"),
                    Segmenter.load(folder / "lge-segmenter"), folder / "grid.csv", SIZES)
    with open_dataset(synthetic_set(shop)) as dataset:
        first = dataset.images()
    recipe = Workshop.recipe
    monkeypatch.setattr(Workshop, "recipe", lambda self, **choices: recipe(self, decoder="another", **choices))
    monkeypatch.setattr(Pipeline, "sample", None)  # nothing is sampled again
    with open_dataset(synthetic_set(shop)) as dataset:
        np.testing.assert_array_equal(dataset.images(), first)


def test_a_changed_set_is_made_and_measured_again(measured: tuple[Config, Path]) -> None:
    config, folder = measured
    said: list[str] = []
    shop = Workshop(folder / "changed", config.cohort_file, Generator.load(folder / "lge"),
                    Segmenter.load(folder / "lge-segmenter"), folder / "grid.csv", SIZES, said.append)
    path = measure_set(shop, original_set(shop)).path
    measure_set(shop, original_set(shop))
    assert said == ["real ...", "segmenting real ..."]
    with h5py.File(path, "r+") as file:
        file["segmentations/tiny-segmenter/masks"][0] = 0
    measure_set(shop, path)
    with h5py.File(path, "r+") as file:
        file["images"][0] = 9
    measure_set(shop, original_set(shop))
    assert said[2:] == ["segmenting real ...", "real ...", "segmenting real ..."]


def test_sampled_latents_that_were_changed_are_sampled_again(measured: tuple[Config, Path]) -> None:
    config, folder = measured
    shop = Workshop(folder / "latents", config.cohort_file, Generator.load(folder / "lge"),
                    Segmenter.load(folder / "lge-segmenter"), folder / "grid.csv", SIZES)
    synthetic_set(shop)
    first = np.load(latents_file(shop, "synthetic"))
    np.save(latents_file(shop, "synthetic"), first + 1)
    synthetic_set(shop)
    np.testing.assert_array_equal(np.load(latents_file(shop, "synthetic")), first)


def test_a_missing_cohort_is_named(measured: tuple[Config, Path]) -> None:
    config = dataclasses.replace(measured[0], cohort=dataclasses.replace(measured[0].cohort, folder="nowhere"))
    with pytest.raises(DatasetError, match=r"nowhere/cohort.h5: no such cohort"):
        run(config, "cldm-train results", out=measured[1] / "other")


def test_numbers_are_spelt_alike_everywhere() -> None:
    assert estimate({"value": 0.8312, "low": 0.7, "high": 0.9}) == "0.83 [0.70, 0.90]"
    assert estimate(None) == estimate({"value": None, "low": None, "high": None}) == "–"
    assert percent({"value": 0.125, "low": 0.05, "high": 0.25}) == "12 % [5, 25]"
    assert number(math.nan, 2) == "–"
    assert table(("a", "b"), [(1, 2)]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
