"""The results page, from tiny bundles whose images show each label in its own grey."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

import onnx_fixtures
from cldm_runtime.domain import get_domain
from cldm_runtime.errors import InputError
from cldm_runtime.noise import Purpose, Stream
from cldm_runtime.store import DatasetSpec, create_dataset
from cldm_trainer.config import Config
from cldm_trainer.results import run
from cldm_trainer.results.goals import goals
from cldm_trainer.results.markdown import estimate, number, percent, table
from cldm_trainer.results.sets import Sizes

SUBSETS = {"train": 6, "val": 3, "test": 6, "d8": 6}
SIZES = Sizes(train=4, other=4, seeds=2, grid=8, steps=(2,), features_repeats=2)


def write_cohort(path: Path) -> None:
    """Drawn anatomies, three slices a patient, as noisy greys."""
    domain, rng = get_domain("lge"), np.random.default_rng(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    with create_dataset(path, DatasetSpec(domain, (128, 128), (1.0, 1.0)), overwrite=True) as writer:
        for first, (subset, count) in enumerate(SUBSETS.items()):
            masks = np.stack([draw(100 * first + i) for i in range(count)])
            images = onnx_fixtures.GREYS[masks][:, None] + 0.01 * rng.standard_normal((count, 1, 128, 128))
            measured = domain.measure(masks)
            writer.append(images=np.clip(images, 0, 1), masks=masks, mask_attributes=measured.values,
                          mask_reasons=measured.reasons, subset=[subset] * count, slices=np.arange(count) % 3,
                          patients=[f"{subset}-{i // 3}" for i in range(count)])


def draw(index: int) -> np.ndarray:
    anatomy, size = get_domain("lge").anatomy, 0.1 * (index % 3)
    request = anatomy.complete({"infarct_size": size}, Stream(0, index, Purpose.CONDITION))
    return anatomy.draw(request, Stream(0, index, Purpose.ANATOMY), shape=(128, 128), spacing_mm=(1.0, 1.0))


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Path]:
    """A configuration and the folder that its results were written to."""
    from cldm_trainer.config import load_config

    folder = tmp_path_factory.mktemp("results")
    onnx_fixtures.make_generator(folder / "lge", encoder=True)
    onnx_fixtures.make_segmenter(folder / "lge-segmenter")
    config = load_config(Path(__file__).parents[2] / "trainer" / "configs" / "phantom-tiny.toml")
    targets = {"generator": str(folder / "lge"), "segmenter": str(folder / "lge-segmenter")}
    config = dataclasses.replace(
        config,
        run=dataclasses.replace(config.run, folder=str(folder / "runs")),
        cohort=dataclasses.replace(config.cohort, folder=str(folder / "cohort")),
        export=dataclasses.replace(config.export, **targets),
    )
    write_cohort(config.cohort_file)
    (folder / "grid.csv").write_text("infarct_size,slice_position\n0,0.5\n0.1,0.5\n0.2,0.5\n0.3,0.5\n")
    run(config, "cldm-train results", out=folder / "docs", grid=folder / "grid.csv", sizes=SIZES)
    return config, folder


def test_page_numbers_and_pictures_are_written(measured: tuple[Config, Path]) -> None:
    docs = measured[1] / "docs"
    files = {str(path.relative_to(docs)) for path in docs.rglob("*") if path.is_file()}
    assert files == {"results.md", "results.json", "montage.png", "figures/agreement.png", "figures/grid.png"}


def test_every_set_is_in_the_table(measured: tuple[Config, Path]) -> None:
    figures = json.loads((measured[1] / "docs" / "results.json").read_text())
    slices = {row["set"]: row["slices"] for row in figures["sets"]}
    assert slices == {
        "real, train": 4, "real, val": 3, "real, test": 6, "real, d8": 6, "real, d8, the same slices": 4,
        "reconstructed mean, test": 6, "reconstructed mean, d8": 4, "reconstructed, test": 6, "reconstructed, d8": 4,
        "synthetic, test": 12, "synthetic, d8": 4,
    }


def test_a_perfect_codec_costs_nothing(measured: tuple[Config, Path]) -> None:
    figures = json.loads((measured[1] / "docs" / "results.json").read_text())
    codec = [line for line in figures["goals"] if line["goal"].startswith("codec")]
    assert codec and all(abs(line["found"]) < 0.02 and line["met"] for line in codec)
    assert figures["reconstruction_texture"]["mean"] == pytest.approx(1.0, abs=0.01)


def test_a_second_run_makes_no_set_again(measured: tuple[Config, Path]) -> None:
    config, folder = measured
    made = {path: path.stat().st_mtime_ns for path in config.run_folder.rglob("*.h5")}
    run(config, "cldm-train results", out=folder / "docs", grid=folder / "grid.csv", sizes=SIZES)
    assert {path: path.stat().st_mtime_ns for path in config.run_folder.rglob("*.h5")} == made
    assert len(made) == 7


def test_a_missing_cohort_is_named(measured: tuple[Config, Path]) -> None:
    config = dataclasses.replace(measured[0], cohort=dataclasses.replace(measured[0].cohort, folder="nowhere"))
    with pytest.raises(InputError, match=r"nowhere/cohort.h5: no such cohort"):
        run(config, "cldm-train results", out=measured[1] / "other")


def test_goals_compare_with_the_baseline() -> None:
    def row(name: str, r2: float, dice: float, false: float) -> dict[str, object]:
        figures = {"r2": {"value": r2}}
        return {"set": name, "agreement": {"size": {"all": figures, "lesion": figures}},
                "regions": {"scar": {"dice": {"mean": dice}}}, "false_rate": {"value": false}}

    figures = {
        "lesion": "scar", "attributes": ["size"], "compared": ["test"],
        "sets": [row("real, test", 0.9, 0.7, 0.1), row("reconstructed, test", 0.8, 0.68, 0.1),
                 row("synthetic, test", 0.86, 0.6, 0.16)],
        "texture": {"high_frequency_ratio": 0.9, "latent_spread": math.nan},
        "grid": {"parts": {"request to segmentation": {}}},
    }
    met = {line["goal"]: line["met"] for line in goals(figures)}
    assert met["codec: loss of scar Dice on reconstructed test slices"]  # 0.02 of 0.03
    assert not met["codec: loss of r2 of size, scar slices"]  # 0.10 of 0.05
    assert met["synthetic, test: r2 of size, all slices"]  # 0.86 of 0.85
    assert not met["synthetic, test: false scar rate"]  # 0.16 of 0.15
    assert not met["spread of latents, synthetic over real"]  # undefined is not met


def test_numbers_are_spelt_alike_everywhere() -> None:
    assert estimate({"value": 0.8312, "low": 0.7, "high": 0.9}) == "0.83 [0.70, 0.90]"
    assert estimate(None) == estimate({"value": None, "low": None, "high": None}) == "–"
    assert percent({"value": 0.125, "low": 0.05, "high": 0.25}) == "12 % [5, 25]"
    assert number(math.nan, 2) == "–"
    assert table(("a", "b"), [(1, 2)]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
