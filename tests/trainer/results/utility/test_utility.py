"""Training on generated images against training on the cohort's: figures by hand, and the command on tiny networks."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.errors import InputError
from cldm_trainer.config import Config, UtilityConfig
from cldm_trainer.config.validity import HiddenLesions, SegmenterRecipe
from cldm_trainer.results.utility.figures import KINDS, share_estimate, utility_figures
from cldm_trainer.results.utility.run import chosen_rows, run
from cldm_trainer.results.validity.training import TrainingPairs, task_on
from cldm_trainer.stages.config_file import load_config
from cldm_trainer.training import loop
from cldm_trainer.training.run_folder import RunFolder
from cohort_fixtures import write_drawn_cohort

ROOT = Path(__file__).parents[4]
TINY = SegmenterRecipe(channels=(4, 4), patch=4, steps=2, batch_size=2)
PATIENTS = np.array(["a", "a", "b", "c"])
NAN = math.nan


def figures() -> dict:
    reference = np.array([[0.8, 0.6, NAN, 0.4], [0.6, 0.8, NAN, 0.6]])
    generated = np.array([[0.6, 0.6, NAN, 0.3], [0.6, 0.4, NAN, 0.5]])
    dice = {kind: {"infarct": values} for kind, values in (("reference", reference), ("generated", generated))}
    return utility_figures(dice, PATIENTS, 200)["infarct"]


def test_slices_are_compared_by_the_mean_of_their_trainings() -> None:
    """Means of the slices: 0.7, 0.7, 0.5 on the cohort's, 0.6, 0.5, 0.4 on generated images."""
    found = figures()["generated"]
    assert found["n"] == 3 and found["dice"]["value"] == pytest.approx(0.5)
    assert found["difference"]["value"] == pytest.approx(-0.4 / 3)
    assert found["share"]["value"] == pytest.approx(1.5 / 1.9)
    assert found["seeds"] == pytest.approx([0.5, 0.5])
    assert figures()["reference"]["seeds"] == pytest.approx([0.6, 2 / 3])


def test_the_share_of_patients_that_are_drawn_lies_between_those_of_single_ones() -> None:
    """Patient a: 1.1 / 1.4, patient c: 0.4 / 0.5. No draw goes beyond."""
    share = figures()["generated"]["share"]
    assert 1.1 / 1.4 - 1e-12 <= share["low"] <= share["value"] <= share["high"] <= 0.8 + 1e-12
    assert share["low"] < share["high"]


def test_the_same_figures_are_the_whole_share() -> None:
    share = share_estimate(np.array([0.5, 0.7]), np.array([0.5, 0.7]), np.array(["a", "b"]), 50)
    assert (share.value, share.low, share.high) == (1.0, 1.0, 1.0)
    assert math.isnan(share_estimate(np.zeros(2), np.zeros(2), np.array(["a", "b"]), 50).value)


@pytest.fixture
def config(tmp_path: Path, tiny_generator: Path) -> Config:
    config = load_config(ROOT / "trainer" / "configs" / "phantom-tiny.toml")
    config = dataclasses.replace(
        config, run=dataclasses.replace(config.run, folder=str(tmp_path / "runs"), threads=1),
        cohort=dataclasses.replace(config.cohort, folder=str(tmp_path / "cohort")),
        utility=UtilityConfig(str(tiny_generator), TINY, most_slices=4, seeds=2, replicates=50))
    write_drawn_cohort(config.cohort_file, {"train": 6, "val": 3, "test": 6})
    return config


