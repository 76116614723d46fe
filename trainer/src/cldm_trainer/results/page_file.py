"""The results page as a file: written from what lies in the same folder, results.json, validity.json, judges.json,
spread.json, audit.json, and notes.md, which a person wrote."""

import json
from pathlib import Path

from cldm_runtime.files.atomic import write_text

from .comparison_page import comparison_page
from .markdown import results_page

RESULTS_FILE, VALIDITY_FILE, PAGE, NOTES = "results.json", "validity.json", "results.md", "notes.md"
_FURTHER = (VALIDITY_FILE, "judges.json", "spread.json", "audit.json")


def write_results_page(folder: Path) -> Path | None:
    """Write the page again; None where the folder holds no figures."""
    found = {Path(name).stem: json.loads((folder / name).read_text(encoding="utf-8"))
             for name in (RESULTS_FILE, *_FURTHER) if (folder / name).exists()}
    if not found:
        return None
    results, notes = found.pop("results", None), folder / NOTES
    text = (comparison_page(found, notes.read_text(encoding="utf-8") if notes.exists() else "") if results is None
            else results_page({**results, **found}))
    write_text(folder / PAGE, text)
    return folder / PAGE
