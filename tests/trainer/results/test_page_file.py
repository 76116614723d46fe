"""The results page is written from the files of its folder."""

import json
from pathlib import Path

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


def test_without_results_there_is_no_page(tmp_path: Path) -> None:
    assert write_results_page(tmp_path) is None and not list(tmp_path.iterdir())


def test_judges_and_spread_are_sections_where_they_were_measured(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text((DOCS / "results.json").read_text())
    value = {"value": 0.71, "low": 0.64, "high": 0.78}
    made = {"command": "c", "versions": "v", "nature": "phantom", "levelled": True, "fresh": True, "folds": 2,
            "seeds": 3, "slices": 40, "patients": 4}
    zones = {"name": "zones", "looks_at": "labels", "accuracy": value}
    column = {"judges": [zones], "best": "zones", "accuracy": value}
    judges = {"made": made, "control": column, "sets": [column | {"generator": "g", "picture": "p.png"}]}
    figure = {"groups": 7, "ratio": {"value": 0.53, "low": 0.4, "high": 0.6}, "bias": value} | {
        f"{side}_{kind}": {"value": number} for side in ("reference", "synthetic")
        for kind, number in (("mean", 0.25), ("sd", 0.125))}
    spread = {"made": {"command": "c", "versions": "v"}, "nature": "phantom", "held_fixed": "label map", "maps": 7,
              "images": 8, "floor": {"noise": figure}, "sets": [{"generator": "g", "figures": {"noise": figure}}]}
    (tmp_path / "judges.json").write_text(json.dumps(judges))
    (tmp_path / "spread.json").write_text(json.dumps(spread))
    page = write_results_page(tmp_path).read_text()
    assert "| zones | 0.710 [0.640, 0.780] | 0.710 [0.640, 0.780] |" in page
    assert "| noise | 0.2500 ± 0.1250 | 0.2500 ± 0.1250 | 0.53 [0.40, 0.60] | 0.53 [0.40, 0.60] | 0.7100" in page
