"""Whether images show their masks: figures by hand, and the command on tiny networks."""

import dataclasses
import json
import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

import cldm_trainer.results.segguided.run as module
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import InputError
from cldm_runtime.generation.generator import Generator
from cldm_trainer.config import Config, FaithfulnessConfig
from cldm_trainer.results.segguided.figures import difference_of_means, faithfulness, mean_of_regions
from cldm_trainer.results.segguided.freed import areas, freed_figures, spread_ratio, unexplained
from cldm_trainer.results.segguided.goals import goals
from cldm_trainer.results.segguided.pictures import telling, write_pictures
from cldm_trainer.results.segguided.run import run
from cldm_trainer.results.segguided.segmented import SegmentedSlices
from cldm_trainer.results.validity.outcomes import Truth
from cldm_trainer.results.validity.sets import SegmentedSet
from cldm_trainer.stages.config_file import load_config
from cohort_fixtures import write_drawn_cohort
from onnx_fixtures import make_generator

ROOT = Path(__file__).parents[4]
NAN = math.nan
PATIENTS = np.array(["a", "a", "b"])
MASKS = np.array([[[2, 3]], [[2, 3]], [[2, 2]]], np.uint8)


def slices(found: list) -> SegmentedSlices:
    """Three slices of two pixels: myocardium, and infarct in the first two."""
    domain = get_domain("lge")
    truth = Truth(domain, (1.0, 1.0), domain.measure(MASKS).values, MASKS, np.array([True, True, False]), PATIENTS)
    return SegmentedSlices(SegmentedSet("set", Path("none"), np.arange(3), truth, ""), np.array(found, np.uint8))


def test_dice_to_the_mask_and_to_the_mask_of_the_original() -> None:
    """The segmenter misses the infarct of the second original; the images show one infarct and miss the other."""
    original = slices([[[2, 3]], [[2, 2]], [[2, 2]]])
    made = slices([[[2, 3]], [[3, 2]], [[2, 2]]])
    infarct = faithfulness(made, original, 50)["regions"]["infarct"]
    assert infarct["n"] == 2 and infarct["reference"]["value"] == 0.5 and infarct["to_mask"]["value"] == 0.5
    assert infarct["to_mask_share"]["value"] == 1.0
    assert infarct["to_original"]["value"] == 1.0  # of the one slice in which the original shows an infarct


def test_the_mean_is_of_classes_and_not_of_slices() -> None:
    dice = np.array([[1.0, 0.2], [1.0, NAN], [0.7, NAN]])
    assert mean_of_regions(dice, PATIENTS, 20).value == pytest.approx((0.9 + 0.2) / 2)
    assert difference_of_means(dice, dice - 0.1, PATIENTS, 20).value == pytest.approx(0.1)
    assert math.isnan(mean_of_regions(np.full((3, 2), NAN), PATIENTS, 20).value)


def test_spread_is_what_the_kept_classes_leave_unexplained() -> None:
    known = np.array([[1.0], [2.0], [3.0], [4.0]])
    left = np.array([1.0, -1.0, -1.0, 1.0])  # orthogonal to a constant and to 1, 2, 3, 4
    assert unexplained(5.0 + 2.0 * known[:, 0] + left, known) == pytest.approx(left)
    ratio = spread_ratio(7.0 * known[:, 0] + 0.5 * left, 3.0 - known[:, 0] + left, known, np.arange(4).astype(str), 20)
    assert ratio.value == pytest.approx(0.5)
    assert math.isnan(spread_ratio(left, np.ones(4), known, np.arange(4).astype(str), 20).value)


def test_areas_by_hand() -> None:
    assert areas(MASKS, [2, 3]).tolist() == [[1, 1], [1, 1], [2, 0]]


