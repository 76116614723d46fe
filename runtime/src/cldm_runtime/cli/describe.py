"""`cldm describe`: the label maps of a dataset in words."""

import csv
import io
import json
import math
from collections.abc import Iterator
from pathlib import Path

import click

from ..domains.registry import describe as describe_map
from ..errors import InputError
from ..store import Dataset, open_dataset
from .numbers import Number


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--subset", metavar="NAME", help="Only this subset, for example test.  [default: all samples]")
@click.option("--segmentation", metavar="NAME", help="Describe what this segmenter found.  [default: the label maps]")
@click.option("--insertion", type=Number(), metavar="DEG", help="The anterior insertion of the right ventricle in all "
              "images, degrees clockwise from 12 o'clock: walls are then named.  [default: hours of the clock]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def describe(file: Path, subset: str | None, segmentation: str | None, insertion: float | None, as_json: bool) -> None:
    """One sentence on each label map of the dataset FILE, as CSV: its row and the sentence. docs/words.md says what
    the sentences state; cldm-gen --prompt understands them.

    \b
    Examples:
      cldm describe data/phantom/cohort.h5 --subset test > captions.csv
      cldm describe out/samples.h5 --segmentation lge-segmenter
    """
    with open_dataset(file) as dataset:
        for number, (row, sentence) in enumerate(_sentences(dataset, subset, segmentation, insertion)):
            if as_json:
                click.echo(json.dumps({"row": row, "caption": sentence}))
                continue
            if number == 0:
                click.echo("row,caption")
            line = io.StringIO()
            csv.writer(line, lineterminator="").writerow([row, sentence])
            click.echo(line.getvalue())


def _sentences(dataset: Dataset, subset: str | None, segmentation: str | None, insertion: float | None
               ) -> Iterator[tuple[int, str]]:
    domain, known = dataset.load_domain(), dataset.mask_attributes
    if segmentation is None and "masks" not in dataset:
        raise InputError(f"{dataset.path}: holds no label maps. Segment it first (cldm segment) and pass "
                         "--segmentation NAME.")
    maps = dataset if segmentation is None else dataset.segmentation(segmentation)
    place = None if domain.stack is None else domain.attribute_names.index(domain.stack.attribute)
    for row in dataset.rows(subset).tolist():
        position = math.nan if known is None or place is None else float(known[row, place])
        yield row, describe_map(maps.masks(slice(row, row + 1))[0], None if math.isnan(position) else position,
                                insertion, domain)
