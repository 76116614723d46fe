"""`cldm segment`: let a segmenter segment the images of a dataset."""

import sys
from pathlib import Path

import click

from ..evaluation.segmenters.load import load_segmenter
from ..evaluation.steps import segment_dataset
from ..segmentation.segmenter import BATCH_SIZE
from .audited import AuditedCommand, note_dataset
from .numbers import WholeNumber
from .progress import show_progress
from .provider import precision_option, provider_option
from .run_log import note
from .segmenter_forms import FORMS_HELP, bundles_of, say_segmenter


@click.command(cls=AuditedCommand)
@click.argument("dataset", metavar="DATASET", type=click.Path(path_type=Path))
@click.option("--segmenter", "source", required=True, metavar="SEGMENTER", help=FORMS_HELP)
@provider_option
@precision_option
@click.option("--batch-size", type=WholeNumber(min=1), metavar="B", default=BATCH_SIZE, show_default=True,
              help="Slices computed at once.")
@click.option("--mirror/--no-mirror", default=None, help="Average over mirrored copies.  [default: from bundle]")
@click.option("--threads", type=WholeNumber(min=1), metavar="N",
              help="Threads of one operator.  [default: all cores]")
@click.option("--overwrite", is_flag=True, help="Replace an earlier segmentation by this segmenter.")
def segment(dataset: Path, source: str, provider: str, precision: str, batch_size: int, mirror: bool | None,
            threads: int | None, overwrite: bool) -> None:
    """Segment every image of DATASET. The label maps are added to the file under /segmentations.

    The file is replaced only when everything is done.

    \b
    Example:
      cldm segment out/samples.h5 --segmenter exported/lge-segmenter
    """
    segmenter = load_segmenter(source, provider, threads, precision)
    say_segmenter(dataset, segmenter)
    samples = note_dataset(dataset, bundles_of(segmenter), dataset)
    with show_progress("segmenting", 0, sys.stderr) as progress:
        segment_dataset(dataset, segmenter, batch_size=batch_size, mirror=mirror, overwrite=overwrite,
                        progress=progress)
    note(made=samples)
    click.echo(f"{dataset}: segmented by {segmenter.name}.")
