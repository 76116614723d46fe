"""judges.md, written from judges.json alone."""

from collections.abc import Mapping
from typing import Any

from cldm_runtime.bundle.nature import images_sentence

from ..tables import NOTHING, estimate, table

Json = Mapping[str, Any]

_MADE = "Written by `{command}`; every number is also in [judges.json](judges.json). {versions}. {images_are}"
_HOW = """\
Each judge learns to distinguish synthetic from reference images and decides on patients that it has not seen (folds
by patient: {folds}, seeds: {seeds}). 0.5 is chance, 1 certainty. Brackets are 95 % intervals, a bootstrap of patients;
seeds do not count as independent. **The best judge is the figure**: images are as good as the most able judge says. No
generator of this project was trained against one of these judges. Reference images: {slices} slices of {patients}
patients, {origin}. Both sides were {levelled}. The pictures show pairs that the best judge is surest of."""

_FRESH = """fresh patients of the phantom, on which nothing was trained or chosen; the control is the phantom itself,
which rendered the same label maps again"""
_COHORT = "the cohort's test slices; the control is one half of their patients against the other"
_LEVELLED = """\
levelled first, percentiles of each image to 0 and 1 as `prepare` does, for the share of black and white pixels alone
would distinguish them otherwise"""


def judging_page(figures: Json) -> str:
    """The whole page."""
    return f"# Judges of synthetic images\n\n{_text(figures)}\n"


def judges_section(figures: Json) -> str:
    """The section of the results page."""
    return f"## Judges of synthetic images\n\n{_text(figures)}"


def _text(figures: Json) -> str:
    made = figures["made"]
    made_by = _MADE.format(**made, images_are=images_sentence(made["nature"]))
    how = _HOW.format(**{**made, "levelled": _LEVELLED if made["levelled"] else "judged as they are stored"},
                      origin=_FRESH if made["fresh"] else _COHORT)
    shown = [f"`{each['generator']}`:\n\n![pairs that the best judge is surest of]({each['picture']})"
             for each in figures["sets"]]
    return "\n\n".join([made_by, how, judges_table(figures), *_reasons(figures), _looks(figures), *shown])


def judges_table(figures: Json) -> str:
    """A line for each judge, the best last; a column for the control and each generator."""
    columns = [("control", figures["control"]), *((f"`{each['generator']}`", each) for each in figures["sets"])]
    names = [judge["name"] for judge in figures["control"]["judges"]]
    rows = [[name, *(estimate(_accuracy(column, name), 3) for _, column in columns)] for name in names]
    leaders = [f"**{estimate(column['accuracy'], 3)}** {column['best']}" for _, column in columns]
    return table(("judge", *(title for title, _ in columns)), [*rows, ["**best judge**", *leaders]])


def _accuracy(column: Json, name: str) -> Json | None:
    return next((judge["accuracy"] for judge in column["judges"] if judge["name"] == name), None)


def _reasons(figures: Json) -> list[str]:
    missing = any(judge["accuracy"] is None for each in figures["sets"] for judge in each["judges"])
    return [f"{NOTHING}: the images were not made for label maps, so this judge cannot judge them."] if missing else []


def _looks(figures: Json) -> str:
    lines = [f"- {judge['name']}: {judge['looks_at']}" for judge in figures["control"]["judges"]]
    return "What they look at:\n\n" + "\n".join(lines)
