"""The section on the generator of the reported images: what its bundle says that a segmenter recognises in them."""

from collections.abc import Mapping
from html import escape

from ..bundle.obedience import Obedience
from .tables import as_title, number, table

NOT_STATED = "not stated"


def generator_section(obedience: Obedience) -> str:
    """Every figure on the cohort's images, on the codec's reconstructions of them and on the generator's."""
    energy = NOT_STATED if obedience.high_frequency is None else number(obedience.high_frequency, 2)
    slices = "" if obedience.slices is None else f" on {obedience.slices} validation slices"
    intro = ("<h2>The generator</h2><p>What a segmenter recognised when the generator's bundle was exported"
             f"{slices} (from the bundle's manifest): in the cohort's own images, in what the generator's codec makes "
             "of them, and in generated images for the same label maps or attributes. A segmenter can find only what "
             "an image shows: where the last column is below the first, errors on generated images are the "
             "generator's as well. Fine detail (high-frequency energy) of generated images over the cohort's: "
             f"{energy}."
             "</p>")
    if not obedience.names:
        return f"{intro}<p>These figures are {NOT_STATED} in the bundle.</p>"
    kinds = (obedience.cohort, obedience.reconstructed, obedience.synthetic)
    rows = [[escape(_title(name)), *(_cell(kind, name) for kind in kinds)] for name in obedience.names]
    return intro + table(["Figure", "Cohort's<br>images", "Codec's<br>reconstructions", "Generated<br>images"], rows)


def _title(name: str) -> str:
    figure, joined, what = name.partition(" of ")
    return f"{figure.replace('r2', 'r²')}, {as_title(what)}" if joined else name


def _cell(figures: Mapping[str, float], name: str) -> str:
    return number(figures[name], 2) if name in figures else NOT_STATED
