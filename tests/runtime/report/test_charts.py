"""Where charts and pictures draw, by hand. The plotting area of a chart is x from 58 to 366, y from 272 up to 14."""

import math
from xml.etree import ElementTree

import numpy as np
import pytest

from cldm_runtime.domains.labels import LabelSet
from cldm_runtime.files.png import png_data_url
from cldm_runtime.metrics.agreement import Agreement, Estimate
from cldm_runtime.report.charts import (
    Axes,
    CalibrationPoint,
    bland_altman,
    calibration,
    histogram,
    scatter,
    shares,
    ticks,
)
from cldm_runtime.report.contours import Box, case_picture, contours, enlarged_box, outline
from cldm_runtime.report.heat_maps import Panel, grey, heat, panel_row

NONE = Estimate(math.nan, math.nan, math.nan)
FOUND = Agreement(2, 2, 0, 0, 0.0, 1.0, r2=Estimate(0.9, 0.8, 1.0), slope=Estimate(0.5, 0.4, 0.6),
                  intercept=Estimate(0.1, 0.0, 0.2), bias=Estimate(0.1, 0.05, 0.2),
                  limit_low=Estimate(-0.4, -0.5, -0.3), limit_high=Estimate(0.6, 0.5, 0.7), icc=NONE, mae=NONE)
LABELS = LabelSet(("none", "a", "b"), {"a": (1,)}, ((0, 0, 0), (255, 0, 0), (0, 16, 255)))


def elements(svg: str, kind: str) -> list[dict[str, str]]:
    """Attributes of all elements of a class, in the order in which they are drawn."""
    return [dict(item.attrib) for item in ElementTree.fromstring(svg).iter() if item.get("class") == kind]


def numbers(item: dict[str, str], *names: str) -> list[float]:
    return [float(item[name]) for name in names]


def line(svg: str, kind: str) -> list[list[float]]:
    return [numbers(item, "x1", "y1", "x2", "y2") for item in elements(svg, kind)]


def texts(svg: str) -> list[str]:
    return [item.text or "" for item in ElementTree.fromstring(svg).iter() if item.tag.endswith("text")]


def test_axes_reach_from_edge_to_edge() -> None:
    axes = Axes((10.0, 30.0), (-1.0, 3.0))
    assert [axes.px(value) for value in (10, 20, 30)] == [58, 212, 366]
    assert [axes.py(value) for value in (-1, 1, 3)] == [272, 143, 14]


def test_points_and_regression_of_a_scatter_plot() -> None:
    x, y = np.array([0.0, 0.5, 1.0]), np.array([0.1, 0.35, 0.6])
    svg = scatter(x, y, np.array([True, False, False]), FOUND, ("x", "y"), 100)  # axes from -5 to 105
    assert line(svg, "identity") == [[58, 272, 366, 14]]
    assert line(svg, "fit") == [[72, 236.8, 352, 119.5]]  # 0.5 x + 10 from 0 to 100
    assert [numbers(item, "cx", "cy") for item in elements(svg, "plain")] == [[212, 178.2], [352, 119.5]]
    assert [numbers(item, "cx", "cy") for item in elements(svg, "marked")] == [[72, 236.8]]
    assert texts(svg) == ["0", "25", "50", "75", "100"] * 2 + ["x", "y"]
    assert 'aria-label="y against x, 3 points"' in svg


def test_differences_bias_and_limits_of_a_bland_altman_plot() -> None:
    svg = bland_altman(np.array([0.0, 1.0]), np.array([0.2, 1.0]), np.array([True, False]), FOUND, "mm")
    # Means 0.1 and 1, so x from 0.055 to 1.045; differences and intervals from -0.5 to 0.7, so y from -0.56 to 0.76.
    assert [numbers(item, "cx", "cy") for item in elements(svg, "marked")] == [[72, 123.5]]
    assert [numbers(item, "cx", "cy") for item in elements(svg, "plain")] == [[352, 162.5]]
    assert line(svg, "bias") == [[58, 143, 366, 143]] and line(svg, "identity") == [[58, 162.5, 366, 162.5]]
    assert line(svg, "limit") == [[58, 240.7, 366, 240.7], [58, 45.3, 366, 45.3]]
    assert [numbers(item, "x", "y", "width", "height") for item in elements(svg, "band")] == [
        [58, 221.2, 308, 39.1], [58, 123.5, 308, 29.3], [58, 25.7, 308, 39.1]]
    assert [(item["x"], item["y"]) for item in elements(svg, "value")] == [
        ("362", "236.7"), ("362", "139.0"), ("362", "41.3")]
    assert {"−0.4", "+0.1", "+0.6", "mean of both (mm)", "difference (mm)"} <= set(texts(svg))


