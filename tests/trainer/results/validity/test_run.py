"""The command from a cohort to its page: tiny networks, and bundles whose images show each label in its own grey."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.errors import BundleError, InputError
from cldm_runtime.store import open_dataset
from cldm_trainer.config import Config
from cldm_trainer.config.validity import SegmenterRecipe, ValidityConfig
from cldm_trainer.results.validity import run as validity_run
from cldm_trainer.results.validity import sets
from cldm_trainer.results.validity.page import prediction_table
from cldm_trainer.results.validity.run import run
from cldm_trainer.results.validity.sets import split_patients
from cldm_trainer.stages.config_file import load_config
from cldm_trainer.training import loop
from cohort_fixtures import GREYS, write_drawn_cohort

TINY = SegmenterRecipe(channels=(4, 4), patch=4, steps=3, batch_size=2)
ROOT = Path(__file__).parents[4]


@pytest.fixture
def config(tmp_path: Path, tiny_generator: Path, tiny_attributes: Path, tiny_segmenter: Path) -> Config:
    recipes = {"perfect": SegmenterRecipe(bundle=str(tiny_segmenter)),
               "blind": SegmenterRecipe(bundle=str(tiny_segmenter), fewest_pixels=20_000),
               "one": TINY, "two": dataclasses.replace(TINY, gamma=2.0), "three": dataclasses.replace(TINY, share=0.5)}
    config = load_config(ROOT / "trainer" / "configs" / "phantom-tiny.toml")
    config = dataclasses.replace(
        config, run=dataclasses.replace(config.run, folder=str(tmp_path / "runs"), threads=1),
        cohort=dataclasses.replace(config.cohort, folder=str(tmp_path / "cohort")),
        validity=ValidityConfig((str(tiny_generator), str(tiny_attributes)), recipes, replicates=50))
    write_drawn_cohort(config.cohort_file, {"train": 6, "val": 3, "test": 12})
    return config


def test_from_cohort_to_page_and_again(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = run(config, "cldm-train validity", config.cohort_file, tmp_path / "out")
    figures = json.loads((tmp_path / "out" / "validity.json").read_text())
    assert {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()} == {
        "validity.json", "validity.md", "validity.svg"}
    dice = figures["figures"]["dice_infarct"]
    assert dice["reference"]["perfect"]["value"] > 0.99 and dice["reference"]["blind"]["value"] == 0.0
    assert dice["sets"]["generator"]["values"]["perfect"]["value"] > 0.99
    assert dice["sets"]["attributes"]["n"] == 0  # its images follow no outline
    assert figures["figures"]["missed"]["sets"]["attributes"]["values"]["blind"]["value"] == 1.0
    assert page.read_text().index("| figure | images | tau |") < page.read_text().index("### The segmenters")
    identity = Bundle.load(config.validity.segmenters["perfect"].bundle).identity
    assert figures["made"]["segmenters"] == {"perfect": identity, "blind": identity}
    assert f"Bundles of segmenters: `{identity}`." in page.read_text()
    assert "| Dice infarct | generator | blind | 0.000 | 0.000 | 0.000 [0.000, 0.000] | – |" in page.read_text()
    before = page.read_text()
    monkeypatch.setattr(loop, "_Trainer", None)  # nothing is trained, segmented or generated again
    monkeypatch.setattr(sets, "compare", None)
    assert run(config, "cldm-train validity", config.cohort_file, tmp_path / "out").read_text() == before


def test_what_is_known_of_the_cohort_is_kept_when_a_generator_is_replaced(
        config: Config, tmp_path: Path, tiny_attributes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped before the first image, and gone on with another generator: slices of the cohort are segmented once."""
    segmented: list[int] = []
    whole = sets.compare

    def counted(found: np.ndarray, truth: sets.Truth) -> sets.SliceOutcomes:
        segmented.append(len(found))
        return whole(found, truth)

    def stopped(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sets, "compare", counted)
    with monkeypatch.context() as before:
        before.setattr(validity_run, "synthetic_slices", stopped)
        with pytest.raises(KeyboardInterrupt):
            run(config, "", config.cohort_file, tmp_path / "out")
    assert len(segmented) == 10  # five segmenters on both halves of the test patients
    section = dataclasses.replace(config.validity, generators=(str(tiny_attributes),))
    monkeypatch.setattr(loop, "_Trainer", None)  # nothing is trained again
    run(dataclasses.replace(config, validity=section), "", config.cohort_file, tmp_path / "out")
    assert len(segmented) == 15


