"""What the paper reports on patients, in separate tables: its figures and ours are of different data."""

from collections.abc import Sequence
from typing import Any

from ...tables import NOTHING, number, table
from . import paper

_PATIENTS = ("patients, train", "patients, val", "patients, test")


def paper_agreement(keys: Sequence[str], attributes: Sequence[str]) -> str:
    """r2 and Frechet distance of the paper's patients and of these strategies."""
    lines: list[list[Any]] = []
    for key in (*_PATIENTS, *keys):
        if key not in paper.R2:
            continue
        r2 = dict(zip(paper.ATTRIBUTES, paper.R2[key], strict=True))
        cells = [number(r2[name], 2) if name in r2 else NOTHING for name in attributes]
        distance = number(paper.FRECHET[key], 1) if key in paper.FRECHET else NOTHING
        lines.append([paper.TITLES.get(key, key), *cells, distance])
    return table(["images", *(f"r2 {name}" for name in attributes), "Frechet, Inception"], lines)


def paper_overlap(keys: Sequence[str], subsets: Sequence[str]) -> str:
    """Dice and HD of the paper's patients and of these strategies, on those of the subsets that the paper has."""
    lines: list[list[Any]] = []
    for subset in subsets:
        for key in ("patients", *keys):
            reported = paper.OVERLAP.get(f"{key}, {subset}")
            if reported is not None:
                cells = [number(value, digits) for value, digits in zip(reported, (2, 1, 2, 1), strict=True)]
                lines.append([f"{paper.TITLES.get(key, key)}, {paper.SUBSETS[subset]}", *cells])
    head = [column for region in paper.REGIONS for column in (f"{region} Dice", "HD mm")]
    return table(["images", *head], lines)