def test_bars_and_median_of_a_histogram() -> None:
    svg = histogram(np.array([0.1, 0.1, 0.6, np.nan]), "Dice", bins=2)  # y up to 2.16
    assert [numbers(item, "x", "y", "width", "height") for item in elements(svg, "bar")] == [
        [58.8, 33.1, 152.5, 238.9], [212.8, 152.6, 152.5, 119.4]]
    assert line(svg, "bias") == [[88.8, 272, 88.8, 14]]
    (median,) = elements(svg, "value")
    assert (median["x"], median["y"], median["text-anchor"]) == ("93.8", "25", "start") and "median 0.10" in texts(svg)
    assert 'aria-label="Histogram of Dice, 3 samples"' in svg
    (right,) = elements(histogram(np.array([0.6]), "Dice"), "value")
    assert (right["x"], right["text-anchor"]) == ("237.8", "end")
    assert elements(histogram(np.array([0.5]), "Dice"), "value")[0]["text-anchor"] == "start"


def test_points_intervals_and_dots_of_a_calibration_chart() -> None:
    points = [CalibrationPoint(1.0, 2.0, 1.5, 3.0), CalibrationPoint(4.0, 6.0)]  # axes up to 4.2 and 6.3
    svg = calibration(points, ("x", "y"), "t", np.array([2.1]), np.array([3.15]))
    assert [numbers(item, "cx", "cy") for item in elements(svg, "bin")] == [[131.3, 190.1], [351.3, 26.3]]
    assert line(svg, "whisker") == [[131.3, 210.6, 131.3, 149.1]] and line(svg, "fit") == [[131.3, 190.1, 351.3, 26.3]]
    assert line(svg, "identity") == [[58, 272, 366, 100]]
    assert [numbers(item, "cx", "cy") for item in elements(svg, "plain")] == [[212, 143]]
    far = calibration(points[:1], ("x", "y"), "t", np.array([10.0]), np.array([20.0]))  # dots widen the axes
    assert [numbers(item, "cx", "cy") for item in elements(far, "plain")] == [[351.3, 26.3]]


@pytest.mark.parametrize(("low", "high", "expected"), [
    (0.0, 10.0, [0, 2, 4, 6, 8, 10]), (0.0, 12.5, [0, 2.5, 5, 7.5, 10, 12.5]), (0.0, 25.0, [0, 5, 10, 15, 20, 25]),
    (0.0, 26.0, [0, 10, 20]), (0.0, 5.0, [0, 1, 2, 3, 4, 5]), (0.11, 0.49, [0.2, 0.3, 0.4]),
    (-10, 10, [-10, -5, 0, 5, 10])])
