"""Writes comparison.html, comparison.csv and comparison.json: several segmentations of the same samples."""

import csv
import io
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path

from ..evaluation.comparing import (
    HIGHER_IS_BETTER,
    ComparedBin,
    ComparedFigure,
    SegmentationComparison,
    SegmentationPair,
    compare_segmentations,
)
from ..files.atomic import write_text
from ..metrics.agreement import Estimate
from ..metrics.paired import PairedDifference, exchanged
from ..metrics.strata import FEWEST
from ..store import open_dataset
from .page import Say, check_report, segmentation_notes
from .score_files import safe_text
from .tables import as_title, estimate, number, percent, shown_scale, shown_unit, table

_FIGURES = {"dice": "Dice", "hd95_mm": "HD95", "missed": "Missed", "false": "False", "error": "Error", "found": "Found",
            "dice_by_lesion": "Dice by lesion", "hd95_by_lesion_mm": "HD95 by lesion", "lesions_false": "False lesions"}
MOST_PLACES = 3
_COLUMNS = ("one", "other", "figure", "of", "attribute", "low", "high", "n", "mean_one", "mean_other", "difference",
            "interval_low", "interval_high", "simultaneous_low", "simultaneous_high", "probability_better",
            "share_better")


@dataclass(frozen=True)
class ComparisonFiles:
    """Where the files were written. verdicts: a sentence or two for each pair. notes: what a reader must know first."""

    html: Path
    csv: Path
    json: Path
    verdicts: tuple[str, ...]
    notes: tuple[str, ...] = ()


