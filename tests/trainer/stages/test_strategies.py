"""Strategies side by side, from tiny bundles: one paints the label map's greys, one a grey that grows with the size."""

from dataclasses import replace
from pathlib import Path

import pytest

import onnx_fixtures
from cldm_runtime.errors import InputError
from cldm_runtime.evaluation.features import segmenter_features
from cldm_runtime.generation.generator import Generator
from cldm_runtime.segmentation.segmenter import Segmenter
from cldm_trainer.results import pictures
from cldm_trainer.results.cldm import sweeps
from cldm_trainer.results.cldm.strategies import SEEDS, Strategy, strategies, strategy_figures
from cldm_trainer.results.cldm.strategy_page import _contests, _label_vaes, _widest, realism, strategies_text
from cldm_trainer.results.cldm.students import differences, student_figures
from cldm_trainer.results.cldm.trade import OTHERS, trade_figures
from cldm_trainer.results.figures_of_merit import Json, measure_set
from cldm_trainer.results.sets import original_set
from cldm_trainer.results.workshop import Sizes, Workshop
from cohort_fixtures import write_drawn_cohort

SIZES = Sizes(train=8, other=4, seeds=3, features_repeats=2, trade=(1.0, 2.0), trade_conditions=2, trade_seeds=2)
ATTRIBUTES = ["infarct_size", "transmurality", "endocardial_surface_length"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    folder = tmp_path_factory.mktemp("strategies")
    onnx_fixtures.make_generator(folder / "lge", encoder=True, null=0.0)
    onnx_fixtures.make_generator(folder / "lge-attributes", encoder=True, conditions=("attributes",), null=0.0)
    onnx_fixtures.make_segmenter(folder / "lge-segmenter")
    write_drawn_cohort(folder / "cohort.h5", {"train": 8, "val": 3, "test": 4, "d8": 5})
    bundles = {"1.1": str(folder / "lge-attributes"), "2": str(folder / "lge-controlnet"), "3": str(folder / "lge")}
    return Workshop(folder / "sets", folder / "cohort.h5", Generator.load(folder / "lge"),
                    Segmenter.load(folder / "lge-segmenter"), folder / "grid.csv", SIZES, lambda text: None, {},
                    bundles)


@pytest.fixture(scope="module")
def compared(shop: Workshop) -> Json:
    return strategy_figures(shop, measure_set(shop, original_set(shop)), strategies(shop),
                            segmenter_features(shop.segmenter))


def test_every_strategy_gets_the_same_test_slices(compared: Json) -> None:
    slices = {name: row["slices"] for name, row in compared["rows"].items() if not name.startswith("real")}
    assert slices == {"1.1, test": 4 * SEEDS, "3, test": 4 * SEEDS, "3, d8": 4}
    assert compared["keys"] == ["1.1", "3"] and compared["outlined"] == ["3"]
    assert compared["missing"] == ["2"]  # has no bundle


def test_a_strategy_that_obeys_has_the_real_slices_agreement(compared: Json) -> None:
    size = [compared["rows"][row]["agreement"]["infarct_size"]["all"]["r2"]["value"] for row in
            ("real, test", "3, test")]
    assert size == pytest.approx([1.0, 1.0], abs=1e-3)


def test_without_masks_the_request_is_the_reference(compared: Json) -> None:
    row = compared["rows"]["1.1, test"]
    assert row["agreement"]["infarct_size"]["all"]["reference"] == "requested" and not row["regions"]


def test_both_distances_stand_beside_their_floor(compared: Json) -> None:
    assert len({found["n"] for found in compared["distances"].values()}) == 1
    for key in ("real, test", "1.1", "3"):
        found = compared["distances"][key]
        assert found["frechet"] >= 0 and found["floor_frechet"] >= 0


def test_the_trade_covers_weights_and_for_the_default_bundle_more(shop: Workshop) -> None:
    figures = trade_figures(shop, strategies(shop), segmenter_features(shop.segmenter))
    settings = {key: [item["setting"] for item in items] for key, items in figures["strategies"].items()}
    assert settings["1.1"] == ["guidance-1", "guidance-2"]
    assert settings["3"] == ["guidance-1", "guidance-2", *(setting.name for setting in OTHERS)]
    same, different = figures["strategies"]["3"][0]["ssim"]["value"], figures["different_slices_ssim"]["value"]
    assert different < 0.9 < same < 1  # images of a condition differ by their noise alone


def test_the_page_has_both_tables_and_the_papers_values(shop: Workshop, compared: Json, tmp_path: Path) -> None:
    trade = trade_figures(shop, strategies(shop), segmenter_features(shop.segmenter))
    pictures.trade(tmp_path / "trade.png", trade, ATTRIBUTES)
    page = strategies_text({"strategies": compared, "trade": trade, "lesion": "infarct", "attributes": ATTRIBUTES,
                            "compared": ["test", "d8"], "without": {}})
    assert f"\n| 3 mask latent | {4 * SEEDS} |" in page and "\n| 3 mask latent | infarct_size | " in page
    assert "| 3 mask latent | 0.90 | 0.77 | 0.90 | 86.7 |" in page  # the paper's r2 and Frechet distance, of patients
    assert "| cohort, test |" in page and "| patients, test | 0.84 | 5.1 |" in page
    assert "left out: 2 ControlNet." in page and "| 3 mask latent, d8 | 4 |" in page
    assert (tmp_path / "trade.png").stat().st_size > 1000


def test_the_page_tells_realism_and_what_dimensions_mean() -> None:
    some = {"value": 0.71, "low": 0.66, "high": 0.76}
    text = realism({"3": {"accuracy": some, "accuracy_real": some, "copies_pixels": some, "asked": 8, "searched": 8,
                          "quantile": 0.01}}, "phantom")
    assert "| 3 mask latent | 0.71 [0.66, 0.76] |" in text and "1 % of held-out phantom slices" in text
    assert "| phantom against phantom |" in text
    vaes = _label_vaes({"label_vaes": {"1.3": {"dice_infarct": 0.5, "spearman_infarct_size": 0.98,
                                               "r2_infarct_size": 0.96}},
                        "traversals": {"1.3": "figures/t.png"}}, ATTRIBUTES, "infarct")
    assert "| 1.3 AR-VAE | 0.500 | 0.98, 0.96 | – | – |" in vaes[1] and vaes[-1].endswith("(figures/t.png)")


def test_the_most_varied_setting_is_one_that_loses_no_r2() -> None:
    def item(name: str, r2: float | None, spread: float) -> Json:
        return {"setting": name, "row": {"agreement": {"infarct_size": {"lesion": {"r2": {"value": r2}}}}},
                "feature_spread": spread}

    settings = [item("guidance-1", 0.8, 0.9), item("guidance-2", 0.91, 0.7), item("guidance-3", 0.92, 0.5)]
    assert _widest("3", settings, ["infarct_size"]).startswith("- 3 mask latent: guidance 2, feature spread 0.700;")
    assert "highest r2 too" in _widest("3", [settings[0], item("guidance-4", 0.95, 0.95)], ["infarct_size"])
    assert not _widest("3", [item("guidance-1", None, 0.9)], ["infarct_size"])


def test_two_strategies_are_set_against_each_other() -> None:
    rows = {f"{key}, test": {"agreement": {"infarct_size": {"lesion": {"r2": {"value": r2}}}}}
            for key, r2 in (("1.2", 0.4), ("1.3", 0.6), ("1.1", 0.5))}
    found = _contests({"keys": ["1.1", "1.2", "1.3"], "rows": rows}, ["infarct_size"])
    assert found == ["1.3 AR-VAE against 1.2 VAE: infarct_size 0.60 against 0.40 (higher)."]


def test_a_sweep_shows_what_was_asked_for(shop: Workshop, tmp_path: Path) -> None:
    for strategy in strategies(shop):
        sweeps.picture(tmp_path / f"{strategy.key}.png", strategy.shop.generator, shop.segmenter)
    assert len(list(tmp_path.glob("*.png"))) == 2


def test_a_strategy_with_its_own_workshop_keeps_its_sets_apart(shop: Workshop) -> None:
    other, own = (strategy.shop for strategy in strategies(shop))
    assert own is shop and other.folder == shop.folder / "lge-attributes"
    assert Strategy("1.1", other).outlined is False


def test_a_student_is_compared_with_its_teacher_on_the_same_slices(shop: Workshop) -> None:
    """The same bundle under two names: no difference, whatever patients are drawn."""
    folder = shop.strategies["3"]
    (pair,) = student_figures(replace(shop, students={folder: folder, "nowhere": folder}))  # one has no bundle
    assert (pair["student"], pair["teacher"], pair["slices"]) == ("lge", "lge", 4 * SEEDS)
    every = strategies(shop)[1].measured.samples()
    item = differences(every, every)["attributes"]["infarct_size"]
    assert [item["difference"]["r2"][key] for key in ("value", "low", "high")] == [0.0, 0.0, 0.0]
    assert item["difference"]["n"] == item["student"]["n"] == int(every.with_lesion.sum())


def test_a_student_and_a_teacher_get_the_same_conditions(shop: Workshop) -> None:
    with pytest.raises(InputError, match="not made from the same conditions"):
        student_figures(replace(shop, students={shop.strategies["1.1"]: shop.strategies["3"]}))
