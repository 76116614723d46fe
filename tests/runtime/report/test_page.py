"""The report's files: pinned keys, a row for each sample, safe text, and a page that stands alone."""

import csv
import json
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.domains.labels import LabelSet
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import DatasetError, InputError
from cldm_runtime.evaluation.steps import measure_dataset
from cldm_runtime.evaluation.summary import read_samples
from cldm_runtime.files.png import png_bytes
from cldm_runtime.metrics.agreement import agreement
from cldm_runtime.report.charts import bland_altman, histogram, scatter, ticks
from cldm_runtime.report.comparison_page import write_comparison
from cldm_runtime.report.contours import case_picture, enlarged_box, outline
from cldm_runtime.report.gallery import choose_cases
from cldm_runtime.report.page import write_report
from cldm_runtime.report.score_files import safe_text
from cldm_runtime.report.tables import as_title, number
from cldm_runtime.store import DatasetSpec, create_dataset, open_dataset
from html_tables import read_tables

SIZE = 64
DOMAIN = get_domain("lge")
INJECTED = "<script>alert(1)</script>"


def heart(angle: float) -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2 + 0.5
    r, theta = np.hypot(y, x), np.degrees(np.arctan2(y, x)) % 360
    return np.where(r < 12, 1, np.where(r >= 20, 0, np.where(theta < angle, 3, 2))).astype(np.uint8)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve measured samples of four patients; the segmentation turns the infarct by some pixels."""
    path = tmp_path_factory.mktemp("report") / "cohort.h5"
    masks = np.stack([heart(30.0 * number) for number in range(12)])
    told = np.stack([np.roll(mask, number % 4, axis=0) for number, mask in enumerate(masks)])
    spec = DatasetSpec(DOMAIN, (SIZE, SIZE), (1.0, 1.0), metadata={"seed": 7, "note": INJECTED})
    with create_dataset(path, spec) as writer:
        patients = ["=SUM(A1)", "b", "c", "d"] * 3
        writer.append(images=masks[:, None] / 4, masks=masks, patients=patients, requested=DOMAIN.measure(masks).values)
        writer.segmentation("nnunet", {"manifest_sha256": "ab" * 32}).append(masks=told)
    measure_dataset(path)
    return path


@pytest.fixture(scope="module")
def page(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report(dataset, "nnunet", tmp_path_factory.mktemp("out")).html.read_text(encoding="utf-8")


def test_an_unknown_segmentation_leaves_no_folder(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nobody"):
        write_report(dataset, "nobody", tmp_path / "out")
    with pytest.raises(DatasetError, match="nobody"):
        write_comparison(dataset, ["nnunet", "nobody"], tmp_path / "out")
    with pytest.raises(InputError, match="elsewhere"):
        write_report(dataset, "nnunet", tmp_path / "out", subset="elsewhere")
    assert list(tmp_path.iterdir()) == []


def test_the_page_stands_alone(page: str) -> None:
    assert "<script" not in page and "javascript:" not in page
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)
    assert "url(" not in page and "@import" not in page


def test_text_from_the_file_is_escaped(page: str) -> None:
    assert INJECTED not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_the_page_says_what_it_must(page: str) -> None:
    assert "neither masks nor requested" not in page and "no reference masks" not in page
    for text in ("Not a medical device", "ab" * 32, "How to read this", "infarct only", "Limits of agreement",
                 "ICC(2,1)", "HD95 (mm)", "12 samples", "4 patients", "Typical", "Worst"):
        assert text in page


def test_figures_of_the_page_are_those_of_the_files(page: str, dataset: Path, tmp_path: Path) -> None:
    written = write_report(dataset, "nnunet", tmp_path)
    summary = json.loads(written.json.read_text())
    with written.csv.open(newline="") as stream:
        scores = list(csv.DictReader(stream))
    for region, row in zip(summary["regions"], read_tables(page)[0], strict=True):
        for metric, column, digits in (("hd_mm", "HD (mm)", 1), ("hd95_mm", "HD95 (mm)", 1),
                                       ("assd_mm", "ASSD (mm)", 2)):
            values = [float(cells[f"{region['region']}_{metric}"] or "nan") for cells in scores]
            assert region[metric]["mean"] == pytest.approx(np.nanmean(values))
            assert row[column].startswith(f"{np.nanmean(values):.{digits}f} ±")
        assert row["Dice"].startswith(f"{region['dice']['mean']:.3f} ±") and int(row["n"]) == region["n"] == 12


def test_it_says_what_it_is_doing(dataset: Path, tmp_path: Path) -> None:
    said: list[str] = []
    write_report(dataset, "nnunet", tmp_path, say=said.append)
    assert [text.split(": ")[1].split()[0] for text in said] == ["reading", "figures", "drawing"]


def test_scores_are_those_of_a_shift(dataset: Path, tmp_path: Path) -> None:
    with write_report(dataset, "nnunet", tmp_path).csv.open(newline="") as stream:
        scores = list(csv.DictReader(stream))
    # Row r is the mask moved down by r mod 4 pixels of 1 mm: no outline is further off, and its ends are as far.
    assert [float(row["lv_cavity_hd_mm"]) for row in scores] == [0, 1, 2, 3] * 3
    assert all(float(row["lv_cavity_assd_mm"]) < float(row["lv_cavity_hd95_mm"]) <= float(row["lv_cavity_hd_mm"])
               for row in scores if row["lv_cavity_hd_mm"] != "0.0")
    assert [row["row"] for row in scores] == [str(number) for number in range(12)]
    assert [row["requested_infarct_size"] for row in scores] == [row["mask_infarct_size"] for row in scores]


def test_captions_of_cases_give_their_dice(page: str, dataset: Path) -> None:
    with open_dataset(dataset) as opened:
        found = read_samples(opened, "nnunet")
    assert found.scores is not None
    cavity, infarct = found.scores["lv_cavity_dice"][7], found.scores["infarct_dice"][7]
    assert re.search(rf"Row 7\. Dice: LV cavity {cavity:.2f}, Myocardium \d\.\d\d, Infarct {infarct:.2f}<", page)
    assert "Ranked by mean Dice" in page


def test_every_case_picture_has_its_own_identifier(page: str) -> None:
    found = re.findall(r'<image id="([^"]+)"', page)
    assert len(found) == len(set(found)) == 12


def test_the_keys_of_the_summary_are_pinned(dataset: Path, tmp_path: Path) -> None:
    summary = json.loads(write_report(dataset, "nnunet", tmp_path).json.read_text())
    assert list(summary) == ["format", "format_version", "metric_definition", "run", "counts", "bootstrap", "regions",
                             "false_detections", "detection", "agreement", "uncertainty", "strata", "generator",
                             "label_permutation", "places"]
    assert summary["uncertainty"] is summary["generator"] is summary["label_permutation"] is None
    assert list(summary["strata"]) == ["reference", "rows", "worst", "undefined", "bins", "minimum_n", "edges"]
    assert list(summary["strata"]["rows"][0]) == [
        "attribute", "unit", "low", "high", "region", "n_samples", "n", "dice", "n_missed", "missed_rate", "n_without",
        "n_false", "false_rate", "n_bias", "bias"]
    assert summary["format"] == "cldm-scores"
    assert summary["counts"] == {"samples": 12, "patients": 4}
    assert summary["bootstrap"] == {"unit": "patient", "replicates": 1000, "seed": 0, "level": 0.95}
    assert list(summary["regions"][0]) == [
        "region", "n", "n_empty_reference", "n_empty_prediction", "n_both_empty", "n_missed", "n_false", "false_rate",
        "dice", "dice_with_absence", "hd_mm", "hd95_mm", "assd_mm"]
    assert list(summary["regions"][0]["dice"]) == ["n", "mean", "sd", "median", "q25", "q75"]
    assert list(summary["false_detections"]) == ["lv_cavity", "myocardium", "infarct"]
    assert list(summary["detection"]) == ["region", "reference", "n_with", "n_missed", "n_without", "n_false",
                                          "missed_rate", "false_rate"]
    assert list(summary["agreement"][0]) == [
        "attribute", "unit", "measured", "reference", "samples", "n", "n_clusters", "n_reference_undefined",
        "n_measured_undefined", "reference_low", "reference_high", "r2", "slope", "intercept", "bias", "limit_low",
        "limit_high", "icc", "mae", "n_excluded"]


def test_the_run_names_file_domain_and_subset(dataset: Path, tmp_path: Path) -> None:
    run = json.loads(write_report(dataset, "nnunet", tmp_path).json.read_text())["run"]
    assert (run["dataset"], run["domain"], run["subset"], run["samples_in_file"]) == ("cohort.h5", "lge", "all", 12)
    assert (run["dataset_seed"], run["segmenter"], run["segmenter_manifest_sha256"]) == (7, "nnunet", "ab" * 32)


def test_an_undefined_figure_is_null(dataset: Path, tmp_path: Path) -> None:
    text = write_report(dataset, "nnunet", tmp_path).json.read_text()
    assert "NaN" not in text
    assert json.loads(text)["false_detections"]["lv_cavity"]["value"] is None


def test_a_row_for_each_sample_with_empty_cells_for_nan(dataset: Path, tmp_path: Path) -> None:
    with write_report(dataset, "nnunet", tmp_path).csv.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 12
    assert rows[0]["segmentation_transmurality"] == "" and rows[0]["infarct_hd_mm"] == ""
    assert (rows[0]["segmentation_transmurality_undefined"], rows[0]["infarct_outcome"]) == ("no_infarct", "absent")
    assert rows[4]["infarct_outcome"] == "found" and float(rows[4]["infarct_dice"]) == 1
    assert rows[0]["patient"] == "'=SUM(A1)"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@a", "\tx"])
def test_formulas_are_defused(text: str) -> None:
    assert safe_text(text) == "'" + text
    assert safe_text("P-1") == "P-1"


def test_the_same_input_gives_the_same_files(dataset: Path, tmp_path: Path) -> None:
    first, second = (write_report(dataset, "nnunet", tmp_path / name) for name in "ab")
    assert first.html.read_bytes() == second.html.read_bytes()
    assert first.json.read_bytes() == second.json.read_bytes()


def test_cases_are_shown_once_and_ordered(dataset: Path) -> None:
    with open_dataset(dataset) as opened:
        groups = choose_cases(read_samples(opened, "nnunet"), 3)
    assert {name: len(rows) for name, rows in groups.items()} == {"Typical": 3, "Best": 3, "Worst": 3}
    assert len({row for rows in groups.values() for row in rows}) == 9
    assert all(row % 4 == 0 for row in groups["Best"]) and all(row % 4 == 3 for row in groups["Worst"])


def test_a_report_without_masks(tmp_path: Path) -> None:
    masks = np.stack([heart(40.0 * number) for number in range(5)])
    with create_dataset(tmp_path / "a.h5", DatasetSpec(DOMAIN, (SIZE, SIZE), (1.0, 1.0))) as writer:
        writer.append(images=masks[:, None] / 4)
        writer.segmentation("nnunet").append(masks=masks)
    measure_dataset(tmp_path / "a.h5")
    page = write_report(tmp_path / "a.h5", "nnunet", tmp_path).html.read_text()
    assert "no reference masks" in page and "neither masks nor requested" in page
    assert "Compared: nothing, because" in page and "Found and missed" not in page and "Dice</small>" not in page
    assert page.count('<svg class="case"') == 5 and "Evenly spaced in the file" in page


@pytest.fixture
def unmasked(tmp_path: Path) -> Path:
    """Ten samples without masks: infarct of 0, 36, ... degrees was requested, and one of 36 degrees more was found,
    but none in the last."""
    asked = np.stack([heart(36.0 * number) for number in range(10)])
    told = np.stack([*(heart(36.0 * number + 36) for number in range(9)), heart(0.0)])
    path = tmp_path / "samples.h5"
    with create_dataset(path, DatasetSpec(DOMAIN, (SIZE, SIZE), (1.0, 1.0))) as writer:
        writer.append(images=told[:, None] / 4, requested=DOMAIN.measure(asked).values)
        writer.segmentation("nnunet").append(masks=told)
    measure_dataset(path)
    return path


def test_without_masks_the_request_is_the_reference(unmasked: Path, tmp_path: Path) -> None:
    summary = json.loads(write_report(unmasked, "nnunet", tmp_path).json.read_text())
    assert summary["regions"] == [] and summary["false_detections"] == {}
    found = summary["detection"]
    assert (found["region"], found["reference"], found["n_with"], found["n_missed"]) == ("infarct", "requested", 9, 1)
    assert (found["n_without"], found["n_false"], found["false_rate"]["value"]) == (1, 1, 1.0)
    sizes = {item["samples"]: item for item in summary["agreement"] if item["attribute"] == "infarct_size"}
    assert {item["reference"] for item in summary["agreement"]} == {"requested"}
    assert sizes["all"]["n"] == 10 and sizes["infarct only"]["n"] == 9


def test_without_masks_the_page_shows_what_there_is(unmasked: Path, tmp_path: Path) -> None:
    page = write_report(unmasked, "nnunet", tmp_path).html.read_text()
    assert "Compared: attributes of the segmentation with those requested." in page and "Dice," not in page
    assert "Found and missed" in page and "1 of 1 samples where none was requested" in page
    assert "request with infarct" in page and "mask with infarct" not in page
    assert page.count('<svg class="case"') == 9 and f'viewBox="0 0 {2 * SIZE + 4} {SIZE}"' in page
    assert "Infarct size 10 (0 requested) %" in page and "Transmurality" in page


def test_all_points_stand_out_where_nothing_tells_who_has_the_lesion(tmp_path: Path) -> None:
    told = np.stack([heart(30.0 * number + 30) for number in range(4)])
    asked = DOMAIN.measure(told).values
    asked[:, 0] = np.nan
    with create_dataset(tmp_path / "a.h5", DatasetSpec(DOMAIN, (SIZE, SIZE), (1.0, 1.0))) as writer:
        writer.append(images=told[:, None] / 4, requested=asked)
        writer.segmentation("nnunet").append(masks=told)
    measure_dataset(tmp_path / "a.h5")
    page = write_report(tmp_path / "a.h5", "nnunet", tmp_path).html.read_text()
    assert 'class="marked"' in page and 'class="plain"' not in page and "request with infarct" not in page


def test_without_masks_the_table_has_no_scores(unmasked: Path, tmp_path: Path) -> None:
    with write_report(unmasked, "nnunet", tmp_path).csv.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["infarct_outcome"] for row in rows] == ["false", *["found"] * 8, "missed"]
    assert not any("dice" in name or "hd" in name or name.startswith("mask_") for name in rows[0])


def test_without_masks_the_worst_are_furthest_from_the_request(unmasked: Path) -> None:
    with open_dataset(unmasked) as opened:
        groups = choose_cases(read_samples(opened, "nnunet"), 1)
    assert groups["Worst"] == [9]  # 90 % requested, none found


def test_what_was_not_measured_cannot_be_reported(tmp_path: Path) -> None:
    with create_dataset(tmp_path / "a.h5", DatasetSpec(DOMAIN, (SIZE, SIZE), (1.0, 1.0))) as writer:
        writer.append(images=np.zeros((1, 1, SIZE, SIZE)))
        writer.segmentation("nnunet").append(masks=np.zeros((1, SIZE, SIZE), np.uint8))
    with pytest.raises(DatasetError, match="cldm measure"):
        write_report(tmp_path / "a.h5", "nnunet", tmp_path)
    with pytest.raises(DatasetError, match="Found: nnunet"):
        write_report(tmp_path / "a.h5", "other", tmp_path)


def test_a_folder_that_cannot_be_made_is_an_input_error(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Choose another folder"):
        write_report(dataset, "nnunet", tmp_path / "file")


def test_png_decodes_by_hand() -> None:
    pixels = np.array([[0, 128], [255, 7]], np.uint8)
    data = png_bytes(pixels)
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">IIBB", data[16:26]) == (2, 2, 8, 0)
    start = data.index(b"IDAT")
    length = struct.unpack(">I", data[start - 4:start])[0]
    assert zlib.decompress(data[start + 4:start + 4 + length]) == bytes([0, 0, 128, 0, 255, 7])


def test_png_refuses_what_it_cannot_hold() -> None:
    with pytest.raises(InputError, match="uint8"):
        png_bytes(np.zeros((2, 2)))


def test_outline_of_one_pixel_is_four_edges() -> None:
    mask = np.zeros((3, 3), bool)
    mask[1, 1] = True
    assert outline(mask) == "M1 1h1M1 2h1M1 1v1M2 1v1"
    assert outline(np.ones((2, 3), bool)) == "M0 0h3M0 2h3M0 0v2M3 0v2"


def test_the_enlarged_view_lies_inside_and_holds_everything() -> None:
    mask = np.zeros((100, 120), np.uint8)
    mask[0:10, 100:120] = 1
    box = enlarged_box(mask, np.zeros_like(mask))
    assert (box.side, box.top, box.left) == (48, 0, 72)
    assert enlarged_box(np.zeros_like(mask), np.zeros_like(mask)).side == 120


def test_a_picture_has_a_path_for_each_label() -> None:
    labels = LabelSet(("none", "a", "b"), {"a": (1,)}, ((0, 0, 0), (255, 0, 0), (0, 0, 255)))
    mask = np.zeros((8, 8), np.uint8)
    mask[2:4, 2:4], mask[5, 5] = 1, 2
    svg = case_picture("x", np.zeros((8, 8), np.float32), mask, mask * 0, labels, (0.0, 1.0))
    assert svg.count("#ff0000") == svg.count("#0000ff") == 1
    assert svg.count('href="#x"') == 3


def test_a_picture_without_a_mask_has_two_views() -> None:
    labels = LabelSet(("none", "a"), {"a": (1,)}, ((0, 0, 0), (255, 0, 0)))
    told = np.zeros((8, 8), np.uint8)
    told[2:4, 2:4] = 1
    svg = case_picture("x", np.zeros((8, 8), np.float32), None, told, labels, (0.0, 1.0))
    assert svg.count("#ff0000") == 1 and svg.count('href="#x"') == 2 and "reference" not in svg


def test_ticks_are_round() -> None:
    assert ticks(0, 1) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert ticks(-3, 47) == pytest.approx([0, 10, 20, 30, 40])


def test_charts_leave_undefined_points_out() -> None:
    x, y = np.array([0.1, 0.2, 0.3, np.nan]), np.array([0.1, 0.25, 0.3, 0.4])
    found, marked = agreement(x, y, replicates=20), np.array([True, False, True, True])
    for svg in (scatter(x, y, marked, found, ("a<b", "c")), bland_altman(x, y, marked, found, "%", 100)):
        assert svg.count("<circle") == 3 and svg.count('"marked"') == 2 and "nan" not in svg
    assert "a&lt;b" in scatter(x, y, marked, found, ("a<b", "c"))


def test_a_single_point_can_be_drawn() -> None:
    one = np.array([0.5])
    found = agreement(one, one)
    assert "nan" not in scatter(one, one, np.array([True]), found, ("a", "b"))
    assert "nan" not in bland_altman(one, one, np.array([True]), found, "%")


def test_many_points_are_thinned() -> None:
    x = np.linspace(0, 1, 20_000)
    svg = scatter(x, x, np.ones(len(x), bool), agreement(x, x, replicates=2), ("a", "b"))
    assert 1000 < svg.count("<circle") <= 1500


def test_histogram_of_nothing_is_empty() -> None:
    assert "bar" not in histogram(np.array([np.nan]), "Dice")
    assert histogram(np.array([0.5, 0.51, 0.9]), "Dice").count('class="bar"') == 2


def test_names_and_numbers_are_written_for_people() -> None:
    assert (as_title("lv_cavity"), as_title("infarct_size")) == ("LV cavity", "Infarct size")
    assert (number(-1.25, 1), number(float("nan"), 2), number(0.5, 1, signed=True)) == ("−1.2", "–", "+0.5")
