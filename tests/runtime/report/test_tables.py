"""Every number of the report's tables in the cell where it belongs: each field has a value that no other has."""

import math
from dataclasses import replace

import numpy as np

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.evaluation.summary import Comparison, Detection, Samples, Summary
from cldm_runtime.metrics.agreement import Agreement, Estimate
from cldm_runtime.metrics.overlap import RegionSummary, Spread
from cldm_runtime.metrics.uncertainty import AttributeSpread, PixelBin, PixelCalibration
from cldm_runtime.report.tables import (
    agreement_table,
    as_title,
    comparisons_made,
    detection_table,
    key_figures,
    number,
    percent,
    pixel_table,
    region_table,
    run_table,
    spread_table,
)
from html_tables import read_tables

NOTHING = Estimate(math.nan, math.nan, math.nan)


def near(value: float) -> Estimate:
    """With an interval from 0.01 below to 0.02 above."""
    return Estimate(value, value - 0.01, value + 0.02)


def spread(mean: float) -> Spread:
    return Spread(9, mean, mean + 0.1, mean + 0.2, mean + 0.3, mean + 0.4)


REGION = RegionSummary("infarct", 12, 5, 4, 3, 1, 2, 0.4, spread(0.5), spread(0.6), spread(7.0), spread(6.0),
                       spread(1.5))
AGREEMENT = Agreement(20, 6, 3, 2, 0.05, 0.45, r2=near(0.81), slope=near(0.92), intercept=near(0.033),
                      bias=near(-0.024), limit_low=near(-0.11), limit_high=near(0.17), icc=near(0.88), mae=near(0.055))
DETECTION = Detection("infarct", "requested", 30, 6, 10, 4, near(0.2), near(0.4))
SPREAD = AttributeSpread("infarct_size", "fraction", "mask", "all", 8, 3, 2, 5, near(0.101), near(0.202), near(0.303),
                         near(1.4), near(0.51), ())


def comparison(samples: str = "all", measured: str = "segmentation", reference: str = "mask",
               found: Agreement = AGREEMENT) -> Comparison:
    return Comparison("infarct_size", "fraction", measured, reference, samples, found)


def summary(**changes: object) -> Summary:
    whole = Summary({}, 17, None, (REGION,), {"infarct": near(0.5)}, DETECTION,
                    (comparison(), comparison("infarct only", found=replace(AGREEMENT, r2=near(0.71)))), 0)
    return replace(whole, **changes)


def samples(scored: bool = True) -> Samples:
    nothing = np.zeros((2, 4), np.float32)
    scores = object() if scored else None  # whether there are any is all that is asked
    return Samples(get_domain("lge"), np.arange(2), nothing, nothing.astype(np.uint8), nothing, nothing, scores,  # type: ignore[arg-type]
                   None, None, None, None, None, None)


def test_a_regions_numbers_stand_in_their_cells() -> None:
    ((row,),) = read_tables(region_table(summary()))
    assert row == {
        "Region": "Infarct", "Dice": "0.500 ± 0.600 | 0.700 (0.800 to 0.900)",
        "Dice with absence": "0.600 ± 0.700 | 0.800 (0.900 to 1.000)", "HD (mm)": "7.0 ± 7.1 | 7.2 (7.3 to 7.4)",
        "HD95 (mm)": "6.0 ± 6.1 | 6.2 (6.3 to 6.4)", "ASSD (mm)": "1.50 ± 1.60 | 1.70 (1.80 to 1.90)", "n": "12",
        "Reference without": "5", "Segmentation without": "4", "Missed": "1", "False": "2 (50 %) | 49 % to 52 %"}


def test_a_comparisons_numbers_stand_in_their_cells() -> None:
    ((row,),) = read_tables(agreement_table([comparison()]))
    assert row == {
        "Attribute": "Infarct size (%)", "n": "20", "Excluded ref. + seg.": "3 + 2",
        "Range of reference": "5.0 to 45.0", "r²": "0.81 | 0.80 to 0.83", "Slope": "0.92 | 0.91 to 0.94",
        "Intercept": "3.3 | 2.3 to 5.3", "Bias": "−2.4 | −3.4 to −0.4",
        "Limits of agreement": "−11.0 to +17.0 | −12.0 to −9.0, 16.0 to 19.0", "ICC(2,1)": "0.88 | 0.87 to 0.90",
        "MAE": "5.5 | 4.5 to 7.5"}


def test_a_second_set_of_samples_is_named_below_the_attribute() -> None:
    html = agreement_table([comparison(), comparison("infarct only"), replace(comparison(), attribute="depth_mm",
                                                                              unit="mm")])
    ((first, second, other),) = read_tables(html)
    assert [row["Attribute"] for row in (first, second, other)] == ["Infarct size (%)", "infarct only", "Depth mm (mm)"]
    assert (other["Bias"], other["MAE"]) == ("+0.0 | 0.0 to 0.0", "0.1 | 0.0 to 0.1")
    assert html.count('class="second"') == html.count('class="indent"') == 1


