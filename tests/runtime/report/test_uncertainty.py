"""Repeated conditions in a dataset file: figures by hand, the report's section, and files that have none."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.evaluation.repeated_conditions import ConditionImages, read_uncertainty, repeated_conditions
from cldm_runtime.evaluation.steps import measure_dataset
from cldm_runtime.evaluation.summary import Samples, read_samples
from cldm_runtime.report.charts import CalibrationPoint, calibration
from cldm_runtime.report.contours import Box
from cldm_runtime.report.heat_maps import Panel, grey, heat, panel_row
from cldm_runtime.report.page import write_report
from cldm_runtime.report.uncertainty import _in_plane, _row
from cldm_runtime.store import DatasetSpec, create_dataset, open_dataset
from html_tables import read_tables

SIZE = 32
DOMAIN = get_domain("lge")
CONDITIONS = np.array([0, 0, 1, 1, 2, 2, 3])
INFARCTS = [0.0, 60, 120, 180]  # degrees of the circle, in the mask of each condition
TURNS = [(0.0, 0.0), (-12, 12), (12, 24)]  # degrees that each segmentation says more


def heart(angle: float) -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2 + 0.5
    r, theta = np.hypot(y, x), np.degrees(np.arctan2(y, x)) % 360
    return np.where(r < 6, 1, np.where(r >= 11, 0, np.where(theta < angle, 3, 2))).astype(np.uint8)


def write(path: Path, masks: bool = True, condition: np.ndarray | None = CONDITIONS) -> Path:
    """Two samples of each of three conditions, one of a fourth; their images are 0.4 and 0.6."""
    truth = np.stack([heart(INFARCTS[number]) for number in CONDITIONS])
    turns = [turn for pair in TURNS for turn in pair] + [0.0]
    told = np.stack([heart(INFARCTS[number] + turn) for number, turn in zip(CONDITIONS, turns, strict=True)])
    images = np.resize([0.4, 0.6], len(truth))[:, None, None, None] * np.ones((1, 1, SIZE, SIZE))
    with create_dataset(path, DatasetSpec(DOMAIN, (SIZE, SIZE), (1.0, 1.0))) as writer:
        writer.append(images=images, masks=truth if masks else None, requested=DOMAIN.measure(truth).values,
                      sample_index=np.arange(len(truth)), condition=condition)
        writer.segmentation("nnunet").append(masks=told)
    measure_dataset(path)
    return path


def test_a_condition_with_one_sample_is_left_out_and_counted(tmp_path: Path) -> None:
    with open_dataset(write(tmp_path / "a.h5")) as dataset:
        samples = read_samples(dataset, "nnunet")
        groups = repeated_conditions(samples)
        found = read_uncertainty(dataset, "nnunet", samples, replicates=50)
    assert {number: rows.tolist() for number, rows in groups.items()} == {0: [0, 1], 1: [2, 3], 2: [4, 5]}
    assert found is not None and (found.n_conditions, found.n_samples, found.n_alone) == (3, 6, 1)
    assert (found.images_low, found.images_high) == (2, 2) and set(found.examples) == {0, 1, 2}
    assert found.image_sd.value == pytest.approx(0.1 * math.sqrt(2), abs=1e-4) and found.examples[0] == 0


def test_the_spread_of_the_infarct_size(tmp_path: Path) -> None:
    with open_dataset(write(tmp_path / "a.h5")) as dataset:
        samples = read_samples(dataset, "nnunet")
        found = read_uncertainty(dataset, "nnunet", samples, replicates=50)
        sizes = samples.attributes[:6, 0].astype(float).reshape(3, 2)
        truth = samples.mask[:6:2, 0].astype(float)
    assert found is not None
    every, lesion = (item for item in found.attributes if item.attribute == "infarct_size")
    assert (every.samples, lesion.samples, every.n, lesion.n, every.reference) == ("all", "infarct only", 3, 2, "mask")
    assert every.rms_spread.value == pytest.approx(math.sqrt((sizes.std(axis=1, ddof=1) ** 2).mean()))
    assert lesion.rms_error.value == pytest.approx(math.sqrt(((sizes.mean(axis=1) - truth)[1:] ** 2).mean()))
    depth = next(item for item in found.attributes if item.attribute == "transmurality")
    assert (depth.n, depth.n_reference_undefined) == (2, 1)  # no infarct, no transmurality
    assert not any(item.attribute == "slice_position" for item in found.attributes)  # no slice tells


def test_pixels_are_held_against_the_mask(tmp_path: Path) -> None:
    with open_dataset(write(tmp_path / "a.h5")) as dataset:
        found = read_uncertainty(dataset, "nnunet", read_samples(dataset, "nnunet"), replicates=50)
        labels, truth = dataset.segmentation("nnunet").masks(), dataset.masks()
    assert found is not None and found.pixels is not None and found.pixels.n == 3 * SIZE * SIZE
    differ = labels[:6:2] != labels[1:6:2]
    wrong = np.minimum(labels[:6:2], labels[1:6:2]) != truth[:6:2]  # of two labels that tie, the least counts
    assert [(item.disagreement, item.n) for item in found.pixels.bins] == [
        (0, int((~differ).sum())), (0.5, int(differ.sum()))]
    assert found.pixels.n_wrong == int(wrong.sum()) > 0


def test_the_report_gains_a_section_and_its_figures(tmp_path: Path) -> None:
    written = write_report(write(tmp_path / "a.h5"), "nnunet", tmp_path)
    page, summary = written.html.read_text(), json.loads(written.json.read_text())
    assert "<h2>Uncertainty</h2>" in page and "2 images of each of 3 conditions" in page and "Rows 2 to 3" in page
    assert page.count("standard deviation</text>") == 3 and page.count(">mean image, mask<") == 3
    assert "only image of their condition: 1" in page and "--per-condition" not in page
    assert "bootstrap over conditions" in page
    assert list(summary["uncertainty"]) == [
        "n_conditions", "n_samples", "n_alone", "images_low", "images_high", "image_sd", "disagreement", "attributes",
        "pixels", "examples"]
    assert list(summary["uncertainty"]["attributes"][0]) == [
        "attribute", "unit", "reference", "samples", "n", "n_reference_undefined", "n_too_few", "n_values_undefined",
        "rms_spread", "rms_error", "rms_error_single", "ratio", "rho", "bins"]
    assert list(summary["uncertainty"]["pixels"]) == ["n", "n_wrong", "calibration_error", "unanimous_wrong", "bins"]
    assert summary["bootstrap"]["unit"] == "condition"
    assert written.csv.read_text().splitlines()[3].split(",")[:3] == ["2", "2", "1"]  # row, sample_index, condition


def test_without_masks_errors_are_from_the_request(tmp_path: Path) -> None:
    written = write_report(write(tmp_path / "a.h5", masks=False), "nnunet", tmp_path)
    page, summary = written.html.read_text(), json.loads(written.json.read_text())["uncertainty"]
    assert {item["reference"] for item in summary["attributes"]} == {"requested"} and summary["pixels"] is None
    assert ">mean image, mask<" not in page and "disputed by no image" not in page and "error from the request" in page


@pytest.mark.parametrize("condition", [None, np.arange(7)])
def test_without_repeated_conditions_one_line_says_how(tmp_path: Path, condition: np.ndarray | None) -> None:
    written = write_report(write(tmp_path / "a.h5", condition=condition), "nnunet", tmp_path)
    page = written.html.read_text()
    assert "<h2>Uncertainty</h2>" not in page and page.count("--per-condition 8") == 1
    assert json.loads(written.json.read_text())["uncertainty"] is None


def test_a_calibration_chart_has_its_points_and_their_intervals() -> None:
    points = [CalibrationPoint(0.0, 0.1, 0.05, 0.2), CalibrationPoint(0.5, 0.4)]
    svg = calibration(points, ("a<b", "c"), "t", np.array([0.1, 0.2, 0.3]), np.array([0.3, 0.2, 0.1]))
    assert svg.count('class="bin"') == 2 and svg.count('class="whisker"') == 1 and svg.count('class="plain"') == 3
    assert svg.count('class="fit"') == 1 and "a&lt;b" in svg and "nan" not in svg
    assert "nan" not in calibration([CalibrationPoint(0.0, 0.0)], ("a", "b"), "t")


def test_maps_are_cut_to_the_box() -> None:
    svg = panel_row([Panel("one", grey(np.eye(8), 0, 1)), Panel("<two>", heat(np.eye(8), 0.5))], Box(2, 3, 4))
    assert svg.count("<image ") == 2 and 'viewBox="0 0 10 10"' in svg and 'viewBox="3 2 4 4"' in svg
    assert "&lt;two&gt;" in svg and svg.count('width="4" height="4"') == 4


def test_heat_grows_brighter_from_black() -> None:
    colours = heat(np.linspace(0, 2, 50)[None], 1.0)[0].astype(int)
    assert colours[0].tolist() == [0, 0, 0] and colours[-1].tolist() == colours[25].tolist() == [255, 250, 190]
    assert (np.diff(colours @ [299, 587, 114]) >= 0).all()


def section(tmp_path: Path) -> str:
    page = write_report(write(tmp_path / "a.h5"), "nnunet", tmp_path).html.read_text()
    return page[page.index("<h2>Uncertainty</h2>"):page.index("<h2>How to read this</h2>")]


def test_captions_tell_mean_spread_and_truth_of_a_condition(tmp_path: Path) -> None:
    html = section(tmp_path)
    with open_dataset(tmp_path / "a.h5") as dataset:
        samples = read_samples(dataset, "nnunet")
    sizes, truth = 100 * samples.attributes[2:4, 0].astype(float), 100 * float(samples.mask[2, 0])
    spread = abs(sizes[0] - sizes[1]) / math.sqrt(2)
    expected = (f"Rows 2 to 3, 2 images: infarct size {sizes.mean():.1f} ± {spread:.1f} % (mask {truth:.1f}); "
                "transmurality")
    assert expected in html and html.count("<figcaption>Rows ") == 3
    assert re.findall(r"<figcaption>Rows (\d) to (\d), 2 images", html)[0] == ("0", "1")  # the least disagreement first


def test_charts_of_repeated_conditions_show_percentages(tmp_path: Path) -> None:
    html = section(tmp_path)
    with open_dataset(tmp_path / "a.h5") as dataset:
        found = read_uncertainty(dataset, "nnunet", read_samples(dataset, "nnunet"))
    assert found is not None and found.pixels is not None
    size = next(item for item in found.attributes if (item.attribute, item.samples) == ("infarct_size", "all"))
    rms = size.rms_error.value * 100
    assert f"{rms:.2f}" in read_tables(html)[0][0]["Error of the mean"]
    assert "<figcaption>Infarct size: 3 conditions</figcaption>" in html and "predicted error (%)" in html
    wrong, gap = 100 * found.pixels.unanimous_wrong.value, 100 * found.pixels.calibration_error.value
    assert f"{wrong:.0f} % of the wrong pixels" in html and f"error rate {gap:.2f} %" in html
    assert read_tables(html)[1][0]["Pixels"] == str(found.pixels.bins[0].n)


def test_maps_of_a_condition_show_all_that_any_of_its_segmentations_holds() -> None:
    labels, truth = np.zeros((2, 100, 100), np.uint8), np.zeros((100, 100), np.uint8)
    truth[40, 40], labels[1, 60, 64] = 1, 2
    found = ConditionImages(np.zeros((2, 1, 100, 100), np.float32), labels, truth)
    svg = _row(found, Samples(DOMAIN, *[None] * 12), 1.0)  # type: ignore[arg-type]  # the domain alone is asked
    assert svg.count('viewBox="26 24 53 53"') == 5  # 25 columns from 40 to 64, and 14 pixels to each side


def test_a_plane_is_cut_from_images_labels_and_truth_alike() -> None:
    images = np.arange(2 * 3 * 4 * 5.0, dtype=np.float32).reshape(2, 1, 3, 4, 5)
    labels = images[:, 0].astype(np.uint8)
    found = ConditionImages(images, labels, labels[1])
    cut, untold = _in_plane(found, (2,)), _in_plane(found._replace(truth=None), (2,))
    assert np.array_equal(cut.images, images[:, :, 2]) and np.array_equal(cut.labels, labels[:, 2])
    assert np.array_equal(cut.truth, labels[1, 2]) and untold.truth is None and _in_plane(found, ()) is found