def test_from_cohort_to_page_and_again(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = run(config, "cldm-train utility", config.cohort_file, tmp_path / "out")
    found = json.loads((tmp_path / "out" / "utility.json").read_text())
    assert set(found["regions"]) == {"lv_cavity", "myocardium", "infarct"}
    assert found["made"]["sizes"]["train"] == 4 and found["made"]["sizes"]["patients"] == 2
    cavity = found["regions"]["lv_cavity"]
    assert {kind: len(figure["seeds"]) for kind, figure in cavity.items()} == dict.fromkeys(KINDS, 2)
    assert cavity["reference"]["difference"]["value"] == 0.0
    assert "| region | trained on | slices | Dice |" in page.read_text() and "Goal: " in page.read_text()
    folders = [folder.name.rsplit("-", 1)[0] for folder in (tmp_path / "runs/phantom-tiny/utility").glob("*-*-*")]
    assert sorted(folders) == ["both-0", "both-1", "generated-0", "generated-1", "reference-0", "reference-1"]
    before = page.read_text()
    monkeypatch.setattr(loop, "_Trainer", None)  # nothing is trained again
    assert run(config, "cldm-train utility", config.cohort_file, tmp_path / "out").read_text() == before


def test_patients_are_either_learned_from_or_tested_on(config: Config) -> None:
    learned, tested = chosen_rows(config.cohort_file, config.utility)
    assert learned.tolist() == [0, 2, 3, 5] and tested.tolist() == [9, 10, 11, 12, 13, 14]
    with pytest.raises(InputError, match="2 patients are in test and in test"):
        chosen_rows(config.cohort_file, dataclasses.replace(config.utility, train="test"))


def test_a_generator_without_label_maps_is_refused(config: Config, tmp_path: Path, tiny_attributes: Path) -> None:
    section = dataclasses.replace(config.utility, generator=str(tiny_attributes))
    with pytest.raises(InputError, match="takes no label maps, so its images have none to learn"):
        run(dataclasses.replace(config, utility=section), "", config.cohort_file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("changes", "message"), [
    ({"seeds": 0}, "found 0 seeds"),
    ({"segmenter": SegmenterRecipe(bundle="x")}, "expected 1 or more, and no bundle"),
    ({"segmenter": dataclasses.replace(TINY, network="vnet")}, r"utility.segmenter.network: .* expected one of unet"),
    ({"segmenter": dataclasses.replace(TINY, share=0.0)}, "utility.segmenter.share: found 0"),
    ({"segmenter": dataclasses.replace(TINY, hidden=HiddenLesions("size"))}, "hidden.attribute is 'size'")])
def test_contradictions_are_named(config: Config, tmp_path: Path, changes: dict, message: str) -> None:
    section = dataclasses.replace(config.utility, **changes)
    with pytest.raises(InputError, match=message):
        run(dataclasses.replace(config, utility=section), "", config.cohort_file, tmp_path / "out")


def pairs() -> TrainingPairs:
    masks = np.full((4, 16, 16), 2, np.uint8)
    masks[:, 4:8, 4:8] = 3
    return TrainingPairs("p", np.full((4, 1, 16, 16), 0.5, np.float32), masks, np.full((4, 4), 0.1), PATIENTS)


@pytest.mark.parametrize(("changes", "images", "value", "lesion"), [
    ({}, 4, 0.5, True), ({"share": 0.4}, None, 0.5, True), ({"gamma": 2.0}, 4, 0.25, True),
    ({"inverted": True, "gamma": 2.0}, 4, 0.75, True), ({"hidden": HiddenLesions("infarct_size")}, 4, 0.5, False)])
def test_every_key_of_the_segmenter_counts(config: Config, changes: dict, images: int | None, value: float,
                                           lesion: bool) -> None:
    """A share of 0.4 of three patients is one of them."""
    task = task_on(pairs(), dataclasses.replace(TINY, **changes), RunFolder.of(config))
    learned, maps = task.training
    assert len(learned) in ([1, 2] if images is None else [images])
    assert learned.unique().tolist() == [pytest.approx(value)] and bool((maps == 3).any()) == lesion


def test_what_is_found_is_cleaned_as_the_segmenter_says(config: Config, tmp_path: Path) -> None:
    """Dropping every piece of the lesion leaves none."""
    recipe = dataclasses.replace(TINY, fewest_pixels=10**6)
    section = dataclasses.replace(config.utility, segmenter=recipe, seeds=1)
    run(dataclasses.replace(config, utility=section), "", config.cohort_file, tmp_path / "out")
    found = json.loads((tmp_path / "out" / "utility.json").read_text())["regions"]["infarct"]
    assert [found[kind]["dice"]["value"] for kind in KINDS] == [0, 0, 0]
