"""Where the lesions of a file lie, compared with a reference."""

from dataclasses import asdict, dataclass
from typing import Any

from ..domains.domain import Domain
from ..domains.place_rules import PlaceFigure
from ..store import Dataset
from .value_tables import ValueTables


def lacks_places(dataset: Dataset, domain: Domain) -> bool:
    """Whether the file holds label maps, and not where their lesions lie, though its domain says how to measure it."""
    return domain.place is not None and "masks" in dataset and "place" not in dataset


@dataclass(frozen=True)
class PlaceComparison:
    """How well the place of lesions was found: of `measured` ("segmentation" or "mask") against `reference` ("mask" or
    "requested")."""

    measured: str
    reference: str
    figures: tuple[PlaceFigure, ...]


def compare_places(domain: Domain, places: ValueTables) -> tuple[PlaceComparison, ...]:
    """Every two tables that have a lesion in common."""
    tables, comparisons = places.tables, []
    for measured, reference in (("segmentation", "mask"), ("segmentation", "requested"), ("mask", "requested")):
        x, y = tables[reference], tables[measured]
        if domain.place is not None and x is not None and y is not None:
            figures = tuple(figure for figure in domain.place.compare(x, y) if figure.n)
            comparisons += [PlaceComparison(measured, reference, figures)] if figures else []
    return tuple(comparisons)


def places_json(comparisons: tuple[PlaceComparison, ...]) -> dict[str, Any]:
    """The key `places` of scores.json; nothing without comparisons."""
    return {"places": [asdict(comparison) for comparison in comparisons]} if comparisons else {}
