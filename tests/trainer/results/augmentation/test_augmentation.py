"""Generated images beside few slices: figures by hand, and the command on tiny networks."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cldm_runtime import Generator, Segmenter
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import InputError
from cldm_runtime.generation.quality_filter import QualityFilter
from cldm_runtime.store import open_dataset
from cldm_trainer.cli.measuring import utility
from cldm_trainer.config import Config, UtilityConfig
from cldm_trainer.config.utility import AugmentationConfig
from cldm_trainer.config.validity import SegmenterRecipe
from cldm_trainer.results.augmentation.figures import (
    Outcomes,
    auc,
    sensitivity,
    study_figures,
    weighted_mean,
)
from cldm_trainer.results.augmentation.run import run
from cldm_trainer.results.augmentation.sets import few_rows, generated_sets
from cldm_trainer.results.validity.outcomes import Truth
from cldm_trainer.stages.config_file import load_config
from cldm_trainer.training import loop
from cohort_fixtures import write_drawn_cohort
from onnx_fixtures import make_generator

ROOT = Path(__file__).parents[4]
TINY = SegmenterRecipe(channels=(4, 4), patch=4, steps=2, batch_size=2)
LESION = np.array([True, True, True, False, False, False, False])
SCORE = np.array([0.9, 0.5, 0.3, 0.6, 0.4, 0.2, 0.1])
ONCE = np.ones((1, 7))


@pytest.mark.parametrize(("rate", "expected"), [
    (0.0, 1 / 3), (0.24, 1 / 3), (0.25, 2 / 3), (0.5, 1.0), (1.0, 1.0)])
def test_sensitivity_at_a_false_rate(rate: float, expected: float) -> None:
    """Of the healthy slices 0.6, 0.4, 0.2, 0.1, a quarter may be above the threshold: then it is 0.4."""
    assert sensitivity(SCORE, LESION, ~LESION, rate, ONCE).tolist() == [pytest.approx(expected)]


def test_area_under_the_curve_counts_pairs() -> None:
    """0.9 is above all four, 0.5 above three, 0.3 above two: 9 of 12. Equal scores count half."""
    assert auc(SCORE, LESION, ~LESION, ONCE)[0] == pytest.approx(9 / 12)
    assert auc(np.zeros(7), LESION, ~LESION, ONCE)[0] == 0.5


def test_draws_count_slices_as_often_as_their_patients() -> None:
    weights = np.stack([np.ones(7), np.array([2, 0, 0, 0, 2, 1, 1])])
    np.testing.assert_allclose(auc(SCORE, LESION, ~LESION, weights), [9 / 12, 1.0])
    np.testing.assert_allclose(weighted_mean(SCORE, weights, LESION), [1.7 / 3, 0.9])
    assert math.isnan(sensitivity(SCORE, LESION, ~LESION, 0.5, np.array([[0, 0, 0, 1, 1, 1, 1]]))[0])


def truth() -> Truth:
    attributes = np.full((4, 4), np.nan, np.float32)
    attributes[:, 0] = [0.2, 0.03, 0.0, 0.0]
    return Truth(get_domain("lge"), (1.0, 1.0), attributes, np.zeros((4, 8, 8), np.uint8),
                 np.array([True, True, False, False]), np.array(["a", "b", "c", "d"]))


def outcomes(infarct: list[float], score: list[float], found: list[bool]) -> Outcomes:
    dice = np.full((1, 4, 3), np.nan)
    dice[0, :2, 2] = infarct
    return Outcomes(dice, np.array([score]), np.array([found]))


def test_a_study_by_hand() -> None:
    """The baseline calls one of two healthy slices positive; at that rate the other set finds the small lesion too."""
    sets = {"usual": outcomes([0.8, 0.0], [0.9, 0.1, 0.5, 0.2], [True, False, True, False]),
            "more": outcomes([0.8, 0.5], [0.9, 0.4, 0.5, 0.2], [True, True, False, False])}
    found = study_figures(sets, "usual", truth(), 0.05, 100)
    assert found["false_rate"] == 0.5 and found["healthy"] == 2
    assert found["groups"]["all"]["n"] == 2 and found["groups"]["small"]["n"] == 1
    every, small = (found["groups"][name]["sets"]["more"] for name in ("all", "small"))
    assert every["dice_infarct"]["value"] == pytest.approx(0.65)
    assert every["dice_infarct"]["difference"]["value"] == pytest.approx(0.25)
    assert small["dice_infarct"]["difference"]["value"] == pytest.approx(0.5)
    assert every["sensitivity"]["difference"]["value"] == pytest.approx(0.5)
    assert small["auc"]["value"] == 0.5 and small["auc"]["difference"]["value"] == 0.5
    assert found["groups"]["all"]["sets"]["usual"]["auc"]["difference"]["value"] == 0
    assert every["dice_infarct"]["low"] <= 0.65 <= every["dice_infarct"]["high"]


@pytest.fixture
def config(tmp_path: Path, tiny_generator: Path, tiny_segmenter: Path) -> Config:
    config = load_config(ROOT / "trainer" / "configs" / "phantom-tiny.toml")
    study = AugmentationConfig(patients=1, most_slices=2, ratios=(1, 2), judge=str(tiny_segmenter), tries=2, seeds=2,
                               keep_if="infarct_size_error <= 0.2")
    config = dataclasses.replace(
        config, run=dataclasses.replace(config.run, folder=str(tmp_path / "runs"), threads=1),
        cohort=dataclasses.replace(config.cohort, folder=str(tmp_path / "cohort")),
        utility=UtilityConfig(str(tiny_generator), TINY, replicates=20, augmentation=study))
    write_drawn_cohort(config.cohort_file, {"train": 6, "val": 3, "test": 6})
    return config


def test_from_cohort_to_page_and_again(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = run(config, "cldm-train utility --augment", config.cohort_file, tmp_path / "out")
    found = json.loads((tmp_path / "out" / "augmentation.json").read_text())
    names = ["nothing", "usual", "unfiltered-1", "unfiltered-2", "filtered-1", "filtered-2"]
    sets = found["groups"]["all"]["sets"]
    assert list(sets) == names and all(len(sets[name]["auc"]["seeds"]) == 2 for name in names)
    assert found["made"]["learned"] == {"slices": 2, "patients": 1}
    assert {name: each["asked"] for name, each in found["generated"].items()} == {
        "unfiltered-1": 2, "unfiltered-2": 4, "filtered-1": 2, "filtered-2": 4}
    assert found["generated"]["unfiltered-2"]["kept"] == 4
    text = page.read_text()
    assert "| 2:1 generated, filtered (" in text and "| slices alone, no augmentation |" in text and "below 5%" in text
    images = sorted((tmp_path / "runs/phantom-tiny/utility/images").glob("*.h5"))
    with open_dataset(images[0]) as one, open_dataset(config.cohort_file) as cohort:
        assert len(images) == 4 and (one.masks() != cohort.masks(one.given_row)).any()  # other lesions
    before = text
    monkeypatch.setattr(loop, "_Trainer", None)  # nothing is trained again
    again = run(config, "cldm-train utility --augment", config.cohort_file, tmp_path / "out")
    assert again.read_text() == before


def test_with_an_encoder_lesions_are_painted_into_the_slices(config: Config, tmp_path: Path, tiny_segmenter: Path
                                                             ) -> None:
    """Away from the lesions the slices stay as they are; every turn draws other lesions, and a larger set holds the
    smaller one."""
    generator = Generator.load(make_generator(tmp_path / "encoding", encoder=True))
    keep = QualityFilter.of("infarct_size >= 0", generator, Segmenter.load(tiny_segmenter), 1)
    settings = AugmentationConfig(ratios=(1, 2))
    sets = generated_sets(config.cohort_file, np.array([0, 1]), generator, keep, settings, tmp_path / "made", print)
    one, two = sets["unfiltered-1"], sets["unfiltered-2"]
    assert one.painted and (one.asked, two.asked) == (2, 4) and two.pairs.patients.tolist() == ["train-0"] * 4
    np.testing.assert_array_equal(two.pairs.images[:2], one.pairs.images)
    assert (two.pairs.masks[2:] != one.pairs.masks).any()
    with open_dataset(config.cohort_file) as cohort:
        same = (one.pairs.images == cohort.images([0, 1])).mean()
    assert 0.5 < same < 1
    np.testing.assert_array_equal(sets["filtered-1"].pairs.images, one.pairs.images)  # the rule keeps all


def test_few_slices_are_of_few_patients_and_the_same_each_time(config: Config) -> None:
    rows = np.arange(6)
    one = few_rows(config.cohort_file, rows, AugmentationConfig(patients=1), 0)
    assert 0 < len(one) < 6 and one.tolist() == few_rows(config.cohort_file, rows, AugmentationConfig(patients=1), 0
                                                         ).tolist()
    assert len(few_rows(config.cohort_file, rows, AugmentationConfig(patients=99), 0)) == 6
    assert len(few_rows(config.cohort_file, rows, AugmentationConfig(most_slices=2), 0)) == 2


@pytest.mark.parametrize(("changes", "message"), [
    ({"ratios": (0,)}, r"utility.augmentation.ratios: found \[0\]"), ({"patients": 0}, "found 0 patients"),
    ({"keep_if": "wisdom > 1"}, "wisdom"), ({"seeds": 0}, "found 0 seeds")])
def test_what_cannot_be_done_is_said(config: Config, tmp_path: Path, changes: dict, message: str) -> None:
    study = dataclasses.replace(config.utility.augmentation, **changes)
    changed = dataclasses.replace(config, utility=dataclasses.replace(config.utility, augmentation=study))
    with pytest.raises(InputError, match=message):
        run(changed, "", config.cohort_file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("flags", "study"), [([], "utility"), (["--augment"], "augmentation")])
def test_the_command_runs_the_study_that_is_asked_for(config: Config, tmp_path: Path, flags: list[str], study: str,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    def stated(config: Config, command: str, cohort: Path, out: Path, say: object) -> Path:
        (out.parent / "command.txt").write_text(command)
        return out / f"{study}.md"

    monkeypatch.setattr("cldm_trainer.cli.measuring.load_config", lambda path: config)
    monkeypatch.setattr(f"cldm_trainer.results.{study}.run.run", stated)
    shown = CliRunner().invoke(utility, ["--config", "my.toml", *flags, "--out", str(tmp_path / "out")])
    assert shown.exit_code == 0 and f"{study}.md" in shown.output, shown.output
    assert (tmp_path / "command.txt").read_text() == " ".join(["cldm-train utility --config my.toml", *flags])
