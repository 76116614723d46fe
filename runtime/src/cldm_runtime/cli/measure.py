"""`cldm measure`: attributes and scores of what a dataset holds."""

import sys
from pathlib import Path

import click

from ..evaluation.steps import measure_dataset
from .progress import show_progress


@click.command()
@click.argument("dataset", metavar="DATASET", type=click.Path(path_type=Path))
@click.option("--segmentation", "names", multiple=True, metavar="NAME",
              help="Measure this segmentation alone; may be given more than once.  [default: all]")
@click.option("--no-masks", is_flag=True, help="Leave /attributes/mask as it is.")
def measure(dataset: Path, names: tuple[str, ...], no_masks: bool) -> None:
    """Measure the attributes of the masks and segmentations in DATASET, and score segmentations on the masks.

    Measuring again replaces what was measured before; docs/metrics.md has the definitions.

    \b
    Examples:
      cldm measure out/samples.h5
      cldm measure cohort.h5 --segmentation lge-segmenter --no-masks
    """
    with show_progress("measuring", 0, sys.stderr) as progress:
        measure_dataset(dataset, masks=not no_masks, segmentations=names or None, progress=progress)
    click.echo(f"{dataset}: measured.")
