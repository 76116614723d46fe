"""results.md where there is no results.json: what `validity`, `judge`, `spread` and `audit` wrote there, with goals."""

from collections.abc import Mapping
from typing import Any

from cldm_runtime.bundle.nature import images_sentence

from ..audit.judging_page import judges_section
from ..audit.markdown import audit_section
from ..audit.spread_page import spread_section
from .comparison_goals import comparison_goals
from .markdown import goals_table
from .validity.page import validity_section

Json = Mapping[str, Any]
_SECTIONS = {"validity": validity_section, "judges": judges_section, "spread": spread_section, "audit": audit_section}
_COMMANDS = {"validity": "validity", "judges": "judge", "spread": "spread", "audit": "audit"}
_GOALS = """\
Goals have two sides: a figure of synthetic images shall be as the reference's, neither worse nor better. The figures
are those of the sections of this page."""


def comparison_page(found: Json, notes: str = "") -> str:
    """The whole page. found: validity, judges, spread, audit -> its figures, as far as they were measured."""
    sections = {name: section(found[name]) for name, section in _SECTIONS.items() if name in found}
    parts = ["# Results: synthetic images beside the reference", images_sentence(_nature(found)),
             sections.pop("validity", ""), "## Goals", _GOALS, goals_table(comparison_goals(found)), *_missing(found),
             f"## Notes\n\n{notes.strip()}" if notes.strip() else "", *sections.values()]
    return "\n\n".join(filter(None, parts)) + "\n"


def _nature(found: Json) -> str:
    """Of the reference images: that of any section, for they lie in one folder."""
    figures = next(iter(found.values()))
    return str(figures.get("nature") or figures["made"].get("nature") or "")


def _missing(found: Json) -> list[str]:
    commands = [f"`cldm-train {command}`" for name, command in _COMMANDS.items() if name not in found]
    return [f"Not measured: {', '.join(commands)}."] if commands else []
