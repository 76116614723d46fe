"""The results page is written from the files of its folder."""

import json
from pathlib import Path

from cldm_runtime.bundle.nature import images_sentence
from cldm_trainer.results.page_file import write_results_page

DOCS = Path(__file__).parents[3] / "docs"


def test_validity_is_the_first_table_where_it_was_measured(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text((DOCS / "results.json").read_text())
    value = {"value": 0.5, "low": 0.4, "high": 0.6}
    item = {"tau": value, "mean_gap": value, "absolute_gap": value, "paired_gap": value, "n": 3, "values": {"s": value},
            "largest_gap": {"segmenter": "s", **value}}
    figures = {"nature": "phantom", "axes": 2, "lesion": "scar", "segmenters": ["s"], "generators": ["g"],
               "ceiling": "reference, other patients", "best": None, "strata": [],
               "figures": {"missed": {"reference": {"s": value},
                                      "sets": {"g": item, "reference, other patients": item}}},
               "made": {"command": "c", "sizes": {"reference": 1, "reference_patients": 1, "other": 1,
                                                  "other_patients": 1}}}
    (tmp_path / "validity.json").write_text(json.dumps(figures))
    page = write_results_page(tmp_path).read_text()
    first = page[page.index("\n| "):].splitlines()[1]
    assert first.startswith("| figure | images | tau | mean gap | on the same label maps | mean absolute gap |")
    assert "| missed scar | g | 0.50 [0.40, 0.60] |" in page


def test_without_figures_there_is_no_page(tmp_path: Path) -> None:
    assert write_results_page(tmp_path) is None and not list(tmp_path.iterdir())


def estimate(value: float, within: float = 0.01) -> dict[str, float]:
    return {"value": value, "low": value - within, "high": value + within}


def judges_of(best: float, **accuracy: float) -> dict[str, object]:
    made = {"command": "cldm-train judge", "versions": "v", "nature": "phantom", "levelled": True, "fresh": True,
            "folds": 2, "seeds": 3, "slices": 40, "patients": 4}
    judges = [{"name": name.replace("_", " "), "looks_at": "labels", "accuracy": estimate(value)}
              for name, value in accuracy.items()]
    column = {"judges": judges, "best": "fine network", "accuracy": estimate(best)}
    return {"made": made, "control": column, "sets": [column | {"generator": "g 1.0", "picture": "p.png"}]}


def spread_of(ratio: float, bias: float) -> dict[str, object]:
    figure = {"groups": 7, "ratio": estimate(ratio), "bias": estimate(bias)} | {
        f"{side}_{kind}": {"value": number} for side in ("reference", "synthetic")
        for kind, number in (("mean", 0.25), ("sd", 0.125))}
    return {"made": {"command": "cldm-train spread", "versions": "v"}, "nature": "phantom", "held_fixed": "label map",
            "maps": 7, "images": 8, "floor": {"scar minus blood": figure},
            "sets": [{"generator": "g 1.0", "figures": {"scar minus blood": figure}}]}


def audit_of(rate: float, held_out: float) -> dict[str, object]:
    space = {"copies": 1, "rate": estimate(rate), "held_out_rate": estimate(held_out), "median_distance": 0.3,
             "held_out_median_distance": 0.3, "distance_threshold": 0.1, "ratio_threshold": 0.9}
    return {"made": {"command": "cldm-train audit", "versions": "v", "images": 9, "source": "s", "generator": "g 1.0",
                     "nature": "phantom"},
            "two_sample": {"settings": {"steps": 3, "batch": 2, "folds": 2, "paired": True}, "tests": []},
            "memorisation": {"settings": {"searched": 9, "training": 9, "quantile": 0.01, "held_out": 9,
                                          "subsets": "val", "features": "nothing"},
                             "spaces": {"pixels": space, "features": {"reason": "no segmenter."}}}}


def test_judges_and_spread_are_sections_where_they_were_measured(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text((DOCS / "results.json").read_text())
    (tmp_path / "judges.json").write_text(json.dumps(judges_of(0.9, zones=0.71)))
    (tmp_path / "spread.json").write_text(json.dumps(spread_of(0.53, 0.71)))
    page = write_results_page(tmp_path).read_text()
    assert "| zones | 0.710 [0.700, 0.720] | 0.710 [0.700, 0.720] |" in page
    assert "| scar minus blood | 0.2500 ± 0.1250 | 0.2500 ± 0.1250 | 0.53 [0.52, 0.54] | 0.53 [0.52, 0.54] |" in page


def goal_lines(folder: Path) -> dict[str, list[str]]:
    """Goal -> its other cells."""
    page = write_results_page(folder).read_text()
    lines = page[page.index("## Goals"):].split("| goal |")[1].split("\n\n")[0].splitlines()[2:]
    return {cells[1]: cells[2:5] for cells in ([cell.strip() for cell in line.split("|")] for line in lines)}


def test_each_command_adds_its_goals(tmp_path: Path) -> None:
    (tmp_path / "judges.json").write_text(json.dumps(judges_of(0.74, zones=0.66, fine_network=0.74)))
    assert goal_lines(tmp_path) == {
        "g 1.0: accuracy of the best judge, fine network": ["0.740 [0.730, 0.750]", "0 to 0.75", "yes"],
        "g 1.0: accuracy of the judge of zones": ["0.660 [0.650, 0.670]", "0 to 0.65", "**no**"]}
    (tmp_path / "spread.json").write_text(json.dumps(spread_of(0.855, -0.031)))
    (tmp_path / "audit.json").write_text(json.dumps(audit_of(0.01, 0.02)))
    lines = goal_lines(tmp_path)
    assert lines["g 1.0: spread of scar minus blood over the reference's"][1:] == [
        "0.85 to 1.15", "by the figure, not its interval"]
    assert lines["g 1.0: bias of scar minus blood"][1:] == ["-0.03 to 0.03", "**no**"]
    assert lines["g 1.0: rate of copies by pixels"][1:] == ["0 to 0.02", "yes"] and len(lines) == 5


def test_what_was_not_measured_is_named_and_notes_are_kept(tmp_path: Path) -> None:
    (tmp_path / "audit.json").write_text(json.dumps(audit_of(0.03, 0.02)))
    (tmp_path / "notes.md").write_text("Trained for an hour.\n")
    page = write_results_page(tmp_path).read_text()
    assert "Not measured: `cldm-train validity`, `cldm-train judge`, `cldm-train spread`." in page
    assert "## Notes\n\nTrained for an hour.\n\n## Copies of training images" in page
    assert images_sentence("phantom") in page.splitlines()


def test_goals_of_validity_are_those_of_each_generator(tmp_path: Path) -> None:
    item = {"tau": estimate(0.9, 0.1), "mean_gap": estimate(0.0), "absolute_gap": estimate(0.0), "n": 3,
            "paired_gap": estimate(0.0), "values": {"s": estimate(0.5), "t": estimate(0.5)},
            "gaps": {}, "paired_gaps": {"s": estimate(-0.05), "t": estimate(0.0)},
            "largest_gap": {"segmenter": "t", **estimate(0.039)}}
    correlated = {**item, "slice_correlations": {"s": estimate(0.75), "t": estimate(0.1)}}
    ceiling = "reference, other patients"
    sets = {name: {"reference": {"s": estimate(0.5), "t": estimate(0.5)}, "sets": {"g": found, ceiling: item}}
            for name, found in (("dice_scar", correlated), ("mae_size", item), ("missed", {**item, "n": 0}))}
    figures = {"nature": "phantom", "axes": 2, "lesion": "scar", "segmenters": ["s", "t"], "generators": ["g"],
               "ceiling": ceiling, "best": None, "strata": [], "scored_against": "truth", "has_reader": True,
               "figures": sets, "made": {"command": "c", "sizes": {
                   "reference": 1, "reference_patients": 1, "other": 1, "other_patients": 1}}}
    (tmp_path / "validity.json").write_text(json.dumps(figures))
    lines = goal_lines(tmp_path)
    assert lines["g: Kendall's tau of Dice scar"][2] == "by the figure, not its interval"
    assert lines["g: largest gap of mean absolute error of size, of t"][1:] == [
        "-0.04 to 0.04", "by the figure, not its interval"]
    assert lines["g: Dice scar of s on the same label maps, minus that on reference images"][2] == "**no**"
    assert lines["g: correlation of that Dice, slice by slice"] == ["0.750 [0.740, 0.760]", "0.7 to 1", "yes"]
    assert len(lines) == 6
