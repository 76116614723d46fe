"""`cldm report`: the report of a segmentation that was measured."""

import json
from pathlib import Path

import click

from ..errors import InputError
from ..report.comparison_page import ComparisonFiles, write_comparison
from ..report.page import ReportFiles, write_report
from ..store import open_dataset
from .progress import BusyLines


@click.command()
@click.argument("dataset", metavar="DATASET", type=click.Path(path_type=Path))
@click.option("--segmentation", "names", metavar="NAME", multiple=True,
              help="Which one, if DATASET has more than one. Given several times: these are compared.")
@click.option("--subset", metavar="NAME", help="Report only on this subset, for example test.  [default: all samples]")
@click.option("--annotation", "annotations", metavar="NAME", multiple=True,
              help="Given several times, for a segmentation that keeps what it drew: annotations of the same images, "
                   "whose differences the draws should have. Segmentations in DATASET, masks or annotations.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Folder.  [default: that of DATASET]")
@click.option("--json", "as_json", is_flag=True, help="Print the summary (scores.json) instead of the file names.")
def report(dataset: Path, names: tuple[str, ...], subset: str | None, annotations: tuple[str, ...], out: Path | None,
           as_json: bool) -> None:
    """Write report.html, scores.csv and scores.json about a segmentation in DATASET, or comparison.html, .csv and .json
    about several; older ones are replaced.

    \b
    Examples:
      cldm report out/samples.h5 --out out
      cldm report out/samples.h5 --segmentation lge-segmenter --segmentation mine --out out
      cldm report cohort.h5 --segmentation ldm-seg --annotation reader-1 --annotation reader-2
    """
    if annotations and len(names) > 1:
        raise InputError(f"--annotation: found {len(names)} segmentations, expected one. Report on each by itself.")
    folder = out or dataset.parent
    with BusyLines("report") as say:
        if len(names) > 1:
            compared = write_comparison(dataset, names, folder, subset=subset, say=say)
        else:
            chosen = names[0] if names else only_segmentation(dataset)
            written = write_report(dataset, chosen, folder, subset=subset, annotations=annotations, say=say)
    if len(names) > 1:
        echo_comparison(compared, as_json)
    else:
        echo_files(written, as_json)


def only_segmentation(path: Path) -> str:
    """The name of the one segmentation in a dataset. Raises InputError if there are none or several."""
    with open_dataset(path) as dataset:
        names = list(dataset.segmentations)
    if len(names) != 1:
        raise InputError(f"{path}: holds {len(names)} segmentations ({', '.join(names) or 'none'}). "
                         + ("Pass --segmentation NAME." if names else "Run cldm segment first."))
    return names[0]


def echo_files(written: ReportFiles, as_json: bool) -> None:
    """Name the files, or print the summary; notes go to stderr."""
    for text in written.notes:
        click.echo(f"note: {text}", err=True)
    if as_json:
        summary = json.loads(written.json.read_text(encoding="utf-8"))
        click.echo(json.dumps({**summary, "files": {"html": str(written.html), "csv": str(written.csv),
                                                    "json": str(written.json)}}, indent=1, ensure_ascii=False))
        return
    for path in (written.html, written.csv, written.json):
        click.echo(str(path))


def echo_comparison(written: ComparisonFiles, as_json: bool) -> None:
    """The verdicts and the names of the files; or comparison.json. Notes go to stderr."""
    for text in written.notes:
        click.echo(f"note: {text}", err=True)
    if as_json:
        click.echo(written.json.read_text(encoding="utf-8"), nl=False)
        return
    for line in (*written.verdicts, written.html, written.csv, written.json):
        click.echo(str(line))
