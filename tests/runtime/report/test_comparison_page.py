"""The three files of a comparison, and its verdict."""

import csv
import json
import math
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

from cldm_runtime.evaluation.comparing import ComparedBin, ComparedFigure, SegmentationPair
from cldm_runtime.evaluation.steps import measure_dataset
from cldm_runtime.metrics.agreement import Estimate
from cldm_runtime.metrics.paired import PairedDifference
from cldm_runtime.report.comparison_page import ComparisonFiles, verdict, write_comparison
from cldm_runtime.store import edit_dataset
from segmenter_fixtures import heart, write_hearts


@pytest.fixture
def written(tmp_path: Path) -> ComparisonFiles:
    masks = np.stack([heart(angle, 48) for angle in np.linspace(20, 240, 60)])
    write_hearts(tmp_path / "a.h5", masks)
    with edit_dataset(tmp_path / "a.h5") as editor:
        editor.segmentation("good").append(masks=masks)
        editor.segmentation("worse").append(masks=np.where(masks == 3, 2, masks))
    measure_dataset(tmp_path / "a.h5")
    return write_comparison(tmp_path / "a.h5", ["good", "worse"], tmp_path / "out")


def test_the_page_stands_alone_and_says_which_is_better(written: ComparisonFiles) -> None:
    page = written.html.read_text()
    parser = HTMLParser()
    parser.feed(page)
    assert "<script" not in page and "http" not in page.replace("http-equiv", "")
    (text,) = written.verdicts
    assert text.startswith("good is better than worse, Dice of infarct: 1.000 against 0.000, difference +1.000")
    for words in (text, "the reference itself", "an empty segmentation", "Infarct size", "Probability<br>better"):
        assert words in page


def test_json_and_csv_hold_the_same_figures(written: ComparisonFiles) -> None:
    document = json.loads(written.json.read_text())
    rows = list(csv.DictReader(written.csv.read_text().splitlines()))
    (pair,) = document["pairs"]
    assert len(rows) == len(pair["figures"]) + len(pair["bins"]) and document["verdicts"] == list(written.verdicts)
    dice = next(row for row in rows if (row["figure"], row["of"], row["attribute"]) == ("dice", "infarct", ""))
    assert (float(dice["difference"]), dice["n"], float(dice["probability_better"])) == (1, "60", 1)
    assert document["format"] == "cldm-comparison" and document["unit"] == "sample"


def paired(value: float, low: float, high: float, wide: tuple[float, float] = (math.nan, math.nan)) -> PairedDifference:
    return PairedDifference(20, 20, 0.7, 0.7 - value, Estimate(value, low, high), 0.5, 0.5, Estimate(value, *wide))


def pair(figure: PairedDifference, *bins: PairedDifference, lower: bool = False) -> SegmentationPair:
    name = "missed" if lower else "dice"
    return SegmentationPair("a", "b", (ComparedFigure(name, "lesion", "", lower, figure),), tuple(
        ComparedBin("size", "fraction", 0.1 * number, 0.1 * number + 0.1, "lesion", name, each)
        for number, each in enumerate(bins)))


def test_the_verdict_names_the_better_one_and_where() -> None:
    text = verdict(pair(paired(-0.1, -0.2, -0.05), paired(0.3, 0.1, 0.5, (-0.1, 0.7)),
                        paired(-0.2, -0.3, -0.1, (-0.35, -0.05))), "lesion")
    assert text == ("b is better than a, Dice of lesion: 0.800 against 0.700, difference +0.100 [0.050 to 0.200], "
                    "n = 20. Most in size 10.0 to 20.0 %: +0.200 [0.050 to 0.350], n = 20.")


def test_the_verdict_claims_nothing_that_an_interval_does_not_show() -> None:
    text = verdict(pair(paired(0.1, -0.1, 0.2), paired(0.1, 0.05, 0.2, (-0.1, 0.3))), "lesion")
    assert text.startswith("a and b do not differ demonstrably") and "In no bin" in text
    assert "too few to say where" in verdict(pair(paired(0.1, 0.05, 0.2), paired(0.1, 0.05, 0.2)), "lesion")


def test_fewer_misses_are_better() -> None:
    text = verdict(pair(paired(-0.1, -0.2, -0.05), lower=True), "lesion")
    assert text.startswith("a is better than b, missed lesion")
