"""`cldm appearance`: what the images of a dataset look like, beside patients' images."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from ..evaluation.appearance import MeasuredFigure, measure_dataset_appearance
from ..files.records import without_nan
from ..store import open_dataset
from .progress import show_progress

_HEADER = f"{'figure':20}{'patients':>9}{'accepted':>15}{'10 %':>9}{'median':>9}{'90 %':>9}{'images':>8}"


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--subset", metavar="NAME", help="Only this subset, for example test.  [default: all samples]")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def appearance(file: Path, subset: str | None, as_json: bool) -> None:
    """What the images of a dataset look like: contrast, sharpness, surroundings, and how well contours fit.

    Each figure stands beside the value of patients' images and the accepted range of a median.

    \b
    Examples:
      cldm appearance data/phantom/cohort.h5 --subset test
      cldm appearance out/samples.h5 --json
    """
    with open_dataset(file) as dataset, show_progress("measuring", 0, sys.stderr, brief=True) as progress:
        measured = measure_dataset_appearance(dataset, subset, progress)
        rules = dataset.load_domain().appearance
        assert rules is not None  # or nothing was measured
    outside = sum(not row.inside for row in measured)
    if as_json:
        rows = [{**asdict(row.figure), "percentiles_10_50_90": row.points, "images": row.count, "inside": row.inside}
                for row in measured]
        click.echo(json.dumps(without_nan({"figures": rows, "outside": outside}), indent=1))
        return
    click.echo(_HEADER)
    for row in measured:
        click.echo(_line(row))
    click.echo(f"{outside} of {len(measured)} medians are outside. Values of patients: {rules.source}.")


def _line(row: MeasuredFigure) -> str:
    accepted = f"{row.figure.low:g} to {row.figure.high:g}"
    points = "".join(f"{point:9.2f}" for point in row.points)
    mark = "" if row.inside else "  outside"
    return f"{row.figure.name:20}{row.figure.typical:9.2f}{accepted:>15}{points}{row.count:8}{mark}"