def test_a_free_infarct_leaves_the_myocardium_to_be_kept() -> None:
    whole, original = slices([[[2, 3]], [[2, 3]], [[2, 2]]]), slices([[[2, 3]], [[2, 3]], [[2, 2]]])
    found = freed_figures(slices([[[3, 3]], [[2, 2]], [[0, 2]]]), whole, original, "infarct", 20)
    assert found["kept_regions"] == ["lv_cavity", "myocardium"]
    assert found["kept"]["value"] == pytest.approx((0 + 0 - 1 / 3) / 3)
    assert found["drawn"]["made"]["value"] == pytest.approx(1 / 3)
    assert found["drawn"]["original"]["value"] == pytest.approx(2 / 3)


def test_goals_are_of_the_judged_generators() -> None:
    share = {"value": 0.98, "low": 0.96, "high": 0.99}
    one = {"faithfulness": {"regions": {"infarct": {"to_mask_share": share, "to_original_share": {"value": None}}}},
           "freed": {}, "cost": {"images_per_second": 12.0}}
    figures = {"generators": {"ours": one, "theirs": one}, "judged": ["ours"], "utility": None, "compared": [
        {"name": "theirs", "other": "ours", "mean": {"value": -0.4}}]}
    found = {goal["goal"]: (goal["met"], goal["sure"]) for goal in goals(figures)}
    assert list(found.values()) == [(True, False), (False, None), (True, None)] and "theirs" not in "".join(found)


@pytest.fixture
def config(tmp_path: Path, tiny_partly: Path, tiny_generator: Path, tiny_segmenter: Path) -> Config:
    config = load_config(ROOT / "trainer" / "configs" / "phantom-tiny.toml")
    section = FaithfulnessConfig({"free": str(tiny_partly), "whole": str(tiny_generator)}, ("whole",),
                                 {"free": "whole"}, str(tiny_segmenter), free=("infarct",), most_free_slices=4,
                                 judge_steps=2, replicates=20)
    config = dataclasses.replace(
        config, run=dataclasses.replace(config.run, folder=str(tmp_path / "runs"), threads=1),
        cohort=dataclasses.replace(config.cohort, folder=str(tmp_path / "cohort")), faithfulness=section)
    write_drawn_cohort(config.cohort_file, {"train": 3, "val": 3, "test": 12})
    return config


