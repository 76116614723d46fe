"""The results page as a file: written from results.json and, where they are there, validity.json, judges.json and
spread.json in the same folder."""

import json
from pathlib import Path

from cldm_runtime.files.atomic import write_text

from .markdown import results_page

RESULTS_FILE, VALIDITY_FILE, PAGE = "results.json", "validity.json", "results.md"
_FURTHER = (VALIDITY_FILE, "judges.json", "spread.json")


def write_results_page(folder: Path) -> Path | None:
    """Write the page again; None where the folder holds no results."""
    if not (folder / RESULTS_FILE).exists():
        return None
    figures = json.loads((folder / RESULTS_FILE).read_text(encoding="utf-8"))
    for name in _FURTHER:
        if (folder / name).exists():
            figures[Path(name).stem] = json.loads((folder / name).read_text(encoding="utf-8"))
    write_text(folder / PAGE, results_page(figures))
    return folder / PAGE
