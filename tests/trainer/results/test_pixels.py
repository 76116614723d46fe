"""Diffusion of pixels is measured and timed as latent diffusion is: `cldm-train results`, and the loops of `bench`."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import onnx_fixtures
from cldm_runtime.generation.generator import Generator
from cldm_runtime.segmentation.segmenter import Segmenter
from cldm_trainer.audit.two_sample import ClassifierTraining
from cldm_trainer.bench.diffusers_loop import DiffusersLoop
from cldm_trainer.bench.quality import quality
from cldm_trainer.results import run
from cldm_trainer.results.workshop import Sizes, Workshop
from cldm_trainer.stages.config_file import load_config
from cohort_fixtures import write_drawn_cohort
from declared_path import train
from pixel_fixtures import write_configuration

SIZES = Sizes(train=3, other=3, seeds=1, grid=4, steps=(1,), guidance=(1.0,), features_repeats=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The working folder, with a trained and exported generator of pixels and a segmenter."""
    path = tmp_path_factory.mktemp("pixels")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        write_drawn_cohort(path / "cohort" / "cohort.h5", {"train": 6, "val": 3, "test": 6})
        write_configuration(path)
        train("diffusion", "--config", "pixels.toml")
        train("export", "--config", "pixels.toml", "--what", "generator", "--no-torchscript")
        onnx_fixtures.make_segmenter(path / "out" / "segmenter")
        (path / "grid.csv").write_text("infarct_size,slice_position\n0,0.5\n0.2,0.5\n")
        yield path


def test_results_are_written(folder: Path) -> None:
    config = load_config("pixels.toml")
    page = run(config, "cldm-train results", out=folder / "docs", grid=folder / "grid.csv", sizes=SIZES)
    figures = json.loads((folder / "docs" / "results.json").read_text())
    assert page.exists() and {row["set"]: row["slices"] for row in figures["sets"]}["synthetic, test"] == 6
    assert figures["reconstruction_texture"]["textured"] == pytest.approx(1.0, abs=0.01)  # the codec loses nothing


def test_the_loop_of_diffusers_gives_the_same_image(folder: Path) -> None:
    loop = DiffusersLoop("pixels.toml", "out/pixels", "ddim", 2, 1)
    facts = loop.facts()
    assert facts["differs_from_runtime"] < 1e-4 and facts["gflop_per_image"] > 0
    assert loop.complete() == 1 and set(loop.estimate()) >= {"decoder", "images"}


def test_quality_is_measured(folder: Path) -> None:
    shop = Workshop(folder / "bench", Path("cohort/cohort.h5"), Generator.load("out/pixels"),
                    Segmenter.load("out/segmenter"), Path("grid.csv"), SIZES)
    found = quality(shop, replace(shop.generator.sampling, steps=1), ClassifierTraining(steps=2))
    assert found["slices"] == 6 and found["sampling"]["steps"] == 1