def test_detections_are_counted_with_their_own_rates() -> None:
    ((row,),) = read_tables(detection_table(DETECTION))
    assert row == {"Lesion": "Infarct", "Reference with": "30", "Missed": "6 (20 %) | 19 % to 22 %",
                   "Reference without": "10", "False": "4 (40 %) | 39 % to 42 %"}


def test_spreads_of_repeated_conditions_stand_in_their_cells() -> None:
    other = replace(SPREAD, samples="infarct only", rho=NOTHING)
    ((row, second),) = read_tables(spread_table([SPREAD, other]))
    assert row == {
        "Attribute": "Infarct size (%)", "Conditions": "8", "Excluded ref. + seg.": "3 + 2",
        "Undefined measurements": "5", "Spread": "10.10 | 9.10 to 12.10", "Error of the mean": "20.20 | 19.20 to 22.20",
        "Error of one image": "30.30 | 29.30 to 32.30", "Error / predicted": "1.40 | 1.39 to 1.42",
        "ρ": "0.51 | 0.50 to 0.53"}
    assert (second["Attribute"], second["ρ"], second["Spread"]) == ("infarct only", "– | ", row["Spread"])


def test_bins_of_disagreement_stand_in_their_cells() -> None:
    bins = (PixelBin(0, 0, 900, 9, 0.0, near(0.01)), PixelBin(0.2, 0.4, 50, 20, 0.31, near(0.4)))
    ((first, second),) = read_tables(pixel_table(PixelCalibration(950, 29, near(0.1), near(0.2), bins)))
    assert list(first.values()) == ["0", "900", "9", "0.0", "1.0 | 0.0 to 3.0"]
    assert list(second.values()) == ["0.2 to 0.4", "50", "20", "31.0", "40.0 | 39.0 to 42.0"]


def test_what_is_undefined_is_a_dash() -> None:
    empty = replace(REGION, hd_mm=Spread(0, *[math.nan] * 5), n_false=0)
    ((row,),) = read_tables(region_table(summary(regions=(empty,), false_detections={"infarct": NOTHING})))
    assert (row["HD (mm)"], row["False"], number(math.inf, 1), percent(math.nan)) == ("–", "0", "–", "–")


def test_tiles_hold_the_figures_of_all_samples() -> None:
    assert key_figures(samples(), summary()) == [
        ("Dice, Infarct", "0.50", "median 0.70, n = 9"),
        ("False infarct", "40 %", "4 of 10 samples where none was requested"),
        ("r², infarct size", "0.81", "infarct only 0.71")]


def test_tiles_compare_with_the_mask_where_there_is_one() -> None:
    asked = comparison(reference="requested", found=replace(AGREEMENT, r2=near(0.3)))
    drawn = comparison(measured="mask", reference="requested", found=replace(AGREEMENT, r2=near(0.9)))
    masked = replace(DETECTION, reference="mask", n_without=1)
    both = key_figures(samples(), summary(regions=(), detection=masked, comparisons=(asked, comparison(), drawn)))
    assert both == [("False infarct", "40 %", "4 of 1 samples without it"),
                    ("r², infarct size", "0.81", "against mask")]
    alone = key_figures(samples(), summary(regions=(), detection=None, comparisons=(asked, drawn)))
    assert alone == [("r², infarct size", "0.30", "against requested")]


def test_no_tile_without_a_number() -> None:
    undefined = comparison(found=replace(AGREEMENT, r2=NOTHING))
    assert key_figures(samples(), summary(regions=(), detection=replace(DETECTION, n_without=0),
                                          comparisons=(undefined,))) == []


def test_what_is_compared_is_said_once_for_each_pair() -> None:
    asked = comparison(measured="mask", reference="requested")
    said = comparisons_made(samples(), summary(comparisons=(comparison(), comparison("infarct only"), asked)))
    assert said == ("regions of the segmentation with those of the masks; attributes of the segmentation with those "
                    "of the mask; attributes of the mask with those requested")
    assert comparisons_made(samples(False), summary(comparisons=())).startswith("nothing, because")


def test_the_run_is_listed_line_by_line() -> None:
    assert run_table(summary(run={"batch_size": 8, "note": "a<b"})) == (
        '<table class="text"><tr><td>batch size</td><td>8</td></tr><tr><td>note</td><td>a&lt;b</td></tr></table>')


def test_names_and_numbers_are_rounded_and_signed() -> None:
    assert [number(-0.04, 1), number(-0.04, 1, True), number(2.376, 2, True), percent(0.126)] == [
        "0.0", "+0.0", "+2.38", "13 %"]
    titles = {"a_bc": "A bc", "abc_d": "ABC d", "abcd_e": "Abcd e", "hd": "HD"}
    assert {name: as_title(name) for name in titles} == titles
