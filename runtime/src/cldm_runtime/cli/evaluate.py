"""`cldm evaluate`: segment, measure and report in one go."""

import sys
from pathlib import Path

import click

from ..audit_log import note
from ..evaluate import evaluate_dataset
from ..report import check_report, write_report
from ..segment import BATCH_SIZE, Segmenter
from .audited import AuditedCommand, note_dataset
from .progress import show_progress
from .provider import provider_option, say_choice
from .report import echo_files


@click.command(cls=AuditedCommand)
@click.argument("dataset", metavar="DATASET", type=click.Path(path_type=Path))
@click.option("--segmenter", "bundle", required=True, metavar="DIR", type=click.Path(path_type=Path),
              help="Segmenter bundle.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Folder.  [default: that of DATASET]")
@click.option("--subset", metavar="NAME", help="Report on this subset alone, for example test.  [default: all samples]")
@provider_option
@click.option("--batch-size", type=click.IntRange(min=1), metavar="B", default=BATCH_SIZE, show_default=True,
              help="Slices computed at once.")
@click.option("--mirror/--no-mirror", default=None, help="Average over mirrored copies.  [default: from bundle]")
@click.option("--threads", type=click.IntRange(min=1), metavar="N",
              help="Threads of one operator.  [default: all cores]")
@click.option("--overwrite", is_flag=True, help="Segment again, also where this bundle's answer is there already.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary (scores.json) instead of the file names.")
def evaluate(dataset: Path, bundle: Path, out: Path | None, subset: str | None, provider: str, batch_size: int,
             mirror: bool | None, threads: int | None, overwrite: bool, as_json: bool) -> None:
    """Segment the images of DATASET, measure what was found, and write report.html, scores.csv and scores.json.

    What the same bundle said before is used again. Reports are replaced, for they can always be made again.

    \b
    Examples:
      cldm evaluate out/samples.h5 --segmenter exported/lge-segmenter --out out
      cldm evaluate cohort.h5 --segmenter exported/lge-segmenter --subset test --json
    """
    folder = out or dataset.parent
    check_report(dataset, folder, subset)
    segmenter = Segmenter.load(bundle, provider, threads)
    say_choice(segmenter.choice)
    samples = note_dataset(dataset, segmenter.bundle, folder)
    name = evaluate_dataset(dataset, segmenter, batch_size=batch_size, mirror=mirror, overwrite=overwrite,
                            stage=lambda label: show_progress(label, 0, sys.stderr))
    files = write_report(dataset, name, folder, subset=subset)
    note(made=samples)
    echo_files(files, as_json)