def write_comparison(path: str | os.PathLike[str], names: Sequence[str], folder: str | os.PathLike[str], *,
                     subset: str | None = None, seed: int = 0, say: Say = lambda text: None) -> ComparisonFiles:
    """Compare the named segmentations of the dataset at `path`, pair by pair, for all samples or one subset.

    Existing files of these names in `folder` are replaced. say: told what is done. Raises InputError, and DatasetError
    for a segmentation that is missing, not measured, or of other images or label maps than the file holds now.
    """
    out = Path(folder)
    check_report(path, out, subset, names)
    say(f"comparing {' and '.join(names)}")
    with open_dataset(path) as dataset:
        compared = compare_segmentations(dataset, names, subset, seed)
        notes = tuple(note for name in names for note in segmentation_notes(dataset, name))
    verdicts = tuple(verdict(pair, compared.lesion) for pair in compared.pairs)
    written = ComparisonFiles(out / "comparison.html", out / "comparison.csv", out / "comparison.json", verdicts,
                              notes)
    document = {**compared.to_json(), "verdicts": list(verdicts), "notes": list(notes)}
    write_text(written.csv, comparison_csv(compared))
    write_text(written.json, json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    write_text(written.html, comparison_html(compared, verdicts, notes))
    return written


def verdict(pair: SegmentationPair, lesion: str | None) -> str:
    """Which of the two is better, by how much, and where; figures of the better one come first. Of the Dice of the
    lesion, else of each region; without masks of how often it was missed."""
    found = [figure for figure in pair.figures if figure.figure == "dice"] or [
        figure for figure in pair.figures if figure.figure == "missed"]
    chosen = [figure for figure in found if lesion is None or figure.of == lesion]
    sentences = [_sentences(pair, figure) for figure in chosen]
    return " ".join(sentences) or f"{pair.one} and {pair.other}: nothing to compare them by."


def _sentences(pair: SegmentationPair, figure: ComparedFigure) -> str:
    name = f"{'missed' if figure.figure == 'missed' else 'Dice of'} {_words(figure.of)}"
    sign = _sign(figure.paired.difference)
    swap = sign != 0 and (sign > 0) == figure.lower_is_better
    better, worse = (pair.other, pair.one) if swap else (pair.one, pair.other)
    paired = exchanged(figure.paired) if swap else figure.paired
    if not paired.n:
        return f"{pair.one} and {pair.other}, {name}: no sample to compare them by."
    figures = (f"{name}: {number(paired.one, 3)} against {number(paired.other, 3)}, difference "
               f"{number(paired.difference.value, 3, True)}{_between(paired.difference)}, n = {paired.n}.")
    words = f"{better} is better than {worse}" if sign else f"{better} and {worse} do not differ demonstrably"
    return f"{words}, {figures}{_where(pair, figure.of, swap)}"


def _where(pair: SegmentationPair, region: str, swap: bool) -> str:
    """Of each attribute the bin with the largest difference, of those that differ with all bins considered; at most
    MOST_PLACES attributes, the largest differences first."""
    bins = [each for each in pair.bins if each.region == region]
    if not any(math.isfinite(each.paired.simultaneous.low) for each in bins):
        return f" No bin of an attribute holds {FEWEST} samples, too few to say where."
    largest: dict[str, ComparedBin] = {}
    for each in sorted(bins, key=_size, reverse=True):
        if _sign(each.paired.simultaneous):
            largest.setdefault(each.attribute, each)
    if not largest:
        return " In no bin of an attribute do they differ by more than chance gives among so many bins."
    places = []
    for each in list(largest.values())[:MOST_PLACES]:
        paired = exchanged(each.paired) if swap else each.paired
        places.append(f"{_words(each.attribute)} {_bin_text(each)}: {number(paired.difference.value, 3, True)}"
                      f"{_between(paired.simultaneous)}, n = {paired.n}")
    return f" Most in {'; '.join(places)}."


def _size(each: ComparedBin) -> float:
    return abs(each.paired.difference.value) if each.paired.n else 0.0


def _sign(interval: Estimate) -> int:
    """1 or -1 where the interval leaves 0 out, else 0."""
    return int(interval.low > 0) - int(interval.high < 0)


def _between(interval: Estimate) -> str:
    return f" [{number(interval.low, 3)} to {number(interval.high, 3)}]" if math.isfinite(interval.low) else ""


def comparison_html(compared: SegmentationComparison, verdicts: Sequence[str], notes: Sequence[str] = ()) -> str:
    """The whole page, without scripts or outside references."""
    warnings = "".join(f'<p class="warning">{escape(note[:1].upper() + note[1:])}</p>' for note in notes)
    style = files(__package__).joinpath("report.css").read_text(encoding="utf-8")
    lines = "".join(f'<p class="worst">{escape(text)}</p>' for text in verdicts)
    head = (f"<header><h1>Comparison of segmenters</h1>{warnings}{lines}<p class=\"lead\">"
            f"{escape(compared.dataset)}, subset {escape(compared.subset)}: {compared.n_samples} samples. Intervals "
            f"are 95 %, from a bootstrap that draws {escape(compared.unit)}s ({compared.n_units}).</p></header>")
    pairs = "".join(_pair_section(pair) for pair in compared.pairs)
    title = escape(f"Segmenters on {compared.dataset}")
    return (f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<style>\n{style}</style></head>\n<body><main>\n{head}\n{_rows_section(compared)}\n{pairs}\n"
            f"{_reading()}</main></body></html>\n")


def _rows_section(compared: SegmentationComparison) -> str:
    rows = compared.rows
    scales = {figure.of: (shown_scale(figure.unit), shown_unit(figure.unit)) for figure in compared.pairs[0].figures
              if figure.figure == "error"}
    head = ["Segmentation", *(f"Dice<br>{escape(_words(region))}" for region in rows[0].dice),
            *(f"{word}<br>{escape(_words(region))} (%)" for word in ("Missed", "False") for region in rows[0].missed),
            *(f"Error<br>{escape(_words(name))} ({escape(unit)})" for name, (_, unit) in scales.items())]
    cells = [[escape(row.name), *(estimate(value, 1, 3) for value in row.dice.values()),
              *(estimate(value, 100, 1) for value in (*row.missed.values(), *row.false.values())),
              *(estimate(row.error[name], scale, 1) for name, (scale, _) in scales.items())] for row in rows]
    return ("<h2>Side by side</h2><p>Missed and false: of the samples with and without the region. Error: mean "
            "distance from the reference. The last rows need no segmenter and show that the measurement is right: the "
            f"reference itself has a Dice of 1, an empty segmentation misses all.</p>{table(head, cells)}")


def _pair_section(pair: SegmentationPair) -> str:
    head = ["Figure", "n", escape(pair.one), escape(pair.other), "Difference", "Probability<br>better",
            "Better in"]
    rows = []
    for figure in pair.figures:
        scale, unit = shown_scale(figure.unit), f" ({shown_unit(figure.unit)})" if figure.unit else ""
        digits = 3 if figure.figure in HIGHER_IS_BETTER else 2 if figure.figure == "lesions_false" else 1
        name = f"{_FIGURES[figure.figure]} {_words(figure.of)}{unit}"
        rows.append([escape(name), *_paired_cells(figure.paired, scale, digits)])
    section = (f"<h2>{escape(pair.one)} minus {escape(pair.other)}</h2>{table(head, rows)}")
    return section + (_bins_table(pair) if pair.bins else "")


def _bins_table(pair: SegmentationPair) -> str:
    head = ["Attribute", "Bin", "Region", "n", escape(pair.one), escape(pair.other), "Difference",
            "Probability<br>better", "Better in", "With all bins<br>considered"]
    rows = [[escape(as_title(each.attribute)), escape(_bin_text(each)), escape(as_title(each.region)),
             *_paired_cells(each.paired, 1, 3), escape(_between(each.paired.simultaneous).strip(" []")) or "–"]
            for each in pair.bins]
    classes = ["worst" if _sign(each.paired.simultaneous) else "" for each in pair.bins]
    return f"<h3>In bins of each attribute: {_FIGURES[pair.bins[0].figure]}</h3>{table(head, rows, classes)}"


def _paired_cells(paired: PairedDifference, scale: float, digits: int) -> list[str]:
    return [str(paired.n), number(paired.one * scale, digits), number(paired.other * scale, digits),
            estimate(paired.difference, scale, digits), percent(paired.probability_better),
            percent(paired.share_better)]


def _reading() -> str:
    return ("<h2>How to read this</h2><p>Difference: the first segmenter minus the second, sample by sample; an "
            "interval that leaves 0 out shows a difference. Probability better: share of the bootstrap's replicates in "
            "which the first has the better mean. Better in: share of the samples in which it has the better value; "
            "equal ones count half. Of many bins, one in twenty shows a difference by chance: the last column holds "
            "for all bins of a region together, and the marked bins differ even so.</p>")


def comparison_csv(compared: SegmentationComparison) -> str:
    """A row for each figure, and each bin, of each pair."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for pair in compared.pairs:
        names = [safe_text(pair.one), safe_text(pair.other)]
        for figure in pair.figures:
            writer.writerow([*names, figure.figure, figure.of, "", "", "", *_numbers(figure.paired)])
        for each in pair.bins:
            writer.writerow([*names, each.figure, each.region, each.attribute, f"{each.low:.6g}", f"{each.high:.6g}",
                             *_numbers(each.paired)])
    return text.getvalue()


def _numbers(paired: PairedDifference) -> list[str]:
    values = (paired.one, paired.other, paired.difference.value, paired.difference.low, paired.difference.high,
              paired.simultaneous.low, paired.simultaneous.high, paired.probability_better, paired.share_better)
    return [str(paired.n), *(f"{value:.6g}" if math.isfinite(value) else "" for value in values)]


def _words(name: str) -> str:
    return name.replace("_", " ")


def _bin_text(each: ComparedBin) -> str:
    low, high = (number(value * shown_scale(each.unit), 1) for value in (each.low, each.high))
    return f"{low} to {high} {shown_unit(each.unit)}"
