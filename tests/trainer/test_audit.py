"""The audit as a whole, from tiny bundles whose images show each label in its own grey."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import onnx_fixtures
from cldm_runtime.domain import get_domain
from cldm_runtime.errors import DatasetError, InputError
from cldm_runtime.store import DatasetSpec, create_dataset, open_dataset
from cldm_trainer import cli
from cldm_trainer.audit import Options, run
from cldm_trainer.audit.markdown import memorisation_table
from cldm_trainer.audit.sets import generated_sets, whole_patients
from cldm_trainer.audit.two_sample import Training
from cldm_trainer.config import Config, load_config
from cohort_fixtures import write_drawn_cohort

SUBSETS = {"train": 12, "val": 3, "test": 9}
QUICK = Options(training=Training(folds=2, steps=2, batch=4))


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    folder = tmp_path_factory.mktemp("audit")
    onnx_fixtures.make_generator(folder / "lge")
    onnx_fixtures.make_segmenter(folder / "lge-segmenter")
    found = load_config(Path(__file__).parents[2] / "trainer" / "configs" / "phantom-tiny.toml")
    targets = {"generator": str(folder / "lge"), "segmenter": str(folder / "lge-segmenter")}
    found = dataclasses.replace(
        found, run=dataclasses.replace(found.run, folder=str(folder / "runs"), threads=1),
        cohort=dataclasses.replace(found.cohort, folder=str(folder / "cohort")),
        export=dataclasses.replace(found.export, **targets))
    write_drawn_cohort(found.cohort_file, SUBSETS)
    return found


@pytest.fixture(scope="module")
def audited(config: Config) -> Path:
    return run(config, "cldm-train audit", options=QUICK)


def test_page_numbers_and_pictures_are_written_to_the_run_s_folder(config: Config, audited: Path) -> None:
    assert audited == config.run_folder / "audit" / "audit.md"
    files = {path.name for path in audited.parent.iterdir() if not path.name.startswith("synthetic-")}
    assert files == {"audit.md", "audit.json", "two-sample.png", "pairs-pixels.png", "pairs-features.png"}
    page = audited.read_text()
    assert "real against real of other patients" in page and all(f"]({name}" in page for name in files - {"audit.md"})


def test_an_image_is_made_for_each_test_mask(audited: Path) -> None:
    figures = json.loads((audited.parent / "audit.json").read_text())
    assert figures["made"]["images"] == 9
    assert [test["images"] for test in figures["two_sample"]["tests"]] == [9, 9]
    settings = figures["memorisation"]["settings"]
    assert (settings["training"], settings["held_out"]) == (12, 12)


def test_a_second_run_makes_no_image_again(config: Config, audited: Path) -> None:
    (made,) = audited.parent.glob("synthetic-*.h5")
    before = made.stat().st_mtime_ns
    assert run(config, "cldm-train audit", options=QUICK) == audited
    assert made.stat().st_mtime_ns == before and len(list(audited.parent.glob("synthetic-*"))) == 1


def test_a_given_file_with_training_slices_is_found_out(config: Config, tmp_path: Path) -> None:
    with open_dataset(config.cohort_file) as cohort:
        copied = cohort.images(slice(0, 8))[..., ::-1]
    with create_dataset(tmp_path / "samples.h5", DatasetSpec(get_domain("lge"), (128, 128), (1.0, 1.0))) as writer:
        writer.append(images=copied)
    run(config, "cldm-train audit", samples=tmp_path / "samples.h5", out=tmp_path / "out", options=QUICK)
    figures = json.loads((tmp_path / "out" / "audit.json").read_text())
    pixels = figures["memorisation"]["spaces"]["pixels"]
    assert pixels["copies"] == 8 and pixels["rate"]["low"] > 0.6
    assert {pair["symmetry"] for pair in pixels["worst"]} == {4}
    assert sorted(pair["training_row"] for pair in pixels["worst"]) == sorted(pair["image"] for pair in pixels["worst"])


def test_attributes_come_from_the_grid(config: Config, tiny_attributes: Path, tmp_path: Path) -> None:
    from cldm_runtime.generator import Generator

    (tmp_path / "grid.csv").write_text("infarct_size\n0.1\n0.2\n")
    generator = Generator.load(tiny_attributes)
    sets = generated_sets(config.cohort_file, generator, tmp_path / "grid.csv", tmp_path, lambda text: None)
    assert len(sets.synthetic) == 9 and sets.synthetic.patients is None and "grid.csv" in sets.made


def test_without_a_segmenter_the_reason_is_told(config: Config, tmp_path: Path) -> None:
    lost = dataclasses.replace(config, export=dataclasses.replace(config.export, segmenter=str(tmp_path / "none")))
    page = run(lost, "cldm-train audit", out=tmp_path / "out", options=QUICK)
    assert "features: not measured" in page.read_text() and "pairs-features" not in page.read_text()
    assert memorisation_table({"pixels": {"reason": "because."}}).endswith("pixels: not measured, because.")


def test_patients_are_taken_whole(config: Config) -> None:
    from cldm_trainer.audit.images import rows_of_subsets

    found = whole_patients(rows_of_subsets(config.cohort_file, ("train",)), 6, seed=0)
    assert found.patients is not None
    assert np.unique(found.patients, return_counts=True)[1].tolist() == [3, 3]


def test_images_of_another_shape_are_refused(config: Config, tmp_path: Path) -> None:
    with create_dataset(tmp_path / "small.h5", DatasetSpec(get_domain("lge"), (8, 8), (1.0, 1.0))) as writer:
        writer.append(images=np.zeros((2, 1, 8, 8)))
    with pytest.raises(InputError, match=r"images are \(1, 8, 8\), those of the cohort \(1, 128, 128\)"):
        run(config, "cldm-train audit", samples=tmp_path / "small.h5")


def test_the_command_knows_its_options_and_names_a_missing_cohort(tmp_path: Path) -> None:
    text = CliRunner().invoke(cli.cli, ["audit", "--help"]).output
    assert all(option in text for option in ("--samples", "--out", "--grid", "--quantile"))
    lost = load_config(Path(__file__).parents[2] / "trainer" / "configs" / "phantom-tiny.toml")
    lost = dataclasses.replace(lost, cohort=dataclasses.replace(lost.cohort, folder=str(tmp_path)))
    with pytest.raises(DatasetError, match="no such cohort"):
        run(lost, "cldm-train audit")
