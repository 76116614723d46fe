"""The audit as a whole, from tiny bundles whose images show each label in its own grey."""

import dataclasses
import json
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

import onnx_fixtures
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import BundleError, DatasetError, InputError
from cldm_runtime.generation.generator import Generator
from cldm_runtime.store import DatasetSpec, create_dataset, open_dataset
from cldm_trainer import cli
from cldm_trainer.audit import Audited, AuditOptions, Auditor, run, summary, write_card
from cldm_trainer.audit.card import with_section
from cldm_trainer.audit.comparisons import cohort_and_synthetic, cohort_halves
from cldm_trainer.audit.markdown import memorisation_table
from cldm_trainer.audit.sets import NOBODY, CohortSets, SyntheticImages, cohort_sets, generated_samples, given_samples
from cldm_trainer.audit.two_sample import ClassifierTraining
from cldm_trainer.config import Config
from cldm_trainer.stages.config_file import load_config
from cohort_fixtures import write_drawn_cohort

SUBSETS = {"train": 12, "val": 3, "test": 12}
QUICK = AuditOptions(seeds=1, training=ClassifierTraining(folds=2, steps=2, batch=4))


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    folder = tmp_path_factory.mktemp("audit")
    onnx_fixtures.make_generator(folder / "lge")
    onnx_fixtures.make_segmenter(folder / "lge-segmenter")
    (folder / "lge" / "MODEL_CARD.md").write_text("# lge\n\n## Limits\n\n- Some.\n")
    found = load_config(Path(__file__).parents[3] / "trainer" / "configs" / "phantom-tiny.toml")
    targets = {"generator": str(folder / "lge"), "segmenter": str(folder / "lge-segmenter")}
    found = dataclasses.replace(
        found, run=dataclasses.replace(found.run, folder=str(folder / "runs"), threads=1),
        cohort=dataclasses.replace(found.cohort, folder=str(folder / "cohort")),
        export=dataclasses.replace(found.export, **targets))
    write_drawn_cohort(found.cohort_file, SUBSETS)
    return found


@pytest.fixture(scope="module")
def audited(config: Config) -> Audited:
    return run(config, "cldm-train audit", options=QUICK, card=True)


@pytest.fixture(scope="module")
def sets(config: Config) -> CohortSets:
    return cohort_sets(config.cohort_file)


def write_samples(path: Path, sets: CohortSets, rows: list[int], known: bool = True) -> Path:
    """A file with the test slices at these positions as they are, and one more of a patient that the cohort lacks."""
    with open_dataset(sets.compared.path) as cohort:
        chosen = sets.compared.rows[rows]
        assert cohort.patients is not None and cohort.slices is not None
        columns = {"patients": [*cohort.patients[chosen], "stranger"], "slices": [*cohort.slices[chosen], 0],
                   "subset": ["test"] * (len(rows) + 1)}
        images = np.concatenate([cohort.images(chosen), np.zeros((1, 1, 128, 128), np.float32)])
    with create_dataset(path, DatasetSpec(get_domain("lge"), (128, 128), (1.0, 1.0))) as writer:
        writer.append(images=images, **(columns if known else {}))
    return path


def test_page_numbers_and_pictures_are_written_to_the_run_s_folder(config: Config, audited: Audited) -> None:
    assert audited.page == config.run_folder / "audit" / "audit.md"
    files = {path.name for path in audited.page.parent.iterdir() if not path.name.startswith("synthetic-")}
    assert files == {"audit.md", "audit.json", "two-sample.png", "pairs-pixels.png", "pairs-features.png"}
    page = audited.page.read_text()
    assert "phantom against phantom of other patients" in page and not re.search(r"\breal\b", page)
    assert all(f"]({name}" in page for name in files - {"audit.md"})


def test_an_image_is_made_for_each_test_slice(audited: Audited) -> None:
    figures = json.loads((audited.page.parent / "audit.json").read_text())
    assert figures["made"]["images"] == 12
    assert [test["images"] for test in figures["two_sample"]["tests"]] == [12, 6]
    settings = figures["memorisation"]["settings"]
    assert (settings["training"], settings["held_out"], settings["searched"]) == (12, 15, 12)


def test_the_summary_holds_what_tables_show(audited: Audited) -> None:
    found = summary(json.loads((audited.page.parent / "audit.json").read_text()))
    assert (found.pop("asked"), found.pop("searched")) == (12, 12)
    assert set(found) == {"accuracy", "accuracy_real", "copies_pixels", "copies_pixels_held_out", "copies_features",
                          "copies_features_held_out"}
    assert all(set(estimate) == {"value", "low", "high"} for estimate in found.values())


def test_the_card_gets_one_section_before_its_limits(config: Config, audited: Audited) -> None:
    assert audited.card is not None
    card = audited.card.read_text()
    assert card.index("## Realism and memorisation") < card.index("## Limits") and card.endswith("- Some.\n")
    figures = json.loads((audited.page.parent / "audit.json").read_text())
    write_card(Path(config.export.generator), figures)
    assert audited.card.read_text() == card
    assert Generator.load(config.export.generator).bundle.identity in card
    with pytest.raises(BundleError, match=r"has no MODEL_CARD\.md"):
        write_card(Path(config.export.segmenter), figures)