def test_from_cohort_to_page_and_again(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = run(config, "cldm-train faithfulness", config.cohort_file, tmp_path / "docs")
    figures = json.loads((tmp_path / "docs" / "segguided" / "phantom-tiny.json").read_text())
    whole, free = figures["generators"]["whole"], figures["generators"]["free"]
    assert figures["slices"] == 12 and figures["patients"] == 4
    assert whole["faithfulness"]["regions"]["lv_cavity"]["to_mask"]["value"] > 0.95
    assert whole["freed"] == {} and list(free["freed"]) == ["infarct"] and free["freed"]["infarct"]["slices"] == 4
    assert free["freed"]["infarct"]["kept_regions"] == ["lv_cavity", "myocardium"]
    assert whole["cost"]["images_per_second"] > 0 and whole["cost"]["gmac"] is not None
    assert figures["compared"][0]["mean"]["value"] == pytest.approx(0, abs=0.05)
    text = page.read_text()
    assert list(figures["pictures"]) == ["whole"]
    assert all(f"]({file})" in text and (page.parent / file).exists() for file in figures["pictures"]["whole"])
    assert page.name == "results-segguided.md" and "## phantom-tiny" in text and "| goal | found |" in text
    monkeypatch.setattr(module, "cost", lambda *_: whole["cost"])
    monkeypatch.setattr(module.Segmenter, "segment", None)  # nothing is segmented again
    run(config, "cldm-train faithfulness", config.cohort_file, tmp_path / "docs")


def test_pictures_show_each_class_free_and_the_way_to_a_given_slice(config: Config, tmp_path: Path, tiny_partly: Path
                                                                    ) -> None:
    encoding, heights = make_generator(tmp_path / "encoding", encoder=True), {}
    for folder in (tiny_partly, encoding):  # classes may be free; images may be given
        for file in write_pictures(tmp_path, config.cohort_file, np.arange(6, 18), Generator.load(folder)):
            heights[file] = plt.imread(tmp_path / file).shape[0]
    beside, free, other, towards = heights.values()
    assert [file.rsplit("-", 1)[1] for file in heights] == ["beside.png", "free.png", "beside.png", "towards.png"]
    assert free / 6 == pytest.approx(beside / 4, rel=0.02) == pytest.approx(towards / 2, rel=0.02)  # lines
    assert other == beside


def test_slices_are_shown_that_tell_most() -> None:
    masks = np.array([[[1, 0, 0]], [[1, 2, 0]], [[1, 2, 2]], [[0, 0, 0]], [[1, 1, 2]]], np.uint8)
    patients = np.array(["a", "a", "b", "c", "d"])
    assert telling(masks, patients, 3).tolist() == [1, 2, 4] and telling(masks, patients, 9).tolist() == [1, 2, 3, 4]


def test_figures_of_utility_are_shown_where_they_lie_in_the_run(config: Config, tmp_path: Path) -> None:
    estimate = {"value": 0.9, "low": 0.8, "high": 1.0}
    kinds = {kind: {"dice": estimate, "share": estimate} for kind in ("reference", "generated", "both")}
    found = {"regions": {"infarct": kinds}, "made": {"sizes": {"seeds": 3}, "command": "c", "bundle": "b"}}
    file = config.run_folder / "utility" / "utility.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(found))
    text = run(config, "", config.cohort_file, tmp_path / "docs").read_text()
    assert "| infarct | 0.900 [0.800, 1.000] |" in text and "0.95 or more | no |" in text


@pytest.mark.parametrize(("changes", "message"), [
    ({"judged": ("other",)}, "found 'other' in judged or against, expected names of"),
    ({"against": {"whole": "x"}}, "found 'x' in judged or against"),
    ({"free": ("lung",)}, "'lung' unknown. Known: lv_cavity")])
def test_contradictions_are_named_and_nothing_is_written(config: Config, tmp_path: Path, changes: dict,
                                                         message: str) -> None:
    section = dataclasses.replace(config.faithfulness, **changes)
    with pytest.raises(InputError, match=message):
        run(dataclasses.replace(config, faithfulness=section), "", config.cohort_file, tmp_path / "docs")
    assert not (tmp_path / "docs").exists() and not (tmp_path / "runs").exists()


def test_a_bundle_that_is_not_there_is_left_out_and_named(config: Config, tmp_path: Path) -> None:
    section = dataclasses.replace(config.faithfulness, judge_steps=0, generators={
        "whole": config.faithfulness.generators["whole"], "free": "out/none"})
    said: list[str] = []
    run(dataclasses.replace(config, faithfulness=section), "", config.cohort_file, tmp_path / "docs", said.append)
    figures = json.loads((tmp_path / "docs" / "segguided" / "phantom-tiny.json").read_text())
    assert list(figures["generators"]) == ["whole"] and figures["compared"] == []
    assert "out/none: no such bundle, so free is left out. Train and export it first." in said
    nothing = FaithfulnessConfig({"free": "out/none"}, segmenter=section.segmenter)
    with pytest.raises(InputError, match="none of the bundles out/none exists"):
        run(dataclasses.replace(config, faithfulness=nothing), "", config.cohort_file, tmp_path / "docs")


def test_a_generator_without_outlines_is_refused(config: Config, tmp_path: Path, tiny_attributes: Path) -> None:
    section = FaithfulnessConfig({"numbers": str(tiny_attributes)}, segmenter=config.faithfulness.segmenter)
    with pytest.raises(InputError, match="follows no outlines"):
        run(dataclasses.replace(config, faithfulness=section), "", config.cohort_file, tmp_path / "docs")
