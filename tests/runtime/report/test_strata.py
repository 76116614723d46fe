"""The section on where a segmentation fails: every number in its cell, the worst bin first."""

import json
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.domains.declared import Declaration
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.evaluation.steps import measure_dataset
from cldm_runtime.report.page import write_report
from cldm_runtime.store import DatasetSpec, create_dataset
from html_tables import read_tables

SIZE = 64
DOMAIN = get_domain("lge")


def heart(angle: float) -> np.ndarray:
    """A ring whose first `angle` degrees are infarct."""
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2 + 0.5
    r, theta = np.hypot(y, x), np.degrees(np.arctan2(y, x)) % 360
    return np.where(r < 12, 1, np.where(r >= 20, 0, np.where(theta < angle, 3, 2))).astype(np.uint8)


def written(folder: Path, *, masks: bool = True, **columns: object) -> tuple[dict, str]:
    """scores.json and report.html of 60 samples: 10 without an infarct, one of which is segmented with one, then 10
    of each 30, 60, ..., 150 degrees. Half of the smallest are missed; the others are segmented as they are."""
    angles = np.repeat([0, 30, 60, 90, 120, 150], 10)
    drawn = np.stack([heart(angle) for angle in angles])
    answers = drawn.copy()
    answers[0], answers[10:15] = heart(30), heart(0)
    path = folder / "a.h5"
    with create_dataset(path, DatasetSpec(DOMAIN, (SIZE, SIZE), (1.0, 1.0))) as writer:
        requested = {} if masks else {"requested": DOMAIN.measure(drawn).values}
        writer.append(images=drawn[:, None] / 4, **({"masks": drawn} if masks else requested), **columns)
        writer.segmentation("mine").append(masks=answers)
    measure_dataset(path)
    files = write_report(path, "mine", folder)
    return json.loads(files.json.read_text()), files.html.read_text()


def strata_table(page: str) -> list[dict[str, str]]:
    return next(table for table in read_tables(page) if "Bin" in table[0])


def test_every_attribute_has_five_bins(tmp_path: Path) -> None:
    summary, page = written(tmp_path)
    table = strata_table(page)
    assert [row["Attribute"] for row in table[::5]] == ["Infarct size (%)", "Transmurality (%)",
                                                        "Endocardial surface length (%)"]
    assert len(table) == 15 and summary["strata"]["undefined"] == ["slice_position"]
    assert "Defined in no reference: slice position." in page


def test_numbers_stand_in_their_cells(tmp_path: Path) -> None:
    """Five sizes, ten of each: every bin holds one of them, the first also the ten without an infarct."""
    summary, page = written(tmp_path)
    first, second, *_ = strata_table(page)
    assert first["Bin"].startswith("0.0 to ") and first["Region"] == "Infarct"
    assert (first["n"], first["Without region"], second["n"], second["Without region"]) == ("10", "10", "10", "0")
    assert first["Missed"].startswith("5 (50 %) | ") and second["Missed"].startswith("0 (0 %) | ")
    assert first["False"].startswith("1 (10 %) | ") and second["False"] == "0"
    assert first["Dice"].startswith("0.500 | ") and second["Dice"] == "1.000 | 1.000 to 1.000"
    size = 100 * float(DOMAIN.measure(heart(30)[None]).values[0, 0])
    assert first["Bias"].startswith(f"−{4 * size / 20:.1f} | ")  # 5 lost, 1 added, over 20 samples
    assert summary["strata"]["rows"][0]["bias"]["value"] == pytest.approx(-4 * size / 2000)


def test_the_worst_bin_is_named_at_the_top(tmp_path: Path) -> None:
    summary, page = written(tmp_path)
    worst = summary["strata"]["worst"]
    assert (worst["attribute"], worst["n"], worst["n_missed"]) == ("infarct_size", 10, 5)
    sentence = (f"Worst: infarct size 0.0 to {100 * worst['high']:.1f} %: Dice 0.50 [{worst['dice']['low']:.2f} to "
                f"{worst['dice']['high']:.2f}] of infarct, n = 10, 5 missed.")
    assert page.index(sentence) < page.index("</header>")


def test_bins_of_few_samples_are_not_named_the_worst(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    drawn = np.stack([heart(30 * number) for number in range(12)])
    with create_dataset(path, DatasetSpec(DOMAIN, (SIZE, SIZE), (1.0, 1.0))) as writer:
        writer.append(images=drawn[:, None] / 4, masks=drawn)
        writer.segmentation("mine").append(masks=drawn)
    measure_dataset(path)
    files = write_report(path, "mine", tmp_path)
    assert json.loads(files.json.read_text())["strata"]["worst"] is None
    assert "Worst: not named, for no bin of an attribute holds 10 samples" in files.html.read_text()


def test_intervals_draw_whole_patients(tmp_path: Path) -> None:
    """A bin of one patient has no interval."""
    summary, page = written(tmp_path, patients=[f"p{number // 10}" for number in range(60)])
    assert summary["bootstrap"]["unit"] == "patient" and summary["strata"]["rows"][1]["dice"]["low"] is None
    assert strata_table(page)[1]["Dice"] == "1.000 | "


def test_without_masks_the_request_sorts_the_samples(tmp_path: Path) -> None:
    summary, page = written(tmp_path, masks=False)
    first = summary["strata"]["rows"][0]
    assert (summary["strata"]["reference"], first["n"], first["n_missed"], first["n_false"]) == ("requested", 10, 5, 1)
    assert first["dice"]["value"] is None and strata_table(page)[0]["Dice"] == "– | "
    assert "infarct missed in 50 %, n = 10, 5 missed." in page


def test_without_a_lesion_every_region_is_looked_at(tmp_path: Path) -> None:
    domain = Declaration("rings", 2, {"core": 1, "rim": 2}).domain()
    path, drawn = tmp_path / "a.h5", np.zeros((20, 8, 8), np.uint8)
    for number in range(20):
        drawn[number, :2, :1 + number // 4] = 1
        drawn[number, 4:, :] = 2
    answers = np.where(drawn == 2, 0, drawn).astype(np.uint8)
    with create_dataset(path, DatasetSpec(domain, (8, 8), (1.0, 1.0))) as writer:
        writer.append(images=drawn[:, None] / 4, masks=drawn)
        writer.segmentation("mine").append(masks=answers)
    measure_dataset(path)
    rows = json.loads(write_report(path, "mine", tmp_path).json.read_text())["strata"]["rows"]
    areas = [row for row in rows if row["attribute"] == "core_area"]
    assert [(row["region"], row["n"], row["n_missed"]) for row in areas] == [("core", 4, 0), ("rim", 4, 4)] * 5


def test_of_many_regions_each_is_sorted_by_its_own_attributes(tmp_path: Path) -> None:
    domain = Declaration("strips", 2, {"a": 1, "a_b": 2, "c": 3, "d": 4, "e": 5}).domain()
    path, drawn = tmp_path / "a.h5", np.tile(np.arange(6, dtype=np.uint8), (4, 2, 1))
    with create_dataset(path, DatasetSpec(domain, (2, 6), (1.0, 1.0))) as writer:
        writer.append(images=drawn[:, None] / 5, masks=drawn)
        writer.segmentation("mine").append(masks=drawn)
    measure_dataset(path)
    rows = json.loads(write_report(path, "mine", tmp_path).json.read_text())["strata"]["rows"]
    assert {(row["attribute"], row["region"]) for row in rows if row["attribute"].endswith("area")} == {
        ("a_area", "a"), ("a_b_area", "a_b"), ("c_area", "c"), ("d_area", "d"), ("e_area", "e")}