def test_a_card_without_limits_gets_the_section_at_its_end() -> None:
    once = with_section("# lge\n", "<!-- audit: begin -->\none\n<!-- audit: end -->")
    again = with_section(once + "\nMore.\n", "<!-- audit: begin -->\ntwo\n<!-- audit: end -->")
    assert again == "# lge\n\n<!-- audit: begin -->\ntwo\n<!-- audit: end -->\n\nMore.\n"


def test_a_second_run_makes_no_image_again(config: Config, audited: Audited) -> None:
    (made,) = audited.page.parent.glob("synthetic-*.h5")
    before = made.stat().st_mtime_ns
    assert run(config, "cldm-train audit", options=QUICK).page == audited.page
    assert made.stat().st_mtime_ns == before and len(list(audited.page.parent.glob("synthetic-*"))) == 1


def test_images_that_were_changed_are_made_again(config: Config, sets: CohortSets, tmp_path: Path) -> None:
    def made() -> np.ndarray:
        samples = generated_samples(sets, Generator.load(config.export.generator), tmp_path, 1, lambda _: None)
        return samples.images.take(slice(None))

    first = made()
    (path,) = tmp_path.glob("*.h5")
    with h5py.File(path, "r+") as file:
        file["images"][0] = 9
    np.testing.assert_array_equal(made(), first)


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


def test_images_are_matched_with_the_slices_that_they_were_made_for(sets: CohortSets, tmp_path: Path) -> None:
    found = given_samples(sets, write_samples(tmp_path / "samples.h5", sets, [3, 0, 3]))
    assert found.partners is not None and found.partners.tolist() == [3, 0, 3, NOBODY]
    zero, one = cohort_and_synthetic(sets, found, further=5, seed=0)
    assert (zero.tested, one.tested, len(zero.images), len(one.images)) == (2, 2, 3, 3)
    assert np.array_equal(zero.images[:2], one.images[:2]) and (zero.groups[:2] == one.groups[:2]).all()
    assert one.groups[2] == sets.compared.groups("")[3] and zero.groups[2].startswith("train")


def test_a_file_that_names_no_slices_is_compared_unpaired(sets: CohortSets, tmp_path: Path) -> None:
    found = given_samples(sets, write_samples(tmp_path / "samples.h5", sets, [3, 0, 3], known=False))
    zero, one = cohort_and_synthetic(sets, found, further=5, seed=0)
    assert found.partners is None and (zero.tested, one.tested) == (4, 4)
    assert not set(zero.groups) & set(one.groups)


def test_images_for_other_slices_only_are_refused(sets: CohortSets, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of its images was made for a test slice"):
        given_samples(sets, write_samples(tmp_path / "samples.h5", sets, []))


def test_real_against_real_shares_no_patient(sets: CohortSets) -> None:
    zero, one = cohort_halves(sets, further=4, seed=0)
    assert not set(zero.groups) & set(one.groups)
    assert (zero.tested, one.tested, len(zero.images), len(one.images)) == (6, 6, 10, 10)


def test_attributes_are_those_of_the_test_slices(sets: CohortSets, tiny_attributes: Path, tmp_path: Path) -> None:
    found = generated_samples(sets, Generator.load(tiny_attributes), tmp_path, 2, lambda text: None)
    assert found.partners is not None and found.partners.tolist() == [*range(12)] * 2


def test_without_conditions_nothing_is_paired(sets: CohortSets, tiny_free: Path, tmp_path: Path) -> None:
    found = generated_samples(sets, Generator.load(tiny_free), tmp_path, 1, lambda text: None)
    assert found.partners is None and len(found.images) == 12


def test_without_a_segmenter_the_reason_is_told(sets: CohortSets, tmp_path: Path) -> None:
    samples = SyntheticImages(sets.compared, np.arange(12), "made of the slices themselves")
    figures = Auditor(sets.compared.path, None, QUICK).audit(samples, tmp_path, "nobody")
    assert summary(figures)["copies_features"] is None
    assert "features: not measured" in (tmp_path / "audit.md").read_text()
    assert memorisation_table({"pixels": {"reason": "because."}}).endswith("pixels: not measured, because.")


def test_images_of_another_shape_are_refused(config: Config, tmp_path: Path) -> None:
    with create_dataset(tmp_path / "small.h5", DatasetSpec(get_domain("lge"), (8, 8), (1.0, 1.0))) as writer:
        writer.append(images=np.zeros((2, 1, 8, 8)))
    with pytest.raises(InputError, match=r"images are \(1, 8, 8\), those of the cohort \(1, 128, 128\)"):
        run(config, "cldm-train audit", samples=tmp_path / "small.h5")


def test_the_card_is_not_written_for_images_of_another_generator(config: Config, sets: CohortSets,
                                                                 tmp_path: Path) -> None:
    samples = write_samples(tmp_path / "samples.h5", sets, [0])
    with pytest.raises(InputError, match="made by an unknown generator, the card is that of"):
        run(config, "cldm-train audit", samples=samples, options=QUICK, card=True)


def test_the_command_knows_its_options_and_names_a_missing_cohort(tmp_path: Path) -> None:
    text = CliRunner().invoke(cli.cli, ["audit", "--help"]).output
    assert all(option in text for option in ("--samples", "--out", "--seeds", "--quantile", "--write-card"))
    lost = load_config(Path(__file__).parents[3] / "trainer" / "configs" / "phantom-tiny.toml")
    lost = dataclasses.replace(lost, cohort=dataclasses.replace(lost.cohort, folder=str(tmp_path)))
    with pytest.raises(DatasetError, match="no such cohort"):
        run(lost, "cldm-train audit")