def test_ticks_have_round_steps(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


def test_outlines_run_along_pixel_edges() -> None:
    assert outline(np.array([[1, 1, 0], [1, 0, 1]], bool)) == "M0 0h2M1 1h2M0 2h1M2 2h1M0 0v2M1 1v1M2 0v2M3 1v1"


def test_labels_are_outlined_in_their_colours_the_larger_first() -> None:
    small_first = np.array([[1, 0, 2, 2], [0, 0, 2, 2]])
    assert contours(small_first, LABELS) == (
        '<path class="contour" stroke="#0010ff" d="M2 0h2M2 2h2M2 0v2M4 0v2"/>'
        '<path class="contour" stroke="#ff0000" d="M0 0h1M0 1h1M0 0v1M1 0v1"/>')


@pytest.mark.parametrize(("rows", "columns", "box"), [
    ((40, 44), (50, 60), Box(23, 36, 38)),  # 10 columns and 14 pixels to each side; centre (42, 55)
    ((40, 51), (50, 60), Box(26, 35, 39)),
    ((0, 4), (50, 60), Box(0, 36, 38)), ((95, 100), (110, 120), Box(62, 82, 38)), ((0, 90), (5, 6), Box(0, 0, 100))])
def test_the_enlarged_box_has_a_margin(rows: tuple[int, int], columns: tuple[int, int], box: Box) -> None:
    mask, told = np.zeros((2, 100, 120), np.uint8)
    mask[slice(*rows), columns[0]] = 1
    told[rows[0], slice(*columns)] = 2
    assert enlarged_box(mask, told) == box


def test_views_of_a_case_stand_side_by_side() -> None:
    image = np.linspace(-1, 3, 60 * 50).reshape(60, 50).astype(np.float32)
    mask = np.zeros((60, 50), np.uint8)
    mask[20:30, 22:24] = 1  # enlarged: 10 + 28 pixels from row 6 and column 4
    svg = case_picture("i", image, mask, np.where(mask, 2, 0), LABELS, (0.0, 2.0))
    root = ElementTree.fromstring(svg)
    views = [(child.get("x"), child.get("width"), child.get("height"), child.get("viewBox")) for child in root
             if child.tag.endswith("svg")]
    assert root.get("viewBox") == "0 0 188 60" and views == [
        ("0", "60", "60", "0 0 60 60"), ("64", "60", "60", "4 6 38 38"), ("128", "60", "60", "4 6 38 38")]
    assert '<rect class="frame" x="4" y="6" width="38" height="38"/>' in svg
    assert svg.index("#ff0000") < svg.index("#0010ff") and 'id="i" width="50" height="60"' in svg
    shown = np.clip(image * 127.5, 0, 255).round().astype(np.uint8)
    assert png_data_url(shown) in svg


def test_panels_are_cut_and_stand_side_by_side() -> None:
    pixels = np.arange(80, dtype=np.uint8).reshape(8, 10)
    svg = panel_row([Panel("one", pixels), Panel("two", pixels + 100, "<g/>")], Box(2, 3, 4))
    assert 'viewBox="0 0 10 10"' in svg and svg.count("<g/>") == 1
    assert [item.get("x") for item in ElementTree.fromstring(svg) if item.tag.endswith("text")] == ["2", "8"]
    assert '<svg x="0" y="6" width="4" height="4" viewBox="3 2 4 4"><image x="3" y="2" width="4" height="4"' in svg
    assert '<svg x="6" y="6" width="4" height="4"' in svg and png_data_url(pixels[2:6, 3:7] + 100) in svg


def test_grey_and_heat_span_their_range() -> None:
    assert grey(np.array([[-1.0, 1.0, 2.0, 3.0, 9.0]]), 1.0, 3.0).tolist() == [[0, 0, 128, 255, 255]]
    assert grey(np.array([[2.0, 2.5]]), 2.0, 2.0).tolist() == [[0, 128]]
    assert heat(np.array([[0.5, 1.0, 0.75, 0.125]]), 2.0).tolist() == [
        [[80, 18, 105], [185, 54, 80], [132, 36, 92], [20, 4, 26]]]


def test_shares_are_bars_as_high_as_they_say() -> None:
    chart = shares([(0.0, 10.0), (10.0, 40.0)], [Estimate(0.5, 0.4, 0.6), NONE], ("Size (%)", "kept"))
    assert 'aria-label="kept by Size (%)"' in chart
    [bar], [interval] = elements(chart, "bar"), elements(chart, "bias")
    assert numbers(bar, "x", "y", "width", "height") == pytest.approx([58.75, 143, 308 / 4 - 1.5, 129], abs=0.06)
    assert numbers(interval, "x1", "y1", "y2") == pytest.approx(
        [58 + 308 / 8, 272 - 0.4 * 258, 272 - 0.6 * 258], abs=0.06)
    assert not elements(shares([(0.0, 0.0)], [NONE], ("Size (%)", "kept")), "bar")
