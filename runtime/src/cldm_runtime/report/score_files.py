"""scores.csv (a row for each sample) and scores.json (the summary). docs/metrics.md explains every column and key."""

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator

import numpy as np

from ..evaluation.summary import Samples, Summary, outcome, reason_text

Cell = str | int | float
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def scores_json(summary: Summary) -> str:
    return json.dumps(summary.to_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def scores_csv(samples: Samples) -> str:
    """The table as text: a header, then a row for each sample. Undefined numbers are empty cells."""
    columns = list(_columns(samples))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([name for name, _ in columns])
    for row in zip(*(values for _, values in columns), strict=True):
        writer.writerow([_cell(value) for value in row])
    return text.getvalue()


def safe_text(text: str) -> str:
    """The text, quoted if a spreadsheet would take it for a formula."""
    return "'" + text if text.startswith(_FORMULA_STARTS) else text


def _columns(samples: Samples) -> Iterator[tuple[str, Iterable[Cell]]]:
    yield "row", samples.rows.tolist()
    identifiers = {"sample_index": samples.sample_index, "grid_row": samples.grid_row, "condition": samples.condition,
             "patient": samples.patients, "slice": samples.slices, "subset": samples.subset}
    for name, column in identifiers.items():
        if column is not None:
            yield name, column.tolist()
    tables = {"requested": samples.requested, "mask": samples.mask, "segmentation": samples.attributes}
    for number, attribute in enumerate(samples.domain.attribute_names):
        for source, table in tables.items():
            if table is not None:
                yield f"{source}_{attribute}", table[:, number].tolist()
        yield f"segmentation_{attribute}_undefined", [reason_text(samples.domain.reason_names, int(code))
                                                      for code in samples.reasons[:, number]]
    yield from _image_columns(samples)
    yield from _place_columns(samples)
    if samples.scores is not None:
        for number, name in enumerate(samples.scores.names):
            yield name, samples.scores.values[:, number].tolist()
    for region in samples.domain.labels.regions:
        if words := outcome(samples, region):
            yield f"{region}_outcome", words


def _image_columns(samples: Samples) -> Iterator[tuple[str, Iterable[Cell]]]:
    """Attributes of the images that the file holds."""
    for number, attribute in enumerate(samples.domain.image_attribute_names):
        for source, table in samples.imaging.tables.items():
            if table is not None:
                yield f"{source}_{attribute}", table[:, number].tolist()
        if samples.imaging.reasons is not None:
            names = samples.domain.image_reason_names
            yield (f"segmentation_{attribute}_undefined",
                   [reason_text(names, int(code)) for code in samples.imaging.reasons[:, number]])


def _place_columns(samples: Samples) -> Iterator[tuple[str, Iterable[Cell]]]:
    """Where the lesions lie, words as words."""
    rules = samples.domain.place
    for number, name in enumerate(rules.names if rules else ()):
        words = None if rules is None else rules.words.get(name)
        for source, table in samples.places.tables.items():
            if table is not None:
                values = table[:, number].tolist()
                yield f"{source}_{name}", values if words is None else [
                    "" if math.isnan(value) else words[int(value)] for value in values]
        if samples.places.reasons is not None:
            names = samples.domain.place_reason_names
            yield (f"segmentation_{name}_undefined",
                   [reason_text(names, int(code)) for code in samples.places.reasons[:, number]])


def _cell(value: Cell) -> str:
    if isinstance(value, str):
        return safe_text(value)
    if isinstance(value, float):
        return "" if math.isnan(value) else str(np.float32(value))
    return str(value)
