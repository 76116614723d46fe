"""The section on pairs: numbers in their cells, from a file to scores.json and report.html."""

import json
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.evaluation.pair_response import read_pair_response
from cldm_runtime.evaluation.steps import measure_dataset
from cldm_runtime.evaluation.summary import read_samples
from cldm_runtime.report.page import write_report
from cldm_runtime.store import DatasetSpec, create_dataset, open_dataset
from html_tables import read_tables

SIZE = 64
DOMAIN = get_domain("lge")


def heart(angle: float) -> np.ndarray:
    """A ring whose first `angle` degrees are infarct."""
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2 + 0.5
    r, theta = np.hypot(y, x), np.degrees(np.arctan2(y, x)) % 360
    return np.where(r < 12, 1, np.where(r >= 20, 0, np.where(theta < angle, 3, 2))).astype(np.uint8)


def dataset(folder: Path, **columns: object) -> Path:
    """Ten pairs: healthy, then 36 or 72 degrees in turn. One healthy heart gets 18 degrees; one scar is missed."""
    drawn = np.stack([heart(angle) for angle in [0, 36, 0, 72] * 5])
    answers = drawn.copy()
    answers[0], answers[1] = heart(18), heart(0)
    path = folder / "pairs.h5"
    with create_dataset(path, DatasetSpec(DOMAIN, (SIZE, SIZE), (1.0, 1.0))) as writer:
        writer.append(images=drawn[:, None] / 4, masks=drawn, **columns)
        writer.segmentation("mine").append(masks=answers)
    measure_dataset(path)
    return path


def test_numbers_stand_in_their_cells(tmp_path: Path) -> None:
    file = dataset(tmp_path, pair=np.arange(20) // 2, grid_row=np.arange(20) // 2 % 2)
    files = write_report(file, "mine", tmp_path)
    pairs = json.loads(files.json.read_text())["pairs"]
    assert (pairs["n"], pairs["n_false_before"], pairs["without_before"]) == (10, 1, 10)
    assert (pairs["n_found_after"], pairs["with_after"]) == (9, 10)
    tables = read_tables(files.html.read_text())
    rates = next(table for table in tables if "Count, share" in table[0])
    assert rates[0]["Count, share"].startswith("1 (10 %)") and rates[1]["Count, share"].startswith("9 (90 %)")
    assert "Infarct segmented after it was removed" in files.html.read_text() and pairs["healed"] == 0
    assert pairs["seam"]["value"] is None  # nothing was painted
    centre, layer = next(table for table in tables if "Place" in table[0])
    assert (centre["Pairs"], centre["Figure"], layer["Pairs"], layer["Figure"]) == ("9", "0.0 degrees", "9", "100.0 %")
    small, large = next(table for table in tables if "Segmented after" in table[0])
    assert float(small["Painted (%)"]) == pytest.approx(10, abs=0.4) and small["Pairs"] == large["Pairs"] == "5"
    assert large["Segmented after"].split(" ")[0] == large["Painted (%)"]
    assert float(small["Segmented after"].split(" ")[0]) == pytest.approx(8, abs=0.4)  # one of five is missed
    assert float(small["Segmented before"].split(" ")[0]) == pytest.approx(1, abs=0.1)  # 5 % in one of five


def test_a_file_without_pairs_has_no_section(tmp_path: Path) -> None:
    files = write_report(dataset(tmp_path), "mine", tmp_path)
    assert "pairs" not in json.loads(files.json.read_text()) and "<h2>Pairs</h2>" not in files.html.read_text()


def test_pairs_of_given_images_are_resampled_by_image(tmp_path: Path) -> None:
    file = dataset(tmp_path, pair=np.arange(20) // 2, given_row=np.arange(20) // 4)
    with open_dataset(file) as opened:
        response = read_pair_response(opened, "mine", read_samples(opened, "mine", None))
    assert response is not None and response.change.n_clusters == 5 and response.change.n == 10
    assert len(response.doses) == 2  # two sizes, no grid
