"""`cldm-train judge` as a whole, from tiny bundles and a phantom of rings."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import onnx_fixtures
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import BundleError, DatasetError
from cldm_runtime.store import DatasetSpec, create_dataset, open_dataset
from cldm_trainer import cli
from cldm_trainer.audit.judges.panel import PanelOptions
from cldm_trainer.audit.judging import JudgingOptions, run
from cldm_trainer.config import Config
from cldm_trainer.stages.config_file import load_config
from cohort_fixtures import write_drawn_cohort
from phantom_fixtures import use_rings

QUICK = JudgingOptions(pairs=12, steps=2, panel=PanelOptions(folds=2, seeds=1))
TINY = Path(__file__).parents[3] / "trainer" / "configs" / "phantom-tiny.toml"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    onnx_fixtures.make_generator(tmp_path / "lge")
    onnx_fixtures.make_segmenter(tmp_path / "lge-segmenter")
    found = load_config(TINY)
    targets = {"generator": str(tmp_path / "lge"), "segmenter": str(tmp_path / "lge-segmenter")}
    return dataclasses.replace(
        found, run=dataclasses.replace(found.run, folder=str(tmp_path / "runs"), threads=1),
        cohort=dataclasses.replace(found.cohort, folder=str(tmp_path / "cohort")),
        export=dataclasses.replace(found.export, **targets))


def figures_of(page: Path) -> dict:
    return json.loads((page.parent / "judges.json").read_text())


def test_fresh_phantoms_are_judged_and_rendered_again_for_the_control(
        config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    use_rings(monkeypatch)
    page = run(config, "cldm-train judge", options=QUICK)
    figures = figures_of(page)
    assert (figures["made"]["slices"], figures["made"]["patients"], figures["made"]["fresh"]) == (12, 4, True)
    names = ["power spectrum", "texture", "zones", "fine detail network", "whole image network", "network features"]
    assert [judge["name"] for judge in figures["control"]["judges"]] == names
    (judged,) = figures["sets"]
    assert judged["accuracy"]["value"] == max(judge["accuracy"]["value"] for judge in judged["judges"])
    assert (page.parent / judged["picture"]).exists() and f"{judged['accuracy']['value']:.3f}" in page.read_text()


def test_patients_are_new_and_both_files_show_the_same_maps(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    use_rings(monkeypatch)
    folder = run(config, "cldm-train judge", options=QUICK).parent
    (reference,), (control,) = folder.glob("reference-*.h5"), folder.glob("control-*.h5")
    with open_dataset(reference) as one, open_dataset(control) as other:
        first = config.cohort.patients["test"]  # those before are the cohort's
        assert one.patients is not None
        assert sorted(set(one.patients)) == [f"fresh-test-{first + n}" for n in range(4)]
        assert np.array_equal(one.masks(), other.masks()) and not np.array_equal(one.images(), other.images())
    before = reference.stat().st_mtime_ns
    run(config, "cldm-train judge", options=QUICK)
    assert reference.stat().st_mtime_ns == before


def test_a_cohort_of_one_s_own_is_judged_on_its_test_slices(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    use_rings(monkeypatch, rerender=False)
    with pytest.raises(DatasetError, match="no such cohort"):
        run(config, "cldm-train judge", options=QUICK)
    write_drawn_cohort(config.cohort_file, {"train": 3, "val": 3, "test": 24}, nature="patients")
    page = run(config, "cldm-train judge", options=QUICK)
    figures = figures_of(page)
    assert not figures["made"]["fresh"] and figures["sets"][0]["images"] == 12
    assert "one half of their patients against the other" in page.read_text()


def test_images_from_attributes_have_no_zones(config: Config, tiny_attributes: Path,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    use_rings(monkeypatch)
    page = run(config, "cldm-train judge", options=QUICK, bundles=[tiny_attributes])
    by_name = {judge["name"]: judge["accuracy"] for judge in figures_of(page)["sets"][0]["judges"]}
    assert by_name["zones"] is None and by_name["texture"] is not None
    assert "this judge cannot judge them" in page.read_text()


def test_images_of_a_file_are_judged_against_the_slices_that_they_were_made_for(config: Config, tmp_path: Path) -> None:
    write_drawn_cohort(config.cohort_file, {"train": 3, "val": 3, "test": 24})
    with open_dataset(config.cohort_file) as cohort:
        rows = cohort.rows("test")[:10]
        assert cohort.patients is not None and cohort.slices is not None
        with create_dataset(tmp_path / "samples.h5", DatasetSpec(get_domain("lge"), (128, 128), (1.0, 1.0))) as writer:
            writer.append(images=1 - cohort.images(rows), patients=cohort.patients[rows], slices=cohort.slices[rows],
                          subset=["test"] * len(rows))
    page = run(config, "cldm-train judge", options=QUICK, samples=tmp_path / "samples.h5", out=tmp_path / "out")
    (judged,) = figures_of(page)["sets"]
    assert page.parent == tmp_path / "out" and (judged["images"], judged["generator"]) == (10, "samples.h5")


def test_images_made_from_nothing_are_judged_unpaired(config: Config, tiny_free: Path,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    use_rings(monkeypatch)
    page = run(config, "cldm-train judge", options=QUICK, bundles=[tiny_free])
    assert figures_of(page)["sets"][0]["images"] == 12


def test_a_missing_bundle_is_found_before_anything_is_drawn(config: Config, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="nowhere"):
        run(config, "cldm-train judge", options=QUICK, bundles=[tmp_path / "nowhere"])
    assert not (config.run_folder / "judges").exists()


def test_the_commands_know_their_options() -> None:
    text = CliRunner().invoke(cli.cli, ["judge", "--help"]).output
    assert all(option in text for option in ("--bundle", "--samples", "--pairs", "--folds", "--seeds", "--as-stored"))
    assert "--maps" in CliRunner().invoke(cli.cli, ["spread", "--help"]).output
