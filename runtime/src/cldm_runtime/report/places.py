"""The section on places: how well the segmentation tells where lesions lie."""

from collections.abc import Sequence
from html import escape

from ..domains.place_rules import PlaceFigure
from ..evaluation.places import PlaceComparison
from .tables import number, shown_scale, shown_unit, table


def place_row(figure: PlaceFigure) -> list[str]:
    """The cells meaning, number of lesions and value."""
    shown = f"{number(shown_scale(figure.unit) * figure.value, 1)} {shown_unit(figure.unit)}"
    return [escape(figure.meaning.capitalize()), str(figure.n), shown]


def places_section(comparisons: Sequence[PlaceComparison], references: dict[str, str]) -> str:
    """A table; "" without comparisons. references: a reference, in words."""
    if not comparisons:
        return ""
    rows = [[escape(f"{comparison.measured} against {references[comparison.reference]}".capitalize()),
             *place_row(figure)] for comparison in comparisons for figure in comparison.figures]
    return ("<h3>Where lesions lie</h3><p>Of samples with a lesion on both sides; a missed one has no place.</p>"
            f'{table(["Compared", "Figure", "Lesions", "Value"], rows)}')
