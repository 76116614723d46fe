"""The results page is written from the files of its folder."""

import json
from pathlib import Path

from cldm_trainer.results.page_file import write_results_page

DOCS = Path(__file__).parents[3] / "docs"


def test_validity_is_the_first_table_where_it_was_measured(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text((DOCS / "results.json").read_text())
    value = {"value": 0.5, "low": 0.4, "high": 0.6}
    item = {"tau": value, "mean_gap": value, "absolute_gap": value, "n": 3, "values": {"s": value},
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
    assert first == "| figure | images | tau | mean gap | mean absolute gap | largest gap | segmenters |"
    assert "| missed scar | g | 0.50 [0.40, 0.60] |" in page


def test_without_results_there_is_no_page(tmp_path: Path) -> None:
    assert write_results_page(tmp_path) is None and not list(tmp_path.iterdir())
