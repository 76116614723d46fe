"""`cldm segment`: let a segmenter bundle segment the images of a dataset."""

import sys
from pathlib import Path

import click

from ..evaluation.steps import segment_dataset
from ..segmentation.segmenter import BATCH_SIZE, Segmenter
from .audited import AuditedCommand, note_dataset
from .numbers import WholeNumber
from .progress import show_progress
from .provider import precision_option, provider_option, say_choice
from .run_log import note


@click.command(cls=AuditedCommand)
@click.argument("dataset", metavar="DATASET", type=click.Path(path_type=Path))
@click.option("--segmenter", "bundle", required=True, metavar="DIR", type=click.Path(path_type=Path),
              help="Segmenter bundle.")
@provider_option
@precision_option
@click.option("--batch-size", type=WholeNumber(min=1), metavar="B", default=BATCH_SIZE, show_default=True,
              help="Slices computed at once.")
@click.option("--mirror/--no-mirror", default=None, help="Average over mirrored copies.  [default: from bundle]")
@click.option("--threads", type=WholeNumber(min=1), metavar="N",
              help="Threads of one operator.  [default: all cores]")
@click.option("--overwrite", is_flag=True, help="Replace an earlier segmentation by this segmenter.")
def segment(dataset: Path, bundle: Path, provider: str, precision: str, batch_size: int, mirror: bool | None,
            threads: int | None, overwrite: bool) -> None:
    """Segment every image of DATASET. The label maps are added to the file under /segmentations.

    The file is replaced only when everything is done.

    \b
    Example:
      cldm segment out/samples.h5 --segmenter exported/lge-segmenter
    """
    segmenter = Segmenter.load(bundle, provider, threads, precision)
    say_choice(segmenter.choice)
    samples = note_dataset(dataset, segmenter.bundle, dataset)
    with show_progress("segmenting", 0, sys.stderr) as progress:
        segment_dataset(dataset, segmenter, batch_size=batch_size, mirror=mirror, overwrite=overwrite,
                        progress=progress)
    note(made=samples)
    click.echo(f"{dataset}: segmented by {segmenter.name}.")