OWN = """\
import numpy as np
calls = []
def segment(images):
    calls.append(len(images))
    return np.abs(images[..., None] - np.array(GREYS)).argmin(axis=-1)
"""


def test_a_users_own_function_is_compared_and_asked_again_each_time(config: Config, tmp_path: Path,
                                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_greys.py").write_text(OWN.replace("GREYS", str(GREYS.tolist())))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    recipes = {"own": SegmenterRecipe(bundle="own_greys:segment"), "one": TINY,
               "own, blind": SegmenterRecipe(bundle="own_greys:segment", fewest_pixels=20_000)}
    config = dataclasses.replace(config, validity=dataclasses.replace(
        config.validity, generators=config.validity.generators[:1], segmenters=recipes, most_slices=3))
    for times in (1, 2):
        run(config, "", config.cohort_file, tmp_path / "out")
        assert sum(sys.modules["own_greys"].calls) == times * 9  # three sets of three slices
    figures = json.loads((tmp_path / "out" / "validity.json").read_text())
    dice = figures["figures"]["dice_infarct"]["reference"]
    assert dice["own"]["value"] > 0.99 and dice["own, blind"]["value"] == 0.0
    assert figures["made"]["segmenters"]["own"] == "the function own_greys:segment"


def test_label_maps_that_were_predicted_elsewhere_are_of_one_file_only(config: Config, tmp_path: Path) -> None:
    (tmp_path / "predicted").mkdir()
    (tmp_path / "predicted" / "sample00000.nii.gz").touch()
    recipes = {**config.validity.segmenters, "theirs": SegmenterRecipe(bundle=str(tmp_path / "predicted"))}
    config = dataclasses.replace(config, validity=dataclasses.replace(config.validity, segmenters=recipes))
    with pytest.raises(InputError, match=r"segmenters\.theirs: the folder .* holds label maps of one file"):
        run(config, "", config.cohort_file, tmp_path / "out")


def test_a_generator_that_does_not_fit_is_refused_before_anything_is_trained(
        config: Config, tmp_path: Path, tiny_generator: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validity_run, "outcomes_of", None)
    write_drawn_cohort(config.cohort_file, {"train": 3, "val": 3, "test": 12}, side=96)
    section = dataclasses.replace(config.validity, generators=(str(tiny_generator),))
    with pytest.raises(InputError, match="96"):
        run(dataclasses.replace(config, validity=section), "", config.cohort_file, tmp_path)
    missing = dataclasses.replace(config.validity, generators=(str(tmp_path / "none"),))
    with pytest.raises(BundleError, match="none"):
        run(dataclasses.replace(config, validity=missing), "", config.cohort_file, tmp_path)


def reader_without_first_rows(masks: np.ndarray) -> np.ndarray:
    """What a reader draws who overlooks the first half of every infarct's rows."""
    drawn = masks.copy()
    for mask in drawn:
        rows = np.flatnonzero((mask == 3).any(axis=1))
        mask[rows[:len(rows) // 2]] = np.where(mask[rows[:len(rows) // 2]] == 3, 2, mask[rows[:len(rows) // 2]])
    return drawn


@pytest.mark.parametrize(("against", "sentence"), [("truth", "against the true label maps"),
                                                   ("reader", "against the contours of the phantom's reader")])
def test_both_kinds_of_images_are_scored_against_the_same_reference(config: Config, tmp_path: Path, against: str,
                                                                    sentence: str) -> None:
    recipes = {name: recipe for name, recipe in config.validity.segmenters.items() if name in ("perfect", "blind")}
    recipes["one"] = dataclasses.replace(TINY, steps=1)
    config = dataclasses.replace(config, validity=dataclasses.replace(
        config.validity, generators=config.validity.generators[:1], segmenters=recipes, scored_against=against))
    write_drawn_cohort(config.cohort_file, {"train": 3, "val": 3, "test": 12}, reader=reader_without_first_rows)
    page = run(config, "", config.cohort_file, tmp_path / "out")
    dice = json.loads((tmp_path / "out" / "validity.json").read_text())["figures"]["dice_infarct"]
    rows, other = split_patients(config.cohort_file, config.validity)
    for chosen, found in ((rows, dice["reference"]), (other, dice["sets"]["generator"]["values"])):
        expected = dice_of_the_truth(config.cohort_file, chosen, against)
        assert found["perfect"]["value"] == pytest.approx(expected, abs=1e-3)
    assert sentence in page.read_text()


def dice_of_the_truth(cohort: Path, rows: np.ndarray, against: str) -> float:
    """Mean Dice of the infarcts that the images show, over the slices in which the reference has one."""
    with open_dataset(cohort) as dataset:
        reference = dataset.masks(rows) if against == "truth" else dataset.annotations(rows)
        shown, drawn = dataset.masks(rows) == 3, reference == 3
    pixels = [part.sum(axis=(1, 2)) for part in (shown & drawn, shown, drawn)]
    held = pixels[2] > 0
    return float((2 * pixels[0] / (pixels[1] + pixels[2]).clip(1))[held].mean())


def test_two_segmenters_have_no_order(config: Config, tmp_path: Path) -> None:
    few = dict(list(config.validity.segmenters.items())[:2])
    config = dataclasses.replace(config, validity=dataclasses.replace(config.validity, segmenters=few))
    with pytest.raises(InputError, match="found 2, expected at least 3"):
        run(config, "", config.cohort_file, tmp_path)


def test_reference_and_label_maps_are_of_different_patients(config: Config) -> None:
    rows, other = split_patients(config.cohort_file, config.validity)
    assert rows.tolist() == [9, 10, 11, 15, 16, 17] and other.tolist() == [12, 13, 14, 18, 19, 20]
    thinned, _ = split_patients(config.cohort_file, dataclasses.replace(config.validity, most_slices=2))
    assert thinned.tolist() == [9, 17]
    with pytest.raises(InputError, match="1 patients give reference slices and 4 label maps, expected two"):
        split_patients(config.cohort_file, dataclasses.replace(config.validity, reference="val", label_maps="test"))
    with pytest.raises(InputError, match=r"no subset 'tset'.*Name another subset in \[validity\]"):
        split_patients(config.cohort_file, dataclasses.replace(config.validity, reference="tset"))
    with pytest.raises(InputError, match="4 patients are in test and in test"):
        split_patients(config.cohort_file, dataclasses.replace(config.validity, label_maps="test"))


def test_the_first_table_shows_each_figure_in_its_cell() -> None:
    def one(value: float) -> dict[str, float]:
        return {"value": value, "low": value - 0.1, "high": value + 0.1}

    item = {"tau": one(0.8), "mean_gap": one(0.05), "paired_gap": one(0.5), "absolute_gap": one(0.06), "n": 4,
            "largest_gap": {"segmenter": "x", **one(-0.2)}}
    figures = {"generators": ["g"], "ceiling": "reference, other patients", "lesion": "scar", "axes": 2,
               "nature": "phantom", "figures": {"false_sized": {"sets": {"g": item,
                                                                        "reference, other patients": item}}}}
    cells = prediction_table(figures).splitlines()[2:]
    assert cells[0] == ("| false scar above 10 pixels | g | 0.80 [0.70, 0.90] | 0.050 [-0.050, 0.150] | "
                        "0.500 [0.400, 0.600] | 0.060 [-0.040, 0.160] | -0.200 (x) | 4 |")
    assert cells[1].startswith("| false scar above 10 pixels | phantom, other patients |")
